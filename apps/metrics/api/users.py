"""`GET /api/v1/users`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.request import Request

from apps.common.parameters import check_parameters
from apps.common.reads import fields, paging
from apps.common.reads.schemas import names
from apps.metrics import users
from apps.metrics.api import users_openapi as openapi
from apps.metrics.versions import version_of
from apps.orgs.scopes import principal_of, scope_of, single_values
from apps.orgs.views import Question, ReadView

# A cursor holds the place in the order, and the range of the first page where that ended "now".
_PLACE = paging.Order("range")
NAMES = names(openapi.LIST)


@extend_schema_view(get=extend_schema(**openapi.LIST))
class UsersView(ReadView):
    """The users of a range."""

    area = "users"
    ttl = "cache_ttl_metrics"
    required_permission = "traces:read"

    def question(self, request: Request, **_: Any) -> Question:
        check_parameters(request, (*users.PARAMETERS, *paging.NAMES, fields.NAME))
        source = dict(single_values(request))
        scope = scope_of(principal_of(request), source.get("project"))
        page, first = paging.asked(request, _PLACE), 0
        if page.after is not None:
            source["start_time"], source["end_time"] = str(page.after[0]).split(" ")
            first = int(str(page.after[1]))
        asked = users.from_query(source, scope, datetime.now(UTC))

        def compute() -> Mapping[str, Any]:
            made = users.users(asked, first, page.limit)
            spec = asked.spec
            place = [f"{spec.start.isoformat()} {spec.end.isoformat()}", str(first + page.limit)]
            shown = paging.finish(page, made.rows, lambda _: place, made.total if page.include_total else None)
            return {"metadata": made.metadata, "data": shown.rows, "pagination": shown.pagination}

        parameters = (asked, first, page.limit, page.include_total)
        return Question(parameters, compute, NAMES, lambda: version_of(asked.spec))
