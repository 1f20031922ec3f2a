"""`GET /api/v1/metrics/quality`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.request import Request

from apps.common.parameters import check_parameters
from apps.common.reads import fields
from apps.common.reads.schemas import names
from apps.metrics.api import quality_openapi as openapi
from apps.metrics.api.base import MetricsRead, messages_visible
from apps.metrics.reports import quality
from apps.metrics.versions import version_of
from apps.orgs.scopes import principal_of, scope_of, single_values
from apps.orgs.views import Question


@extend_schema_view(get=extend_schema(**openapi.QUALITY))
class QualityView(MetricsRead):
    """Errors and scores of a range, beside the range before."""

    area = "quality"
    ttl = "cache_ttl_quality"

    def question(self, request: Request, **_: Any) -> Question:
        check_parameters(request, (*quality.PARAMETERS, fields.NAME))
        source = single_values(request)
        scope = scope_of(principal_of(request), source.get("project"))
        spec, compare = quality.from_query(source, scope, datetime.now(UTC))
        messages = messages_visible(request)

        def compute() -> Mapping[str, Any]:
            made = quality.quality(spec, compare, messages=messages)
            described = made.metadata(spec, interval=spec.interval, timezone=spec.tz)
            described["data_source"] = [*described["data_source"], "scores"]
            return {"metadata": described, **made.blocks}

        before = spec.end - spec.start if compare else None
        # What a score judges may change with a span of any day.
        return Question((spec, compare), compute, NAMES, lambda: version_of(spec, summary=True, before=before))


NAMES = names(openapi.QUALITY)
