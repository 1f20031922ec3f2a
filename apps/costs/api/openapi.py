"""What the OpenAPI document says of the cost reports; the figures of the examples are invented."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiResponse

from apps.common.reads import fields
from apps.common.reads.schemas import COUNT, META, RANGE, TEXT, TIME, UNTOUCHED, array, obj, query
from apps.costs.reports import question, shares
from apps.metrics.api import samples
from apps.metrics.api.openapi import SOURCES

TAGS = ["costs"]
INTERVALS = ("1hour", "6hour", "1day", "1week", "1month")
GROUPS = ("provider", "model", "environment", "project", "user_id", "session_id", "team", "kind", "status")

MONEY: dict[str, Any] = {"type": ["number", "null"], "description": "US dollars, exact; null where nothing is priced"}
_TOKENS: dict[str, Any] = {"type": ["integer", "null"]}
FIGURES: dict[str, dict[str, Any]] = {
    "total_cost_usd": MONEY,
    "prompt_cost_usd": MONEY,
    "completion_cost_usd": MONEY,
    "requests": COUNT,
    "priced_requests": COUNT,
    "total_tokens": _TOKENS,
    "prompt_tokens": _TOKENS,
    "completion_tokens": _TOKENS,
}
SHARE: dict[str, Any] = {"type": "number", "description": "Fraction of the total cost"}
SHARED = [
    *RANGE,
    query("timezone", "IANA name of the zone whose days, weeks and months are meant", default="UTC"),
    *(query(name, f"Only this {name}, or one of several separated by commas") for name in question.FILTERS),
    query("tag", "Only requests with this tag, as it was sent"),
    fields.PARAMETER,
]
METADATA: dict[str, dict[str, Any]] = {
    "start_time": TIME,
    "end_time": TIME,
    "timezone": TEXT,
    "currency": {"type": "string", "enum": ["USD"]},
    "filters": {"type": "object"},
    **SOURCES,
    "query_ms": {"type": "number"},
}
SAMPLE_METADATA: dict[str, Any] = {
    "start_time": "2026-11-01T00:00:00Z",
    "end_time": "2026-11-08T00:00:00Z",
    "timezone": "UTC",
    "currency": "USD",
    "filters": {},
    "data_source": ["rollup_1d"],
    "fresh_until": "2026-11-08T00:00:00Z",
    "percentile_error": 0,
    "query_ms": 6.2,
}


def sample(cost: float, requests: int, share: float | None = None) -> dict[str, Any]:
    """Invented figures."""
    made = {
        "total_cost_usd": cost,
        "prompt_cost_usd": round(cost * 0.4, 6),
        "completion_cost_usd": round(cost * 0.6, 6),
        "requests": requests,
        "priced_requests": requests,
        "total_tokens": requests * 900,
        "prompt_tokens": requests * 700,
        "completion_tokens": requests * 200,
    }
    return made if share is None else {**made, "share": share}


def operation(
    name: str, summary: str, parameters: list[Any], answer: dict[str, dict[str, Any]], example: dict[str, Any]
) -> dict[str, Any]:
    """A GET of costs."""
    return {
        "operation_id": name,
        "summary": summary,
        "tags": TAGS,
        "parameters": [*parameters, *SHARED],
        "responses": {
            200: OpenApiResponse(
                obj(**answer, meta=META), examples=[OpenApiExample("answer", {**example, "meta": samples.META})]
            ),
            **UNTOUCHED,
        },
    }


_ROW = obj(timestamp=TIME, **FIGURES) | {"additionalProperties": {"type": ["string", "number", "null"]}}
COSTS = operation(
    "costs_series",
    "Cost over time, with totals that the buckets add up to exactly",
    [
        query("interval", "Length of a bucket; granularity is another name", enum=INTERVALS, default="1day"),
        query("granularity", "Another name for interval", enum=INTERVALS),
        query(
            "group_by",
            f"Up to 3 of: {', '.join(GROUPS)}",
            examples=[OpenApiExample("by model", value="model")],
        ),
        query("fill", "zero: rows for buckets without requests too", enum=("none", "zero"), default="none"),
    ],
    {
        "metadata": obj(**METADATA, interval={"type": "string", "enum": list(INTERVALS)}, group_by=array(TEXT)),
        "totals": obj(**FIGURES),
        "data": array(_ROW),
    },
    {
        "metadata": {**SAMPLE_METADATA, "interval": "1day", "group_by": ["model"]},
        "totals": sample(45.3, 1500),
        "data": [{"timestamp": "2026-11-01T00:00:00Z", "model": "gpt-4o", **sample(45.3, 1500)}],
    },
)

_PAGE = [
    query(
        "limit",
        f"The dearest so many, 1 to {question.MAX_LIMIT}",
        type=OpenApiTypes.INT,
        default=question.DEFAULT_LIMIT,
    ),
    query("min_cost", "Leave what costs less, in dollars, to `others`", type=OpenApiTypes.NUMBER),
]
_NAME = {"type": ["string", "null"]}
_TAG_PARTS = {
    "key": {**_NAME, "description": "Of a tag: the part before the first colon; null without one"},
    "tag_value": {**_NAME, "description": "Of a tag: the part after the first colon"},
}
_VALUE = {
    "type": "object",
    "properties": {"value": _NAME, **_TAG_PARTS, **FIGURES, "share": SHARE},
    "required": ["value", *FIGURES, "share"],
}
_SHARES: dict[str, dict[str, Any]] = {
    "totals": obj(**FIGURES),
    "total_groups": {**COUNT, "description": "Groups that cost min_cost or more, shown or not"},
    "sums_may_exceed_total": {
        "type": "boolean",
        "description": "A request counts once for each of its tags, so groups may add up to more than the total",
    },
    "others": {**obj(**FIGURES, share=SHARE), "description": "The groups that are not shown, together"},
    "data": array(_VALUE),
}
_SHARES_SAMPLE: dict[str, Any] = {
    "totals": sample(45.3, 1500),
    "total_groups": 2,
    "sums_may_exceed_total": False,
    "others": sample(0, 0, 0.0),
    "data": [
        {"value": "gpt-4o", **sample(40.0, 1000, 0.883002)},
        {"value": "gpt-4o-mini", **sample(5.3, 500, 0.116998)},
    ],
}
BREAKDOWN = operation(
    "costs_breakdown",
    "What the money went to: the dearest groups, the others, and the whole",
    [
        query(
            "by",
            "What to divide by",
            default="model",
            enum=tuple(shares.BREAKDOWN),
            examples=[OpenApiExample("by model", value="model")],
        ),
        *_PAGE,
    ],
    {"metadata": obj(**METADATA, by=TEXT, limit=COUNT), **_SHARES},
    {"metadata": {**SAMPLE_METADATA, "by": "model", "limit": 50}, **_SHARES_SAMPLE},
)
ATTRIBUTION = operation(
    "costs_attribution",
    "Who is to answer for the money, and how much of it nobody is",
    [
        query(
            "dimension",
            "What to attribute to; team is the tag `team:`",
            default="team",
            enum=tuple(shares.ATTRIBUTION),
            examples=[OpenApiExample("by team", value="team")],
        ),
        query("key", "With dimension=tag: only tags `key:value` of this key"),
        *_PAGE,
    ],
    {
        "metadata": obj(**METADATA, dimension=TEXT, key=_NAME, limit=COUNT),
        **_SHARES,
        "unattributed": {**obj(**FIGURES, share=SHARE), "description": "Requests without a value"},
    },
    {
        "metadata": {**SAMPLE_METADATA, "dimension": "team", "key": None, "limit": 50},
        **_SHARES_SAMPLE,
        "data": [{"value": "search", **sample(45.3, 1500, 1.0)}],
        "total_groups": 1,
        "unattributed": sample(0, 0, 0.0),
    },
)
