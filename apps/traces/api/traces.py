"""`/api/v1/traces`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.request import Request

from apps.common.parameters import check_parameters
from apps.common.reads import fields, paging
from apps.common.reads.reading import choice
from apps.common.reads.schemas import names
from apps.orgs.scopes import principal_of, scope_of, single_values
from apps.orgs.views import Question, ReadView
from apps.traces import filters
from apps.traces.api import openapi
from apps.traces.detail import read_detail
from apps.traces.listing import SORTS, Sorting, read_page
from apps.traces.versions import ALWAYS, counted, since

LIST_PARAMETERS = (*filters.NAMES, "sort_by", "sort_order", *paging.NAMES, fields.NAME)
DETAIL_PARAMETERS = ("project", fields.NAME)
CONTENT = "traces:content"
_NAMES = names(openapi.LIST)
_DETAIL_NAMES = names(openapi.DETAIL)


@extend_schema_view(get=extend_schema(**openapi.LIST))
class TracesView(ReadView):
    """The list of traces."""

    area = "traces"
    ttl = "cache_ttl_traces"
    required_permission: ClassVar[dict[str, str]] = {"GET": "traces:read"}

    def question(self, request: Request, **_: Any) -> Question:
        check_parameters(request, LIST_PARAMETERS)
        source = single_values(request)
        scope = scope_of(principal_of(request), source.get("project"))
        asked = filters.filters_of(source, datetime.now(UTC))
        sorting = _sorting(source)
        page = paging.asked(request, paging.Order(sorting.name, sorting.descending))
        ids = sorted(scope.projects.values())
        slugs = {number: slug for slug, number in scope.projects.items()}

        def compute() -> dict[str, Any]:
            made = read_page(ids, asked, sorting, page, slugs)
            return {"data": made.rows, "pagination": made.pagination}

        return Question((ids, asked, sorting, page), compute, _NAMES, lambda: since(ids, asked.start))


def _sorting(source: Mapping[str, str]) -> Sorting:
    name = choice(source.get("sort_by", "start_time"), tuple(SORTS), "sort_by")
    return Sorting(name, choice(source.get("sort_order", "desc"), ("desc", "asc"), "sort_order") == "desc")


@extend_schema_view(get=extend_schema(**openapi.DETAIL))
class TraceView(ReadView):
    """One trace."""

    area = "traces"
    ttl = "cache_ttl_trace"
    required_permission: ClassVar[dict[str, str]] = {"GET": "traces:read"}

    def question(self, request: Request, **arguments: Any) -> Question:
        check_parameters(request, DETAIL_PARAMETERS)
        principal = principal_of(request)
        projects = scope_of(principal, single_values(request).get("project")).projects
        trace_id, content = str(arguments["trace_id"]), CONTENT in principal.permissions
        return Question(
            (trace_id, sorted(projects.items()), content),
            lambda: read_detail(projects, trace_id, content=content),
            _DETAIL_NAMES,
            lambda: counted(list(projects.values()), [ALWAYS]),
        )
