"""The administration of money under /admin/: prices, repricing, budgets."""

from __future__ import annotations

from apps.costs.admin import budgets, prices, reprice  # noqa: F401 - they register themselves
