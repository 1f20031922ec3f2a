"""What the OpenAPI document says of conversations."""

from __future__ import annotations

from typing import Any, Final

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiResponse

from apps.common.reads import fields, paging
from apps.common.reads.schemas import META, PAGE, RANGE, TEXT, UNTOUCHED, array, names, obj, query
from apps.traces.api.openapi_scores import SCORE
from apps.traces.sessions.listing import SORTS
from apps.traces.sessions.shown import SHAPE
from apps.traces.shown import TRACE

TAGS: Final = ["sessions"]
_AMOUNTS: Final = [
    query(f"{edge}_{name}", f"{word} {name}: {what}", type=OpenApiTypes.NUMBER)
    for name, what in (
        ("turns", "traces of the conversation"),
        ("duration_ms", "from its first start to its last end"),
        ("cost", "in dollars"),
        ("tokens", "prompt and completion"),
    )
    for edge, word in (("min", "Least"), ("max", "Most"))
]
_ROW: Final[dict[str, Any]] = {
    "session_id": "session-3",
    "project": "default",
    "user_id": "user-1",
    "users": 1,
    "environment": "production",
    "start_time": "2026-11-05T12:30:15.250000Z",
    "last_turn_time": "2026-11-05T12:36:02.100000Z",
    "last_activity": "2026-11-05T12:36:05.400000Z",
    "duration_ms": 350150.0,
    "turns": 3,
    "error_turns": 1,
    "request_count": 5,
    "error_count": 1,
    "has_error": True,
    "last_turn_error": False,
    "resolved": True,
    "prompt_tokens": 5200,
    "completion_tokens": 760,
    "total_tokens": 5960,
    "cached_tokens": 1024,
    "reasoning_tokens": None,
    "prompt_cost_usd": 0.013,
    "completion_cost_usd": 0.0076,
    "total_cost_usd": 0.0206,
}
_TURN: Final[dict[str, Any]] = {
    "trace_id": "5b8efff798038103d269b633813fc60c",
    "project": "default",
    "name": "answer",
    "status": "ok",
    "start_time": "2026-11-05T12:30:15.250000Z",
    "end_time": "2026-11-05T12:30:17.650000Z",
    "duration_ms": 2400.0,
    "user_id": "user-1",
    "session_id": "session-3",
    "environment": "production",
    "team": "support",
    "tags": ["team:support"],
    "providers": ["openai"],
    "models": ["gpt-4o"],
    "kinds": ["chain", "llm"],
    "span_count": 2,
    "request_count": 1,
    "error_count": 0,
    "has_error": False,
    "prompt_tokens": 1000,
    "completion_tokens": 150,
    "total_tokens": 1150,
    "cached_tokens": None,
    "reasoning_tokens": None,
    "prompt_cost_usd": 0.0025,
    "completion_cost_usd": 0.0015,
    "total_cost_usd": 0.004,
}
_META: Final[dict[str, Any]] = {"request_id": "req_01jd", "cached": False, "computed_at": "2026-11-06T00:00:04Z"}
_LAST_PAGE: Final[dict[str, Any]] = {"limit": 50, "next_cursor": None, "has_more": False}
LIST: Final[dict[str, Any]] = {
    "operation_id": "sessions_list",
    "summary": "Conversations",
    "description": "A conversation is the traces that share a session_id in a project; a turn is one of them. The list "
    "holds those that began in the range, 7 days if none is given (ever, where session_id is).",
    "tags": TAGS,
    "parameters": [
        *RANGE,
        query("session_id", "Only these sessions"),
        query("user_id", "Only those of these users: the user of the first turn that has one"),
        query("environment", "Only these environments: that of the first turn that has one"),
        *_AMOUNTS,
        query("has_error", "true: with an error span; false: without any", type=OpenApiTypes.BOOL),
        query(
            "resolved", "By the latest boolean score `resolved`; those without are in neither", type=OpenApiTypes.BOOL
        ),
        query(
            "sort_by",
            "Without a cost comes last",
            enum=tuple(SORTS),
            default="start_time",
            examples=[OpenApiExample("dearest first", value="total_cost_usd")],
        ),
        query("sort_order", "", enum=("asc", "desc"), default="desc"),
        *paging.PARAMETERS,
        fields.PARAMETER,
    ],
    "responses": {
        200: OpenApiResponse(
            obj(data=array(obj(**SHAPE)), pagination=PAGE, meta=META),
            examples=[OpenApiExample("sessions", {"data": [_ROW], "pagination": _LAST_PAGE, "meta": _META})],
        ),
        **UNTOUCHED,
    },
}
_NAMES: Final = {"type": "array", "items": TEXT, "description": "Of the billable spans of all turns"}
ONE: Final[dict[str, Any]] = {
    "operation_id": "sessions_read",
    "summary": "One conversation with its turns",
    "description": "`data.traces` is a page of its turns in the order of time. `data.scores` are the newest 100 "
    "scores with this session id; comments and metadata of scores only with traces:content. Where several projects "
    "have a session of this id, `project` says which is meant.",
    "tags": TAGS,
    "parameters": [RANGE[2], *paging.PARAMETERS, fields.PARAMETER],
    "responses": {
        200: OpenApiResponse(
            obj(
                data=obj(**SHAPE, models=_NAMES, providers=_NAMES, traces=array(TRACE), scores=array(SCORE)),
                pagination=PAGE,
                meta=META,
            ),
            examples=[
                OpenApiExample(
                    "session",
                    {
                        "data": {
                            **_ROW,
                            "models": ["gpt-4o"],
                            "providers": ["openai"],
                            "traces": [_TURN],
                            "scores": [],
                        },
                        "pagination": {"limit": 1, "next_cursor": "WyJhIl0:1t", "has_more": True},
                        "meta": _META,
                    },
                )
            ],
        ),
        **UNTOUCHED,
    },
}
LIST_NAMES: Final = names(LIST)
ONE_NAMES: Final = names(ONE)
