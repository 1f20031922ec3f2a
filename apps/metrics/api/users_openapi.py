"""What the OpenAPI document says of users."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiResponse

from apps.common.reads import fields, paging
from apps.common.reads.schemas import (
    COUNT,
    META,
    NUMBER,
    PAGE,
    RANGE,
    TEXT,
    TIME,
    UNTOUCHED,
    array,
    nullable,
    obj,
    query,
)
from apps.metrics.api.openapi import SOURCES
from apps.metrics.api.samples import META as META_SAMPLE
from apps.metrics.users import SORTS

_USER = obj(
    user_id=TEXT,
    requests=COUNT,
    errors=COUNT,
    error_rate=NUMBER,
    total_cost_usd=NUMBER,
    prompt_tokens=NUMBER,
    completion_tokens=NUMBER,
    total_tokens=NUMBER,
    avg_duration_ms=NUMBER,
    sessions={**COUNT, "description": "Conversations of this user that began in the range"},
    first_seen={**nullable(TIME), "description": "The start of the user's first trace in the range"},
    last_seen={**nullable(TIME), "description": "The start of the user's last trace in the range"},
)
_SAMPLE: dict[str, Any] = {
    "metadata": {
        "start_time": "2026-11-05T00:00:00Z",
        "end_time": "2026-11-06T00:00:00Z",
        "data_source": ["rollup_1d"],
        "fresh_until": "2026-11-06T00:00:00Z",
        "percentile_error": 0,
        "query_ms": 9.3,
    },
    "data": [
        {
            "user_id": "user-1",
            "requests": 180,
            "errors": 3,
            "error_rate": 0.016666666667,
            "total_cost_usd": 4.25,
            "prompt_tokens": 210_000,
            "completion_tokens": 31_000,
            "total_tokens": 241_000,
            "avg_duration_ms": 1250.4,
            "sessions": 12,
            "first_seen": "2026-11-05T06:12:01.250000Z",
            "last_seen": "2026-11-05T21:40:12Z",
        }
    ],
    "pagination": {"limit": 50, "next_cursor": None, "has_more": False},
    "meta": META_SAMPLE,
}
LIST: dict[str, Any] = {
    "operation_id": "users_list",
    "summary": "The users of a range",
    "description": "Users with requests in the range (7 days if none is given): a request counts for its own user, "
    "else for its trace's. Pages reach to the first 10,000 users of an order; all pages are of the first one's range.",
    "tags": ["sessions"],
    "parameters": [
        *RANGE,
        query("user_id", "Only these users"),
        query("search", "Only users whose id begins so"),
        query(
            "sort_by",
            "What is null comes last",
            enum=SORTS,
            default=SORTS[0],
            examples=[OpenApiExample("most requests first", value="requests")],
        ),
        query("sort_order", "", enum=("asc", "desc"), default="desc"),
        *paging.PARAMETERS,
        fields.PARAMETER,
    ],
    "responses": {
        200: OpenApiResponse(
            obj(
                metadata=obj(start_time=TIME, end_time=TIME, **SOURCES, query_ms={"type": "number"}),
                data=array(_USER),
                pagination=PAGE,
                meta=META,
            ),
            examples=[OpenApiExample("users", _SAMPLE)],
        ),
        **UNTOUCHED,
    },
}
