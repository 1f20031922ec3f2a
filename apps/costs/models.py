"""Every model of this app, where Django looks for them."""

from __future__ import annotations

from apps.costs.budgets.models import Budget
from apps.costs.pricebook.models import PriceEntry, PriceVersion
from apps.costs.repricing.models import RepriceJob

__all__ = ["Budget", "PriceEntry", "PriceVersion", "RepriceJob"]
