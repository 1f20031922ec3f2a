"""Costs, prices and budgets: their routes."""

from __future__ import annotations

from django.urls import URLPattern, path

from apps.costs.api import budgets, prices, reprice
from apps.costs.api.forecast import ForecastView
from apps.costs.api.reports import AttributionView, BreakdownView, ChangeView, CostsView, SummaryView, UnpricedView

urlpatterns: list[URLPattern] = [
    path("api/v1/costs", CostsView.as_view(), name="costs"),
    path("api/v1/costs/breakdown", BreakdownView.as_view(), name="costs-breakdown"),
    path("api/v1/costs/attribution", AttributionView.as_view(), name="costs-attribution"),
    path("api/v1/costs/forecast", ForecastView.as_view(), name="costs-forecast"),
    *prices.urlpatterns,
    path("api/v1/costs/summary", SummaryView.as_view(), name="costs-summary"),
    path("api/v1/costs/change", ChangeView.as_view(), name="costs-change"),
    *reprice.urlpatterns,
    *budgets.urlpatterns,
    path("api/v1/costs/unpriced", UnpricedView.as_view(), name="costs-unpriced"),
]
