"""The metrics endpoints and their routes."""

from __future__ import annotations

from django.urls import path

from apps.metrics.api.series import CatalogView, MetricsView, QueryView, SummaryView

urlpatterns = [
    path("api/v1/metrics", MetricsView.as_view(), name="metrics"),
    path("api/v1/metrics/query", QueryView.as_view(), name="metrics-query"),
    path("api/v1/metrics/summary", SummaryView.as_view(), name="metrics-summary"),
    path("api/v1/metrics/catalog", CatalogView.as_view(), name="metrics-catalog"),
]
