"""`GET /api/v1/sessions` and `GET /api/v1/sessions/{session_id}`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.request import Request

from apps.common.parameters import check_parameters
from apps.common.reads import fields, paging
from apps.common.reads.reading import choice
from apps.orgs.scopes import Scope, principal_of, scope_of, single_values
from apps.orgs.views import Question, ReadView
from apps.traces import scores
from apps.traces.api import openapi_sessions as openapi
from apps.traces.sessions import filters
from apps.traces.sessions.detail import TURNS, read_session
from apps.traces.sessions.listing import SORTS, Sorting, read_page
from apps.traces.versions import ALWAYS, Counted, counted

CONTENT = "traces:content"


class SessionReads(ReadView):
    """What the reads of conversations share."""

    area = "sessions"
    ttl = "cache_ttl_traces"
    required_permission = "traces:read"


def version_of(scope: Scope) -> Counted:
    """A conversation has turns of any day, and loses those that are no longer kept."""
    return counted(sorted(scope.projects.values()), [ALWAYS])


@extend_schema_view(get=extend_schema(**openapi.LIST))
class SessionsList(SessionReads):
    """Conversations."""

    def question(self, request: Request, **_: Any) -> Question:
        check_parameters(request, (*filters.NAMES, "sort_by", "sort_order", *paging.NAMES, fields.NAME))
        source = single_values(request)
        scope = scope_of(principal_of(request), source.get("project"))
        wanted = filters.filters_of(source, datetime.now(UTC))
        sorting = Sorting(
            choice(source.get("sort_by", "start_time"), tuple(SORTS), "sort_by"),
            choice(source.get("sort_order", "desc"), ("asc", "desc"), "sort_order") == "desc",
        )
        page = paging.asked(request, paging.Order(sorting.name, sorting.descending))
        slugs = {number: slug for slug, number in scope.projects.items()}

        def compute() -> Mapping[str, Any]:
            made = read_page(sorted(slugs), wanted, sorting, page, slugs)
            return {"data": made.rows, "pagination": made.pagination}

        parameters = (sorted(slugs), wanted, sorting, page.limit, page.after, page.include_total)
        return Question(parameters, compute, openapi.LIST_NAMES, lambda: version_of(scope))


@extend_schema_view(get=extend_schema(**openapi.ONE))
class SessionDetail(SessionReads):
    """One conversation with its turns."""

    def question(self, request: Request, **arguments: Any) -> Question:
        check_parameters(request, ("project", *paging.NAMES, fields.NAME))
        session_id: str = arguments["session_id"]
        principal = principal_of(request)
        scope = scope_of(principal, single_values(request).get("project"))
        page = paging.asked(request, TURNS)
        slugs = {number: slug for slug, number in scope.projects.items()}
        content = CONTENT in principal.permissions

        def compute() -> Mapping[str, Any]:
            made = read_session(slugs, session_id, page)
            said = [scores.shown(score, slugs[score.project_id], content=content) for score in made.scores]
            return {
                "data": {**made.fields, "traces": made.turns.rows, "scores": said},
                "pagination": made.turns.pagination,
            }

        parameters = (sorted(slugs), session_id, page.limit, page.after, page.include_total, content)
        return Question(parameters, compute, openapi.ONE_NAMES, lambda: version_of(scope))
