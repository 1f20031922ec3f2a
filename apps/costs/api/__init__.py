"""Costs, prices and budgets: their routes."""

from __future__ import annotations

from django.urls import URLPattern, path

from apps.costs.api import prices
from apps.costs.api.forecast import ForecastView
from apps.costs.api.reports import AttributionView, BreakdownView, CostsView

urlpatterns: list[URLPattern] = [
    path("api/v1/costs", CostsView.as_view(), name="costs"),
    path("api/v1/costs/breakdown", BreakdownView.as_view(), name="costs-breakdown"),
    path("api/v1/costs/attribution", AttributionView.as_view(), name="costs-attribution"),
    path("api/v1/costs/forecast", ForecastView.as_view(), name="costs-forecast"),
    *prices.urlpatterns,
]
