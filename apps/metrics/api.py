"""The metrics endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.common.ids import request_id
from apps.common.parameters import check_parameters
from apps.metrics import params, parse
from apps.metrics.params import Scope
from apps.metrics.runner import Answer, answer
from apps.metrics.spec import QuerySpec
from apps.orgs.access import Principal, visible_project


def scope_of(principal: Principal, slugs: str | None) -> Scope:
    """The projects that the caller sees and, where it names some, asked for."""
    if slugs is None:
        return Scope(principal.organization_id, dict(principal.project_ids))
    names = [slug for slug in slugs.split(",") if slug]
    return Scope(principal.organization_id, {slug: visible_project(principal, slug) for slug in names})


def metadata(spec: QuerySpec, made: Answer) -> dict[str, Any]:
    """What an answer says about itself."""
    return {
        "interval": spec.interval,
        "start_time": made.plan.start,
        "end_time": made.plan.end,
        "metrics": [ref.alias for ref in spec.metrics],
        "group_by": list(spec.group_by),
        "data_source": list(made.plan.sources),
        "fresh_until": made.plan.fresh_until,
        "percentile_error": made.plan.percentile_error,
        "total_points": len(made.rows),
        "query_ms": round(made.seconds * 1000, 2),
    }


def meta(request: Request, computed_at: datetime) -> dict[str, Any]:
    return {"request_id": request_id(request._request), "cached": False, "computed_at": computed_at}


def principal_of(request: Request) -> Principal:
    """The caller, as the authentication classes put it there."""
    return cast("Principal", request.user)


def single_values(request: Request) -> Mapping[str, str]:
    """Query parameters; one given several times is a comma list."""
    return {name: ",".join(values) for name, values in request.query_params.lists()}


class MetricsView(APIView):
    """`GET /api/v1/metrics`."""

    required_permission = "metrics:read"

    def get(self, request: Request) -> Response:
        check_parameters(request, params.SERIES_PARAMETERS)
        now = datetime.now(UTC)
        source = single_values(request)
        spec = parse.series_from_query(source, scope_of(principal_of(request), source.get("project")), now)
        made = answer(spec)
        return Response({"metadata": metadata(spec, made), "data": made.rows, "meta": meta(request, now)})


urlpatterns = [path("api/v1/metrics", MetricsView.as_view(), name="metrics")]
