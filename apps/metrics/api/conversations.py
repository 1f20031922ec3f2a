"""`GET /api/v1/metrics/conversations`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.request import Request

from apps.common.parameters import check_parameters
from apps.common.reads import fields
from apps.common.reads.reading import next_minute
from apps.common.reads.schemas import names
from apps.metrics.api import conversations_openapi as openapi
from apps.metrics.api.base import MetricsRead
from apps.metrics.reports import conversations as report
from apps.orgs.scopes import principal_of, scope_of, single_values
from apps.orgs.views import Question

NAMES = names(openapi.REPORT)


@extend_schema_view(get=extend_schema(**openapi.REPORT))
class ConversationsView(MetricsRead):
    """The report on conversations."""

    def question(self, request: Request, **_: Any) -> Question:
        check_parameters(request, (*report.PARAMETERS, fields.NAME))
        source = single_values(request)
        scope = scope_of(principal_of(request), source.get("project"))
        now = datetime.now(UTC)
        asked = report.from_query(source, scope, now)
        minute = next_minute(now) - timedelta(minutes=1)
        return Question(
            asked, lambda: report.conversations(asked, now), NAMES, lambda: report.version_of(asked, minute)
        )
