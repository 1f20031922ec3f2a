"""The metrics endpoints and their routes."""

from __future__ import annotations

from django.urls import path

from apps.metrics.api.compare import CompareView
from apps.metrics.api.conversations import ConversationsView
from apps.metrics.api.quality import QualityView
from apps.metrics.api.reports import (
    MetricsPerformanceView,
    MetricView,
    ModelsView,
    PerformanceView,
    TimeseriesView,
    TrendsView,
)
from apps.metrics.api.series import CatalogView, MetricsView, QueryView, SummaryView
from apps.metrics.api.users import UsersView

urlpatterns = [
    path("api/v1/metrics", MetricsView.as_view(), name="metrics"),
    path("api/v1/metrics/query", QueryView.as_view(), name="metrics-query"),
    path("api/v1/metrics/summary", SummaryView.as_view(), name="metrics-summary"),
    path("api/v1/metrics/catalog", CatalogView.as_view(), name="metrics-catalog"),
    path("api/v1/users", UsersView.as_view(), name="users"),
    path("api/v1/performance", PerformanceView.as_view(), name="performance"),
    path("api/v1/models/compare", CompareView.as_view(), name="models-compare"),
    path("api/v1/metrics/performance", MetricsPerformanceView.as_view(), name="metrics-performance"),
    path("api/v1/metrics/conversations", ConversationsView.as_view(), name="metrics-conversations"),
    path("api/v1/metrics/models", ModelsView.as_view(), name="metrics-models"),
    path("api/v1/metrics/trends", TrendsView.as_view(), name="metrics-trends"),
    path("api/v1/metrics/quality", QualityView.as_view(), name="metrics-quality"),
    # Names of metrics come last: every word above is no metric.
    path("api/v1/metrics/<str:name>", MetricView.as_view(), name="metrics-metric"),
    path("api/v1/metrics/<str:name>/timeseries", TimeseriesView.as_view(), name="metrics-metric-timeseries"),
]
