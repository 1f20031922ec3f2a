"""What the OpenAPI document says of the search of traces."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiResponse

from apps.common.reads import fields, paging
from apps.common.reads.schemas import COUNT, META, NUMBER, PAGE, TEXT, TIME, array, obj, query
from apps.traces.api import samples
from apps.traces.api.openapi import TAGS
from apps.traces.listing import SORTS
from apps.traces.search.answer import RANKED
from apps.traces.search.fields import FIELDS, OPERATORS
from apps.traces.search.filters import GROUPS
from apps.traces.shown import TRACE

_ROW = obj(**TRACE["properties"], relevance={**NUMBER, "description": "With the order `relevance` alone"})
_METADATA = obj(
    start_time=TIME,
    end_time=TIME,
    complete={"type": "boolean", "description": "false: the page ended before it was full; its cursor leads on"},
    searched_to={
        "oneOf": [TIME, {"type": "null"}],
        "description": "Where it is not complete: the start of the last trace that was looked at",
    },
    query_ms={"type": "number"},
)
_BODY: dict[str, Any] = {
    "type": "object",
    "properties": {
        "filter": {
            "type": "object",
            "description": "A condition {field, operator, value} or {operator: AND, OR or NOT, filters: [...]}, to a"
            " depth of 10 and 100 conditions. Fields are those of docs/search.md; attributes.<key> and score.<name>.",
            "properties": {
                "field": {**TEXT, "examples": list(FIELDS)[:5]},
                "operator": {"type": "string", "enum": [*OPERATORS, *GROUPS]},
                "value": {},
                "filters": array({"type": "object"}),
            },
            "required": ["operator"],
        },
        "project": {"oneOf": [TEXT, array(TEXT)], "description": "Slugs; all that the key may see if not given"},
        "start_time": {**TIME, "description": "7 days before end_time if not given"},
        "end_time": {**TIME, "description": "Now if not given"},
        "sort": {
            "type": "object",
            "properties": {
                "field": {"type": "string", "enum": [*SORTS, "relevance"], "default": "start_time"},
                "order": {"type": "string", "enum": ["desc", "asc"], "default": "desc"},
            },
            "description": f"relevance orders the newest {RANKED} traces that are meant",
        },
        "sort_by": {"type": "string", "enum": [*SORTS, "relevance"]},
        "sort_order": {"type": "string", "enum": ["desc", "asc"]},
        "fields": {"oneOf": [TEXT, array(TEXT)], "description": "Only these fields of every row"},
        "limit": {**COUNT, "minimum": 1, "maximum": paging.MAX_LIMIT, "default": paging.DEFAULT_LIMIT},
        "cursor": {"type": "string", "description": "`next_cursor` of the page before, with the same body"},
    },
    "required": ["filter"],
    "additionalProperties": False,
}
_SLOW = {
    "filter": {
        "operator": "AND",
        "filters": [
            {"field": "kind", "operator": "eq", "value": "llm"},
            {"field": "duration_ms", "operator": "gte", "value": 1000},
            {"operator": "NOT", "filters": [{"field": "status", "operator": "eq", "value": "error"}]},
        ],
    },
    "sort": {"field": "total_cost_usd", "order": "desc"},
    "limit": 20,
}
_WORDS = {
    "filter": {"field": "text", "operator": "search", "value": 'refund* OR "on its way"'},
    "sort": {"field": "relevance"},
    "fields": ["trace_id", "name", "relevance"],
}
SEARCH: dict[str, Any] = {
    "operation_id": "traces_search",
    "summary": "Traces that fulfil a filter",
    "description": "A condition holds for a trace when some span fulfils it; conditions directly under one AND hold on"
    " the same span. Input, output, error_message, text and attributes.<key> need the permission traces:content.",
    "tags": TAGS,
    "parameters": [query("project", "Slugs, separated by commas"), fields.PARAMETER],
    "request": {"application/json": _BODY},
    "examples": [
        OpenApiExample("slow calls without an error", value=_SLOW, request_only=True),
        OpenApiExample("words", value=_WORDS, request_only=True),
    ],
    "responses": {
        200: OpenApiResponse(
            obj(metadata=_METADATA, data=array(_ROW), pagination=PAGE, meta=META),
            description="A page of traces",
            examples=[OpenApiExample("two traces", value=samples.SEARCH)],
        ),
    },
}
