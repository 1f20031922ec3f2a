"""Every model of this app, where Django looks for them."""

from __future__ import annotations

from apps.costs.budgets.models import Budget

__all__ = ["Budget"]
