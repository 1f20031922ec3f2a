"""What the endpoints of metrics share."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request

from apps.metrics.runner import Answer
from apps.metrics.spec import QuerySpec
from apps.metrics.summary import sources
from apps.orgs.scopes import principal_of
from apps.orgs.views import ReadView


class MetricsRead(ReadView):
    """What the reads of metrics share."""

    area = "metrics"
    ttl = "cache_ttl_metrics"
    required_permission = "metrics:read"


def messages_visible(request: Request) -> bool:
    """Whether the caller may read texts of errors, which are content here as they are in traces."""
    return "traces:content" in principal_of(request).permissions


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
