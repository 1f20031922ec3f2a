"""What the OpenAPI document says of scores."""

from __future__ import annotations

from typing import Any, Final

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiResponse

from apps.common.reads import fields, paging
from apps.common.reads.schemas import COUNT, META, PAGE, TEXT, TIME, UNTOUCHED, array, names, obj, query
from apps.traces.scores import DATA_TYPES, MAX_ID, MAX_NAME, MAX_TEXT, SOURCES

TAGS: Final = ["scores"]
MAX_ITEMS: Final = 1_000
_MAYBE: Final[dict[str, Any]] = {"type": ["string", "null"]}
SCORE: Final = obj(
    id=TEXT,
    project=_MAYBE,
    name=TEXT,
    data_type={"type": "string", "enum": list(DATA_TYPES)},
    value={"type": ["number", "string", "boolean"], "description": "A category is a text"},
    label={**_MAYBE, "description": "What a number was called, where its sender said so"},
    trace_id=_MAYBE,
    span_id=_MAYBE,
    session_id=_MAYBE,
    source={"type": "string", "enum": list(SOURCES)},
    author={**_MAYBE, "description": "Who judged: a person, an evaluator, a version of one"},
    comment={**_MAYBE, "description": "Content: null without traces:content"},
    metadata={"type": ["object", "null"], "description": "Content: null without traces:content"},
    environment=_MAYBE,
    timestamp=TIME,
    created_at=TIME,
    updated_at=TIME,
)
_EXAMPLE: Final[dict[str, Any]] = {
    "id": "6d0f9a1c8e7b4c53a2f1e0d9c8b7a695",
    "project": "default",
    "name": "relevance",
    "data_type": "numeric",
    "value": 0.86,
    "label": None,
    "trace_id": "5b8efff798038103d269b633813fc60c",
    "span_id": None,
    "session_id": None,
    "source": "evaluator",
    "author": "judge-v3",
    "comment": "Answers the question, cites one source too few.",
    "metadata": {"judge_model": "gpt-4o"},
    "environment": "production",
    "timestamp": "2026-11-05T12:31:00Z",
    "created_at": "2026-11-05T12:31:02Z",
    "updated_at": "2026-11-05T12:31:02Z",
}
_META: Final[dict[str, Any]] = {"request_id": "req_01jd", "cached": False, "computed_at": "2026-11-05T12:31:04Z"}
_PROJECT: Final = query("project", "Slugs, separated by commas; all that the caller may see if not given")
LIST: Final[dict[str, Any]] = {
    "operation_id": "scores_list",
    "summary": "Scores, the newest first",
    "tags": TAGS,
    "parameters": [
        query("name", "Only scores of this name, or of one of several separated by commas"),
        query("trace_id", "Of these traces and their spans"),
        query("span_id", "Of these spans"),
        query("session_id", "Of these sessions themselves, not of their traces"),
        query("environment", "That the score itself names"),
        query("author", "Whoever judged"),
        query("source", "How they came", enum=SOURCES),
        query("data_type", "Only scores of this type", enum=DATA_TYPES),
        query("min_value", "Numbers, and booleans as 1 and 0, from here on", type=OpenApiTypes.NUMBER),
        query("max_value", "Up to here, included", type=OpenApiTypes.NUMBER),
        query("start_time", "ISO 8601 with a zone; included", type=OpenApiTypes.DATETIME),
        query("end_time", "ISO 8601 with a zone; not included", type=OpenApiTypes.DATETIME),
        _PROJECT,
        *paging.PARAMETERS,
        fields.PARAMETER,
    ],
    "responses": {
        200: OpenApiResponse(
            obj(data=array(SCORE), pagination=PAGE, meta=META),
            examples=[
                OpenApiExample(
                    "scores",
                    {
                        "data": [_EXAMPLE],
                        "pagination": {"limit": 50, "next_cursor": None, "has_more": False},
                        "meta": _META,
                    },
                )
            ],
        ),
        **UNTOUCHED,
    },
}
ONE: Final[dict[str, Any]] = {
    "operation_id": "scores_get",
    "summary": "One score",
    "tags": TAGS,
    "parameters": [_PROJECT, fields.PARAMETER],
    "responses": {
        200: OpenApiResponse(
            obj(data=SCORE, meta=META), examples=[OpenApiExample("score", {"data": _EXAMPLE, "meta": _META})]
        ),
        **UNTOUCHED,
    },
}
DELETE: Final[dict[str, Any]] = {
    "operation_id": "scores_delete",
    "summary": "Delete a score",
    "tags": TAGS,
    "parameters": [_PROJECT],
    "request": None,
    "responses": {204: OpenApiResponse(description="It is gone.")},
}
NAMES: Final = names(ONE)
_ITEM: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["name", "value"],
    "additionalProperties": False,
    "properties": {
        "id": {**_MAYBE, "maxLength": MAX_ID, "description": "A later score with this id replaces it; made if missing"},
        "name": {"type": "string", "maxLength": MAX_NAME},
        "value": {"type": ["number", "string", "boolean"]},
        "data_type": {
            "type": ["string", "null"],
            "enum": [*DATA_TYPES, None],
            "description": "From the value if not given: numeric for a number, categorical for a text, else boolean",
        },
        "trace_id": {**_MAYBE, "description": "What is judged: a trace, with span_id a span of it, or session_id"},
        "span_id": _MAYBE,
        "session_id": _MAYBE,
        "source": {"type": ["string", "null"], "enum": [*SOURCES, None], "default": "api"},
        "author": _MAYBE,
        "comment": {**_MAYBE, "description": f"At most {MAX_TEXT} bytes"},
        "metadata": {"type": ["object", "null"], "description": f"At most {MAX_TEXT} bytes as JSON"},
        "environment": _MAYBE,
        "timestamp": {"type": ["string", "null"], "format": "date-time", "description": "Now if not given"},
    },
}
_RESULT: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["index", "id", "status"],
    "properties": {
        "index": COUNT,
        "id": _MAYBE,
        "status": {"type": "string", "enum": ["accepted", "updated", "rejected"]},
        "code": COUNT,
        "field": _MAYBE,
        "message": TEXT,
    },
}
SEND: Final[dict[str, Any]] = {
    "operation_id": "scores_create",
    "summary": "Store a score, or up to 1,000",
    "description": (
        "A single score that cannot be taken is an error. Of a list each score is taken or refused by itself and the "
        "answer is 200 with a result for each; what is accepted or updated is durable."
    ),
    "tags": TAGS,
    "parameters": [query("project", "The project's slug, for a caller of several; X-Project names it as well")],
    "request": {
        "application/json": {
            "oneOf": [
                _ITEM,
                {
                    "type": "object",
                    "required": ["scores"],
                    "additionalProperties": False,
                    "properties": {"scores": {"type": "array", "maxItems": MAX_ITEMS, "items": _ITEM}},
                },
            ]
        }
    },
    "responses": {
        200: OpenApiResponse(
            obj(accepted=COUNT, updated=COUNT, rejected=COUNT, results=array(_RESULT)),
            examples=[
                OpenApiExample(
                    "scores taken",
                    {
                        "accepted": 1,
                        "updated": 0,
                        "rejected": 1,
                        "results": [
                            {"index": 0, "id": "review-17", "status": "accepted"},
                            {
                                "index": 1,
                                "id": None,
                                "status": "rejected",
                                "code": 1202,
                                "field": "value",
                                "message": "A numeric score has a number between -1e15 and 1e15.",
                            },
                        ],
                    },
                )
            ],
        )
    },
    "examples": [
        OpenApiExample(
            "a number for a trace",
            {"trace_id": "5b8efff798038103d269b633813fc60c", "name": "relevance", "value": 0.86, "source": "evaluator"},
            request_only=True,
        ),
        OpenApiExample(
            "several at once",
            {
                "scores": [
                    {
                        "id": "review-17",
                        "trace_id": "5b8efff798038103d269b633813fc60c",
                        "span_id": "eee19b7ec3c1b174",
                        "name": "tone",
                        "value": "polite",
                        "source": "human",
                        "author": "ada@acme.example",
                        "comment": "As it should be.",
                    },
                    {"session_id": "session-3", "name": "resolved", "value": True},
                ]
            },
            request_only=True,
        ),
    ],
}
