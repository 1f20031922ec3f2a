"""What the OpenAPI document says of lists of traces."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse

from apps.common.reads import fields, paging
from apps.common.reads.schemas import COUNT, META, RANGE, UNTOUCHED, array, obj, query
from apps.traces import filters
from apps.traces.api import samples
from apps.traces.listing import SORTS
from apps.traces.shown import TRACE

TAGS = ["traces"]
_WHAT = {
    "trace_id": "These traces, whenever they were",
    "session_id": "The trace's session",
    "user_id": "The trace's user",
    "environment": "The trace's environment; `default` where no span says one",
    "name": "The root's name",
    "status": "The root's status: ok, error or unset",
    "provider": "Some billable span's provider",
    "model": "Some billable span's model",
    "kind": "Some span's kind",
    "tag": "One of the trace's tags",
}
_NUMBERS = {"duration_ms": "the duration in milliseconds", "cost": "the cost in dollars", "tokens": "the tokens"}
PAGINATION: dict[str, Any] = {
    "type": "object",
    "properties": {
        "limit": COUNT,
        "next_cursor": {"type": ["string", "null"], "description": "null on the last page"},
        "has_more": {"type": "boolean"},
        "total": {**COUNT, "description": "With include_total alone"},
    },
    "required": ["limit", "next_cursor", "has_more"],
}


def _bounds() -> list[OpenApiParameter]:
    made = []
    for name in filters.NUMERIC:
        edge, _, what = name.partition("_")
        word = "at least" if edge == "min" else "at most"
        text = f"{_NUMBERS[what][:1].upper()}{_NUMBERS[what][1:]} is {word} this; unknown ones are left out"
        made.append(query(name, text, type=OpenApiTypes.NUMBER))
    return made


FILTERS = [
    *(query(name, f"{what}; several are separated by commas") for name, what in _WHAT.items()),
    *_bounds(),
    query("has_error", "Traces with (true) or without (false) a span whose status is error", type=OpenApiTypes.BOOL),
]
LIST: dict[str, Any] = {
    "operation_id": "traces_list",
    "summary": "Traces, newest first",
    "description": "Traces that begin in [start_time, end_time), the last 7 days if not given. Traces whose cost or "
    "tokens are unknown come last in either order.",
    "tags": TAGS,
    "parameters": [
        *RANGE,
        *FILTERS,
        query("sort_by", "What the list is ordered by", enum=list(SORTS), default="start_time"),
        query("sort_order", "desc or asc", enum=["desc", "asc"], default="desc"),
        *paging.PARAMETERS,
        fields.PARAMETER,
    ],
    "responses": {
        200: OpenApiResponse(
            obj(data=array(TRACE), pagination=PAGINATION, meta=META),
            description="A page of traces",
            examples=[OpenApiExample("two traces", value=samples.LIST)],
        ),
        **UNTOUCHED,
    },
}
