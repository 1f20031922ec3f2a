"""`/api/v1/traces`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.ids import request_id
from apps.common.parameters import check_parameters, plain_text
from apps.common.reads import fields, paging
from apps.common.reads.reading import bad, choice, flag
from apps.common.reads.schemas import names
from apps.orgs.audit import actor_of
from apps.orgs.door import require
from apps.orgs.scopes import principal_of, scope_of, single_values
from apps.orgs.views import Question, ReadView
from apps.traces import deletion, filters
from apps.traces.api import openapi
from apps.traces.detail import read_detail
from apps.traces.listing import SORTS, Sorting, read_page
from apps.traces.search.listed import leaf_of, read_matching
from apps.traces.versions import ALWAYS, counted, since

LIST_PARAMETERS = (*filters.NAMES, "search", "sort_by", "sort_order", *paging.NAMES, fields.NAME)
DETAIL_PARAMETERS = ("project", "content", "span_id", fields.NAME)
CONTENT = "traces:content"
_NAMES = names(openapi.LIST)
_DETAIL_NAMES = names(openapi.DETAIL)


@extend_schema_view(get=extend_schema(**openapi.LIST), delete=extend_schema(**openapi.DELETE_USER))
class TracesView(ReadView):
    """The list of traces, and the deletion of a user's."""

    area = "traces"
    ttl = "cache_ttl_traces"
    required_permission: ClassVar[dict[str, str]] = {"GET": "traces:read", "DELETE": "data:delete"}

    def delete(self, request: Request) -> Response:
        check_parameters(request, ("project", "user_id"))
        source, principal = single_values(request), principal_of(request)
        if not source.get("user_id"):
            raise bad("user_id", "Name the user whose traces are to be deleted: user_id.", 1201)
        user_id = plain_text(request.query_params["user_id"], "user_id", most=filters.MAX_TEXT)
        projects = scope_of(principal, source.get("project")).projects
        done = deletion.delete_user(sorted(projects.values()), user_id, actor_of(request), principal.organization_id)
        document = {"user_id": user_id, "complete": done.complete, "deleted": done.counts, "meta": _meta(request)}
        return Response(document, status=200 if done.complete else 202)

    def question(self, request: Request, **_: Any) -> Question:
        check_parameters(request, LIST_PARAMETERS)
        source = single_values(request)
        scope = scope_of(principal_of(request), source.get("project"))
        asked = filters.filters_of(source, datetime.now(UTC))
        sorting = _sorting(source)
        page = paging.asked(request, paging.Order(sorting.name, sorting.descending))
        ids = sorted(scope.projects.values())
        slugs = {number: slug for slug, number in scope.projects.items()}

        leaf = None
        if "search" in source:
            require(request._request, principal_of(request), "traces:content")
            leaf = leaf_of(source["search"])

        def compute() -> dict[str, Any]:
            if leaf is not None:
                made = read_matching(ids, asked, leaf, sorting, page, slugs)
            else:
                made = read_page(ids, asked, sorting, page, slugs)
            return {"data": made.rows, "pagination": made.pagination}

        return Question((ids, asked, leaf, sorting, page), compute, _NAMES, lambda: since(ids, asked.start))


def _sorting(source: Mapping[str, str]) -> Sorting:
    name = choice(source.get("sort_by", "start_time"), tuple(SORTS), "sort_by")
    return Sorting(name, choice(source.get("sort_order", "desc"), ("desc", "asc"), "sort_order") == "desc")


def _meta(request: Request) -> dict[str, Any]:
    return {"request_id": request_id(request._request), "cached": False, "computed_at": datetime.now(UTC)}


@extend_schema_view(get=extend_schema(**openapi.DETAIL), delete=extend_schema(**openapi.DELETE))
class TraceView(ReadView):
    """One trace."""

    area = "traces"
    ttl = "cache_ttl_trace"
    required_permission: ClassVar[dict[str, str]] = {"GET": "traces:read", "DELETE": "data:delete"}

    def delete(self, request: Request, trace_id: str) -> Response:
        check_parameters(request, ("project",))
        principal = principal_of(request)
        projects = scope_of(principal, single_values(request).get("project")).projects
        placed = deletion.find_trace(projects, trace_id)
        done = deletion.delete_trace(placed, actor_of(request), principal.organization_id)
        return Response({"trace_id": trace_id, "complete": True, "deleted": done.counts, "meta": _meta(request)})

    def question(self, request: Request, **arguments: Any) -> Question:
        check_parameters(request, DETAIL_PARAMETERS)
        principal, source = principal_of(request), single_values(request)
        projects = scope_of(principal, source.get("project")).projects
        trace_id, span_id = str(arguments["trace_id"]), source.get("span_id")
        content, brief = CONTENT in principal.permissions, not flag(source.get("content", "true"), "content")
        return Question(
            (trace_id, sorted(projects.items()), content, brief, span_id),
            lambda: read_detail(projects, trace_id, content=content, brief=brief, span_id=span_id),
            _DETAIL_NAMES,
            lambda: counted(list(projects.values()), [ALWAYS]),
        )
