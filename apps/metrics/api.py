"""The metrics endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, cast

from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.common.ids import request_id
from apps.common.parameters import check_parameters
from apps.metrics import openapi, params, parse
from apps.metrics.catalog import CATALOGUE, DIMENSION_NAMES, PERCENTILES
from apps.metrics.params import Scope
from apps.metrics.runner import Answer, answer
from apps.metrics.spec import MAX_BUCKETS, MAX_GROUPS, MAX_METRICS, MAX_RANGE, MAX_ROWS, QuerySpec
from apps.metrics.summary import sources, summarize
from apps.orgs.access import Principal, visible_project


def scope_of(principal: Principal, slugs: str | None) -> Scope:
    """The projects that the caller sees and, where it names some, asked for."""
    if slugs is None:
        return Scope(principal.organization_id, dict(principal.project_ids), partial(visible_project, principal))
    names = [slug for slug in slugs.split(",") if slug]
    if not names:
        raise params.bad("project", "project is empty.")
    projects = {slug: visible_project(principal, slug) for slug in names}
    return Scope(principal.organization_id, projects, partial(visible_project, principal))


def principal_of(request: Request) -> Principal:
    """The caller, as the authentication classes put it there."""
    return cast("Principal", request.user)


def single_values(request: Request) -> Mapping[str, str]:
    """Query parameters; one given several times is a comma list."""
    return {name: ",".join(values) for name, values in request.query_params.lists()}


def metadata(spec: QuerySpec, made: Answer) -> dict[str, Any]:
    """What an answer says about itself."""
    return {
        "interval": spec.interval,
        "start_time": made.plan.start,
        "end_time": made.plan.end,
        "timezone": spec.tz,
        "metrics": [ref.alias for ref in spec.metrics],
        "group_by": list(spec.group_by),
        **sources((made,)),
        "total_points": len(made.rows),
        "query_ms": round(made.seconds * 1000, 2),
    }


def meta(request: Request, computed_at: datetime) -> dict[str, Any]:
    return {"request_id": request_id(request._request), "cached": False, "computed_at": computed_at}


class MetricsView(APIView):
    """`GET /api/v1/metrics`."""

    required_permission = "metrics:read"

    @extend_schema(**openapi.SERIES)
    def get(self, request: Request) -> Response:
        check_parameters(request, params.SERIES_PARAMETERS)
        now = datetime.now(UTC)
        source = single_values(request)
        spec = parse.series_from_query(source, scope_of(principal_of(request), source.get("project")), now)
        made = answer(spec)
        return Response({"metadata": metadata(spec, made), "data": made.rows, "meta": meta(request, now)})


class QueryView(APIView):
    """`POST /api/v1/metrics/query`."""

    required_permission = "metrics:query"

    @extend_schema(**openapi.QUERY)
    def post(self, request: Request) -> Response:
        check_parameters(request, ("project",))
        now = datetime.now(UTC)
        spec = parse.question_from_body(request.data, self._scope(request), now)
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
        return Response({"metadata": described, "data": made.rows, "meta": meta(request, now)})

    @staticmethod
    def _scope(request: Request) -> Scope:
        """The projects named in the body or, as everywhere, in the query string."""
        body = request.data if isinstance(request.data, Mapping) else {}
        named = body.get("project", single_values(request).get("project"))
        if isinstance(named, list) and all(isinstance(slug, str) for slug in named):
            named = ",".join(named)
        if named is not None and not isinstance(named, str):
            raise params.bad("project", "project must be a slug or a list of slugs.", 1203)
        return scope_of(principal_of(request), named)


def _value(op: str, values: tuple[str | None, ...]) -> Any:
    return list(values) if op in ("in", "not_in") else values[0]


class SummaryView(APIView):
    """`GET /api/v1/metrics/summary`."""

    required_permission = "metrics:read"

    @extend_schema(**openapi.SUMMARY)
    def get(self, request: Request) -> Response:
        check_parameters(request, params.SUMMARY_PARAMETERS)
        now = datetime.now(UTC)
        source = single_values(request)
        spec, compare = parse.summary_from_query(source, scope_of(principal_of(request), source.get("project")), now)
        made = summarize(spec, compare)
        described = {
            "start_time": spec.start,
            "end_time": spec.end,
            **sources(made.answers),
            "query_ms": round(made.seconds * 1000, 2),
        }
        return Response({"metadata": described, **made.blocks, "meta": meta(request, now)})


class CatalogView(APIView):
    """`GET /api/v1/metrics/catalog`."""

    required_permission = "metrics:read"

    @extend_schema(**openapi.CATALOG)
    def get(self, request: Request) -> Response:
        check_parameters(request, ())
        return Response({**catalog(), "meta": meta(request, datetime.now(UTC))})


def catalog() -> dict[str, Any]:
    """The catalogue as the API shows it."""
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
            for entry in CATALOGUE.values()
        ],
        "intervals": [
            {"name": name, "max_range_days": longest.days} for name, longest in MAX_RANGE.items() if name is not None
        ],
        "percentiles": list(PERCENTILES),
        "limits": {"metrics": MAX_METRICS, "group_by": MAX_GROUPS, "buckets": MAX_BUCKETS, "rows": MAX_ROWS},
    }


urlpatterns = [
    path("api/v1/metrics", MetricsView.as_view(), name="metrics"),
    path("api/v1/metrics/query", QueryView.as_view(), name="metrics-query"),
    path("api/v1/metrics/summary", SummaryView.as_view(), name="metrics-summary"),
    path("api/v1/metrics/catalog", CatalogView.as_view(), name="metrics-catalog"),
]
