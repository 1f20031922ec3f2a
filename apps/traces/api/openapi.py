"""What the OpenAPI document says of lists of traces."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse

from apps.common.reads import fields, paging
from apps.common.reads.schemas import COUNT, META, NUMBER, PAGE, RANGE, TEXT, TIME, UNTOUCHED, array, obj, query
from apps.traces import detail, filters
from apps.traces.api import openapi_scores, samples
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
        query(
            "search",
            'Words in the input or output of some span: `parcel "on its way" deliver* -refund OR return`. Needs the'
            " permission traces:content; a page may end before it is full and lead on.",
        ),
        query("sort_by", "What the list is ordered by", enum=list(SORTS), default="start_time"),
        query("sort_order", "desc or asc", enum=["desc", "asc"], default="desc"),
        *paging.PARAMETERS,
        fields.PARAMETER,
    ],
    "responses": {
        200: OpenApiResponse(
            obj(data=array(TRACE), pagination=PAGE, meta=META),
            description="A page of traces",
            examples=[OpenApiExample("two traces", value=samples.LIST)],
        ),
        **UNTOUCHED,
    },
}

_OR_NULL = {"type": ["string", "null"]}
_WHOLE = {"type": ["integer", "null"]}
_YES = {"type": "boolean"}
_OPEN: dict[str, Any] = {"type": ["object", "null"], "additionalProperties": True}
_CONTENT = "With the permission traces:content alone, else null. "
_ALWAYS_TEXT = ("name", "kind", "status", "cost_source")
_STEP = obj(span_id=TEXT, name=TEXT, start_time=TIME, end_time=TIME, duration_ms=NUMBER)
_SPAN = obj(
    span_id=TEXT,
    parent_span_id=_OR_NULL,
    depth={**COUNT, "description": "0 for a root"},
    parent_missing={**_YES, "description": "It names a parent that is not there, so it stands as a root"},
    on_critical_path=_YES,
    start_time=TIME,
    end_time=TIME,
    offset_ms={**NUMBER, "description": "From the trace's first start"},
    duration_ms=NUMBER,
    ttft_ms={**NUMBER, "description": "Time to the first token"},
    **{name: TEXT if name in _ALWAYS_TEXT else _OR_NULL for name in detail.TEXTS if name != "billable"},
    billable={**_YES, "description": "It counts as a request, and its tokens and cost in the sums"},
    **dict.fromkeys(detail.TOKENS, _WHOLE),
    **{f"{name}_usd": NUMBER for name in detail.COSTS},
    usage={**_OPEN, "description": "Further kinds of usage, such as audio or searches"},
    tags=array(TEXT),
    labels={**_OPEN, "description": "What is known beside the dimensions: agent, tool, release, finish reasons"},
    flags={**array(TEXT), "description": "What ingest had to mend"},
    error_message={**_OR_NULL, "description": _CONTENT},
    input={**_OR_NULL, "description": _CONTENT},
    output={**_OR_NULL, "description": _CONTENT},
    attributes={**_OPEN, "description": _CONTENT},
    events={"type": ["array", "null"], "items": {}, "description": _CONTENT},
)
_SUMS = ("duration_ms", "span_count", "request_count", "error_count")
_OF_LIST: dict[str, dict[str, Any]] = TRACE["properties"]
_TOTALS = {name: shape for name, shape in _OF_LIST.items() if name in _SUMS or name.endswith(("_tokens", "_cost_usd"))}
DETAIL: dict[str, Any] = {
    "operation_id": "traces_read",
    "summary": "One trace with its spans",
    "description": "Spans stand in the order of their tree: a parent before its children, children by their start. "
    f"Of a longer trace the first {detail.MAX_SPANS} spans are given, and `spans_truncated` says so; totals are those "
    "of the whole trace.",
    "tags": TAGS,
    "parameters": [
        query("project", "Where several projects have the trace: the slug of one"),
        query("content", "false: without inputs, outputs, attributes and events", type=OpenApiTypes.BOOL, default=True),
        query("span_id", "Only this one of the spans; all else is said of the whole trace"),
        fields.PARAMETER,
    ],
    "responses": {
        200: OpenApiResponse(
            obj(
                **{name: shape for name, shape in _OF_LIST.items() if name not in _TOTALS},
                root_span_id=_OR_NULL,
                totals=obj(**_TOTALS),
                spans=array(_SPAN),
                spans_truncated=_YES,
                content_visible={**_YES, "description": "The caller may see texts and attributes"},
                content_truncated={
                    **_YES,
                    "description": f"Texts beyond {detail.MAX_CONTENT // 1_000_000} MB were left out",
                },
                critical_path={**array(_STEP), "description": "What the trace was waiting for, from start to end"},
                scores=array(openapi_scores.SCORE),
                scores_truncated=_YES,
                meta=META,
            ),
            description="The trace",
            examples=[OpenApiExample("a trace", value=samples.DETAIL)],
        ),
        **UNTOUCHED,
    },
}

_COUNTS: dict[str, Any] = {
    "type": "object",
    "description": "What went, by kind: traces, spans, scores, dead_letters; exports where any held them; of a user "
    "frozen cells",
    "additionalProperties": COUNT,
}
_GONE = {"complete": {**_YES, "description": "false: the rest goes by and by"}, "deleted": _COUNTS, "meta": META}
DELETE: dict[str, Any] = {
    "operation_id": "traces_delete",
    "summary": "Delete a trace for good",
    "description": "Its spans, texts, scores and dead letters go, every figure is corrected, and a tombstone keeps "
    "retries, imports and dead letters from bringing it back.",
    "tags": TAGS,
    "parameters": [query("project", "Where several projects have the trace: the slug of one")],
    "responses": {
        200: OpenApiResponse(
            obj(trace_id=TEXT, **_GONE),
            description="It is gone",
            examples=[OpenApiExample("gone", value=samples.DELETED)],
        )
    },
}
DELETE_USER: dict[str, Any] = {
    "operation_id": "traces_delete_by_user",
    "summary": "Delete all traces of a user for good",
    "description": "As for one trace; what older figures hold of the user by name goes too, sums that name nobody "
    "stay. A deletion that takes longer than a request may is carried on: 202, and `complete` is false.",
    "tags": TAGS,
    "parameters": [
        query(
            "user_id",
            "The user, as the traces name it",
            required=True,
            examples=[OpenApiExample("a user", value="user-4")],
        ),
        query("project", "Slugs, separated by commas; all that the key may see if not given"),
    ],
    "responses": {
        status: OpenApiResponse(
            obj(user_id=TEXT, **_GONE),
            description=description,
            examples=[OpenApiExample(f"answer {status}", value={**samples.DELETED_USER, "complete": status == 200})],
        )
        for status, description in ((200, "All are gone"), (202, "Some are gone, the rest is on its way"))
    },
}
