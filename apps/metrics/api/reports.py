"""Performance, models, trends, and one metric."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.request import Request

from apps.common.parameters import check_parameters
from apps.common.reads import fields
from apps.common.reads.schemas import names
from apps.metrics import params, parse
from apps.metrics.api import reports_openapi as openapi
from apps.metrics.api.base import MetricsRead, metadata
from apps.metrics.api.series import series_names
from apps.metrics.reports import metric, models, performance, trends
from apps.metrics.runner import answer
from apps.metrics.versions import version_of
from apps.orgs.scopes import principal_of, scope_of, single_values
from apps.orgs.views import Question


class _Performance(MetricsRead):
    def question(self, request: Request, **_: Any) -> Question:
        check_parameters(request, (*performance.PARAMETERS, fields.NAME))
        source = single_values(request)
        scope = scope_of(principal_of(request), source.get("project"))
        spec, compare = performance.from_query(source, scope, datetime.now(UTC))
        chosen = fields.requested(request, PERFORMANCE_NAMES)
        blocks = [name for name in performance.BLOCKS if fields.keeps(chosen, name)] or performance.BLOCKS

        def compute() -> Mapping[str, Any]:
            made = performance.performance(spec, compare, blocks)
            more = {"interval": spec.interval, "timezone": spec.tz, "group_by": list(spec.group_by)}
            return {"metadata": made.metadata(spec, **more), **made.blocks}

        before = spec.end - spec.start if compare else None
        return Question((spec, compare), compute, PERFORMANCE_NAMES, lambda: version_of(spec, before=before))


@extend_schema_view(get=extend_schema(**openapi.performance_operation("performance")))
class PerformanceView(_Performance):
    """`GET /api/v1/performance`."""


@extend_schema_view(get=extend_schema(**openapi.performance_operation("metrics_performance")))
class MetricsPerformanceView(_Performance):
    """`GET /api/v1/metrics/performance`, the same report among the metrics."""


@extend_schema_view(get=extend_schema(**openapi.MODELS))
class ModelsView(MetricsRead):
    """`GET /api/v1/metrics/models`."""

    def question(self, request: Request, **_: Any) -> Question:
        check_parameters(request, (*models.PARAMETERS, fields.NAME))
        source = single_values(request)
        scope = scope_of(principal_of(request), source.get("project"))
        spec = models.from_query(source, scope, datetime.now(UTC))

        def compute() -> Mapping[str, Any]:
            made = models.models(spec)
            return {"metadata": made.metadata(spec), **made.blocks}

        return Question(spec, compute, MODELS_NAMES, lambda: version_of(spec))


@extend_schema_view(get=extend_schema(**openapi.TRENDS))
class TrendsView(MetricsRead):
    """`GET /api/v1/metrics/trends`."""

    def question(self, request: Request, **_: Any) -> Question:
        check_parameters(request, (*trends.PARAMETERS, fields.NAME))
        source = single_values(request)
        scope = scope_of(principal_of(request), source.get("project"))
        spec, alpha = trends.from_query(source, scope, datetime.now(UTC))

        def compute() -> Mapping[str, Any]:
            made = trends.trends(spec, alpha)
            more = {"interval": spec.interval, "timezone": spec.tz, "alpha": alpha, "correction": "holm"}
            return {"metadata": made.metadata(spec, **more), **made.blocks}

        return Question((spec, alpha), compute, TRENDS_NAMES, lambda: version_of(spec))


@extend_schema_view(get=extend_schema(**openapi.METRIC))
class MetricView(MetricsRead):
    """`GET /api/v1/metrics/{name}`."""

    def question(self, request: Request, **arguments: Any) -> Question:
        entry = metric.metric_named(arguments["name"])
        check_parameters(request, (*metric.PARAMETERS, fields.NAME))
        source = single_values(request)
        scope = scope_of(principal_of(request), source.get("project"))
        spec = metric.from_query(entry, source, scope, datetime.now(UTC))

        def compute() -> Mapping[str, Any]:
            made = metric.metric_report(spec, entry)
            return {"metadata": made.metadata(spec), **made.blocks}

        return Question(spec, compute, METRIC_NAMES, lambda: version_of(spec, before=spec.end - spec.start))


@extend_schema_view(get=extend_schema(**openapi.TIMESERIES))
class TimeseriesView(MetricsRead):
    """`GET /api/v1/metrics/{name}/timeseries`: the series of one metric, as `GET /api/v1/metrics` gives it."""

    def question(self, request: Request, **arguments: Any) -> Question:
        entry = metric.metric_named(arguments["name"])
        check_parameters(request, (*TIMESERIES_PARAMETERS, fields.NAME))
        source = single_values(request)
        scope = scope_of(principal_of(request), source.get("project"))
        spec = parse.series_from_query({**source, "metrics": entry.name}, scope, datetime.now(UTC))

        def compute() -> Mapping[str, Any]:
            made = answer(spec)
            return {"metadata": metadata(spec, made), "data": made.rows}

        return Question(spec, compute, series_names(spec), lambda: version_of(spec))


TIMESERIES_PARAMETERS = tuple(name for name in params.SERIES_PARAMETERS if name != "metrics")
PERFORMANCE_NAMES = names(openapi.performance_operation("performance"))
MODELS_NAMES = names(openapi.MODELS)
TRENDS_NAMES = (*names(openapi.TRENDS), "series.*")
METRIC_NAMES = (
    *(name for name in names(openapi.METRIC) if not name.endswith("values") and name != "changes_pct"),
    "current_period.values.*",
    "previous_period.values.*",
    "changes_pct.*",
)
