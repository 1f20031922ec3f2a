"""Series, questions, the summary and the catalogue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.common.ids import request_id
from apps.common.parameters import check_parameters
from apps.common.reads import fields
from apps.common.reads.reading import bad
from apps.common.reads.schemas import names
from apps.common.reads.snapshot import snapshot
from apps.metrics import params, parse
from apps.metrics.api import openapi
from apps.metrics.api.base import MetricsRead, messages_visible, metadata
from apps.metrics.catalog import CATALOGUE, DIMENSION_NAMES, PERCENTILES, SCORE_NAME, score_metric
from apps.metrics.runner import answer
from apps.metrics.spec import MAX_BUCKETS, MAX_GROUPS, MAX_METRICS, MAX_RANGE, MAX_ROWS, QuerySpec
from apps.metrics.summary import COUNTED, sources, summarize
from apps.metrics.versions import version_of
from apps.orgs.scopes import Scope, principal_of, scope_of, single_values
from apps.orgs.views import Question
from apps.traces.scores import score_names

# How many names of scores the catalogue lists.
MAX_SCORES = 200


def series_names(spec: QuerySpec) -> tuple[str, ...]:
    """The columns that a series has, whether or not it has rows."""
    columns = [*(("timestamp",) if spec.interval else ()), *spec.group_by]
    for ref in spec.metrics:
        columns.append(ref.alias)
    if spec.compare_to is not None:
        columns += [name for ref in spec.metrics for name in (f"previous_{ref.alias}", f"{ref.alias}_change_pct")]
    return tuple(fields.Key(name) for name in columns)


@extend_schema_view(get=extend_schema(**openapi.SERIES))
class MetricsView(MetricsRead):
    """`GET /api/v1/metrics`."""

    def question(self, request: Request, **_: Any) -> Question:
        check_parameters(request, (*params.SERIES_PARAMETERS, fields.NAME))
        source = single_values(request)
        scope = scope_of(principal_of(request), source.get("project"))
        spec = parse.series_from_query(source, scope, datetime.now(UTC))

        def compute() -> Mapping[str, Any]:
            made = answer(spec)
            return {"metadata": metadata(spec, made), "data": made.rows}

        return Question(spec, compute, series_names(spec), lambda: version_of(spec))


class QueryView(APIView):
    """`POST /api/v1/metrics/query`."""

    required_permission = "metrics:query"

    @extend_schema(**openapi.QUERY)
    def post(self, request: Request) -> Response:
        check_parameters(request, ("project", fields.NAME))
        now = datetime.now(UTC)
        spec = parse.question_from_body(request.data, scope_of_body(request), now)
        chosen = fields.requested(request, series_names(spec))
        made = answer(spec)
        described = {
            **metadata(spec, made),
            "filters_applied": [
                {"field": item.field, "operator": item.op, "value": _value(item.op, item.values)}
                for item in spec.filters
            ],
            "having_conditions": [
                {"metric": item.alias, "operator": item.op, "value": item.value} for item in spec.having
            ],
            "total_rows": made.total_rows,
        }
        meta = {"request_id": request_id(request._request), "cached": False, "computed_at": now}
        return Response(fields.keep(chosen, {"metadata": described, "data": made.rows, "meta": meta}))


def scope_of_body(request: Request) -> Scope:
    """The projects named in the body or, as everywhere, in the query string."""
    body = request.data if isinstance(request.data, Mapping) else {}
    named = body.get("project", single_values(request).get("project"))
    if isinstance(named, list) and all(isinstance(slug, str) for slug in named):
        named = ",".join(named)
    if named is not None and not isinstance(named, str):
        raise bad("project", "project must be a slug or a list of slugs.", 1203)
    return scope_of(principal_of(request), named)


def _value(op: str, values: tuple[str | None, ...]) -> Any:
    return list(values) if op in ("in", "not_in") else values[0]


@extend_schema_view(get=extend_schema(**openapi.SUMMARY))
class SummaryView(MetricsRead):
    """`GET /api/v1/metrics/summary`."""

    def question(self, request: Request, **_: Any) -> Question:
        check_parameters(request, (*params.SUMMARY_PARAMETERS, fields.NAME))
        source = single_values(request)
        scope = scope_of(principal_of(request), source.get("project"))
        spec, compare = parse.summary_from_query(source, scope, datetime.now(UTC))
        messages = messages_visible(request)
        chosen, periods = fields.requested(request, SUMMARY_NAMES), ("current_period", "previous_period")
        without = [name for name in COUNTED if not any(fields.keeps(chosen, period, name) for period in periods)]

        def compute() -> Mapping[str, Any]:
            made = summarize(spec, compare, messages=messages, without=without)
            described = {
                "start_time": spec.start,
                "end_time": spec.end,
                **sources(made.answers),
                "query_ms": round(made.seconds * 1000, 2),
            }
            return {"metadata": described, **made.blocks}

        before = spec.end - spec.start if compare else None
        return Question((spec, compare), compute, SUMMARY_NAMES, lambda: version_of(spec, summary=True, before=before))


@extend_schema_view(get=extend_schema(**openapi.CATALOG))
class CatalogView(MetricsRead):
    """`GET /api/v1/metrics/catalog`."""

    def question(self, request: Request, **_: Any) -> Question:
        check_parameters(request, ("project", fields.NAME))
        scope = scope_of(principal_of(request), single_values(request).get("project"))
        projects = tuple(sorted(scope.projects.values()))
        # All else is made from the code, whose fingerprint every ETag holds.
        return Question(projects, lambda: catalog(seen_scores(projects)), CATALOG_NAMES, lambda: seen_scores(projects))


def seen_scores(project_ids: Sequence[int]) -> tuple[str, ...]:
    """The names of these projects' scores that can be asked for as metrics, at most MAX_SCORES."""
    with snapshot() as cursor:
        names_ = score_names(cursor, project_ids, MAX_SCORES)
    return tuple(name for name in names_ if SCORE_NAME.fullmatch(name))


def catalog(scores: Sequence[str] = ()) -> dict[str, Any]:
    """The catalogue as the API shows it, with the scores of these names."""
    return {
        "data": [
            {
                "name": entry.name,
                "unit": entry.unit,
                "description": entry.description,
                "aggregations": list(entry.aggregations),
                "default_aggregation": entry.natural,
                "dimensions": list(DIMENSION_NAMES),
            }
            for entry in (*CATALOGUE.values(), *(score_metric(name) for name in scores))
        ],
        "intervals": [
            {"name": name, "max_range_days": longest.days} for name, longest in MAX_RANGE.items() if name is not None
        ],
        "percentiles": list(PERCENTILES),
        "limits": {
            "metrics": MAX_METRICS,
            "group_by": MAX_GROUPS,
            "buckets": MAX_BUCKETS,
            "rows": MAX_ROWS,
            "scores": MAX_SCORES,
        },
    }


SUMMARY_NAMES = names(openapi.SUMMARY)
CATALOG_NAMES = names(openapi.CATALOG)
