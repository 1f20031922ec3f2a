"""What the OpenAPI document says of plain JSON spans."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter

_TEXT: Final = {"type": ["string", "null"]}
_COUNT: Final = {"type": ["integer", "null"], "minimum": 0}
_NUMBER: Final = {"type": ["number", "null"], "minimum": 0}
_TIME: Final = {
    "type": ["string", "number", "null"],
    "description": "ISO 8601 with a zone, or seconds, milliseconds, microseconds or nanoseconds since 1970",
}
_OBJECT: Final = {"type": ["object", "null"], "additionalProperties": True}
_ANY: Final[dict[str, Any]] = {"description": "Text or any JSON"}

_SPAN: Final[dict[str, Any]] = {
    "type": "object",
    "description": "What is not among the properties is kept as an attribute.",
    "properties": {
        "trace_id": {**_TEXT, "maxLength": 256},
        "span_id": {**_TEXT, "maxLength": 256},
        "parent_span_id": {**_TEXT, "maxLength": 256},
        "name": _TEXT,
        "kind": {**_TEXT, "description": "llm, retrieval, tool, chain, agent, embedding, reranker, ..."},
        "start_time": _TIME,
        "end_time": _TIME,
        "duration_ms": {**_NUMBER, "description": "In place of one of the two times"},
        "status": {"type": ["string", "null"], "enum": ["ok", "error", "unset", None]},
        "status_message": _TEXT,
        **dict.fromkeys(("provider", "model", "request_model", "environment", "user_id", "session_id"), _TEXT),
        **dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"), _COUNT),
        **dict.fromkeys(("cached_tokens", "cache_write_tokens", "reasoning_tokens"), _COUNT),
        **dict.fromkeys(("cost_usd", "prompt_cost_usd", "completion_cost_usd", "ttft_ms"), _NUMBER),
        **dict.fromkeys(("error_type", "error_message", "finish_reason", "service_tier"), _TEXT),
        "tags": {"type": ["array", "null"], "items": {"type": "string"}},
        "input": _ANY,
        "output": _ANY,
        "attributes": _OBJECT,
        "resource": _OBJECT,
        "events": {"type": ["array", "null"], "items": {"type": "object"}},
    },
}
_BATCH: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["spans"],
    "properties": {"spans": {"type": "array", "maxItems": 10_000, "items": _SPAN}},
}
_RECEIPT: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["accepted", "rejected", "warnings"],
    "properties": {
        "accepted": {"type": "integer", "minimum": 0, "description": "Spans that are durable"},
        "rejected": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["index", "reason", "message"],
                "properties": {
                    "index": {"type": "integer", "minimum": 0, "description": "The span's place in the request"},
                    "reason": {"type": "string"},
                    "message": {"type": "string"},
                },
            },
        },
        "warnings": {"type": "array", "items": {"type": "string"}},
    },
}
_EXAMPLE: Final = {
    "spans": [
        {
            "trace_id": "5b8efff798038103d269b633813fc60c",
            "span_id": "eee19b7ec3c1b174",
            "name": "chat",
            "kind": "llm",
            # A time that is still taken, so that the example can be sent as it stands.
            "start_time": f"{datetime.now(UTC).date()}T00:00:00Z",
            "duration_ms": 1500,
            "provider": "openai",
            "model": "gpt-4o",
            "prompt_tokens": 1200,
            "completion_tokens": 340,
            "user_id": "ada",
        }
    ]
}
JSON_SPANS: Final[dict[str, Any]] = {
    "operation_id": "traces_create",
    "summary": "Send spans as plain JSON",
    "tags": ["ingest"],
    "parameters": [
        OpenApiParameter(
            name,
            OpenApiTypes.STR,
            OpenApiParameter.HEADER,
            description="The slug of the project to send to, with a key of the whole organization",
        )
        for name in ("X-Project", "x-project-name")
    ],
    "request": {"application/json": {"oneOf": [_BATCH, {**_SPAN, "not": {"required": ["spans"]}}]}},
    "responses": {200: _RECEIPT},
    "examples": [
        OpenApiExample("Spans", value=_EXAMPLE, request_only=True),
        OpenApiExample("Stored", value={"accepted": 1, "rejected": [], "warnings": []}, response_only=True),
    ],
    "description": "Plain JSON spans, one or up to 10,000. A span that cannot be stored is listed under `rejected` "
    "with its place and the reason, and the others are kept; what `accepted` counts is durable.",
}
