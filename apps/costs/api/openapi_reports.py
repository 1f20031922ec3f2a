"""What the OpenAPI document says of the cost summary and of what a change of cost is made of; figures are invented."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes

from apps.common.reads.schemas import COUNT, NUMBER, TEXT, TIME, array, nullable, obj, query
from apps.costs.api.openapi import FIGURES, METADATA, MONEY, SAMPLE_METADATA, SHARE, operation, sample
from apps.costs.pricing import REASONS
from apps.costs.reports import question
from apps.costs.reports.decompose import FACTORS
from apps.costs.reports.unpriced import UNKNOWN

_NAME = {"type": ["string", "null"]}
_EXACT = {"type": "number"}
_PART = obj(start_time=TIME, end_time=TIME, total_cost_usd=MONEY, requests=COUNT)
_AGAINST = obj(current=_PART, previous=_PART, change_usd=_EXACT, change_pct=NUMBER)
_SHARED = {"total_cost_usd": MONEY, "requests": COUNT, "share": SHARE}
_DIVIDED = obj(data=array(obj(value=_NAME, **_SHARED)), others=obj(groups=COUNT, **_SHARED))
_POINT: dict[str, dict[str, Any]] = {
    "start_time": TIME,
    "total_cost_usd": MONEY,
    "requests": COUNT,
    "complete": {"type": "boolean", "description": "It ends at or before the end of the range"},
    "growth_pct": {**NUMBER, "description": "Against the one before; null where that cost nothing, or this goes on"},
}
_TRACE = obj(project=TEXT, trace_id=TEXT, name=_NAME, start_time=TIME, total_cost_usd=MONEY, requests=COUNT)


def _compared(start: str, before: str) -> dict[str, Any]:
    return {
        "current": {
            "start_time": start,
            "end_time": "2026-11-08T00:00:00Z",
            "total_cost_usd": 45.3,
            "requests": 1500,
        },
        "previous": {
            "start_time": before,
            "end_time": start,
            "total_cost_usd": 30.2,
            "requests": 1000,
        },
        "change_usd": 15.1,
        "change_pct": 50.0,
    }


def _divided(value: str) -> dict[str, Any]:
    return {
        "data": [{"value": value, "total_cost_usd": 45.3, "requests": 1500, "share": 1.0}],
        "others": {"groups": 0, "total_cost_usd": 0, "requests": 0, "share": 0.0},
    }


_TREND = {
    "start_time": "2026-11-02T00:00:00Z",
    "total_cost_usd": 45.3,
    "requests": 1500,
    "complete": True,
    "growth_pct": 12.5,
}
SUMMARY = operation(
    "costs_summary",
    "Where the money goes, against yesterday and last week",
    [],
    {
        "metadata": obj(**METADATA),
        "totals": obj(
            **FIGURES,
            unpriced_requests=COUNT,
            unpriced_share=NUMBER,
            cost_per_request_usd=NUMBER,
            cost_per_1k_tokens_usd=NUMBER,
        ),
        "day_over_day": _AGAINST,
        "week_over_week": _AGAINST,
        "by_provider": _DIVIDED,
        "by_model": _DIVIDED,
        "by_environment": _DIVIDED,
        "daily_trend": array(obj(date={"type": "string", "format": "date"}, **_POINT)),
        "weekly_trend": array(obj(week_of={"type": "string", "format": "date"}, **_POINT)),
        "top_traces": {
            **nullable(array(_TRACE)),
            "description": "The dearest traces that begin in the range; null without traces:read",
        },
    },
    {
        "metadata": SAMPLE_METADATA,
        "totals": {
            **sample(45.3, 1500),
            "unpriced_requests": 0,
            "unpriced_share": 0.0,
            "cost_per_request_usd": 0.0302,
            "cost_per_1k_tokens_usd": 0.033555555556,
        },
        "day_over_day": _compared("2026-11-07T00:00:00Z", "2026-11-06T00:00:00Z"),
        "week_over_week": _compared("2026-11-01T00:00:00Z", "2026-10-25T00:00:00Z"),
        "by_provider": _divided("openai"),
        "by_model": _divided("gpt-4o"),
        "by_environment": _divided("production"),
        "daily_trend": [{"date": "2026-11-02", **_TREND}],
        "weekly_trend": [{"week_of": "2026-11-02", **_TREND}],
        "top_traces": [
            {
                "project": "default",
                "trace_id": "5b8efff798038103d269b633813fc60c",
                "name": "answer",
                "start_time": "2026-11-02T09:30:00Z",
                "total_cost_usd": 0.91,
                "requests": 12,
            }
        ],
    },
)

_EFFECTS = obj(**{f"{name}_usd": _EXACT for name in FACTORS})
_CHANGED: dict[str, dict[str, Any]] = {
    "change_usd": {**_EXACT, "description": "The sum of the effects, to the last decimal"},
    "change_pct": NUMBER,
    "effects": _EFFECTS,
}
_PERIOD = obj(start_time=TIME, end_time=TIME, **FIGURES)
_CHANGE_SAMPLE: dict[str, Any] = {
    "change_usd": 15.1,
    "change_pct": 50.0,
    "effects": {
        "volume_usd": 10.2,
        "mix_usd": 3.1,
        "tokens_per_request_usd": 1.8,
        "priced_share_usd": 0,
        "price_usd": 0,
    },
}
CHANGE = operation(
    "costs_change",
    "Why the cost changed: volume, model mix, tokens a request, priced share and price, adding up exactly",
    [
        query("compare_to", "previous_period, or an offset such as 7d", default="previous_period"),
        query("compare_start", "Start of the period compared with, with compare_end", type=OpenApiTypes.DATETIME),
        query("compare_end", "End of the period compared with; not included", type=OpenApiTypes.DATETIME),
        query(
            "limit",
            f"Models listed, those that changed most first, 1 to {question.MAX_LIMIT}",
            type=OpenApiTypes.INT,
            default=question.DEFAULT_LIMIT,
        ),
    ],
    {
        "metadata": obj(**METADATA, method={"type": "string", "enum": ["shapley"]}, limit=COUNT),
        "current_period": _PERIOD,
        "previous_period": _PERIOD,
        "change": obj(**_CHANGED),
        "others": {**obj(models=COUNT, **_CHANGED), "description": "The models that are not listed, together"},
        "data": array(
            obj(
                provider=_NAME,
                model=_NAME,
                status={"type": "string", "enum": ["both", "new", "gone"]},
                current_cost_usd=MONEY,
                previous_cost_usd=MONEY,
                **_CHANGED,
            )
        ),
    },
    {
        "metadata": {**SAMPLE_METADATA, "method": "shapley", "limit": 50},
        "current_period": {
            "start_time": "2026-11-01T00:00:00Z",
            "end_time": "2026-11-08T00:00:00Z",
            **sample(45.3, 1500),
        },
        "previous_period": {
            "start_time": "2026-10-25T00:00:00Z",
            "end_time": "2026-11-01T00:00:00Z",
            **sample(30.2, 1000),
        },
        "change": _CHANGE_SAMPLE,
        "others": {
            "models": 0,
            "change_usd": 0,
            "change_pct": None,
            "effects": dict.fromkeys(_CHANGE_SAMPLE["effects"], 0),
        },
        "data": [
            {
                "provider": "openai",
                "model": "gpt-4o",
                "status": "both",
                "current_cost_usd": 45.3,
                "previous_cost_usd": 30.2,
                **_CHANGE_SAMPLE,
            }
        ],
    },
)

_TOKENS: dict[str, Any] = {"type": ["integer", "null"]}
UNPRICED = operation(
    "costs_unpriced",
    "Requests without a cost, by model and by the reason",
    [
        query(
            "limit",
            f"Groups listed, the most requests first, 1 to {question.MAX_LIMIT}",
            type=OpenApiTypes.INT,
            default=question.DEFAULT_LIMIT,
        ),
    ],
    {
        "metadata": obj(**METADATA, limit=COUNT),
        "totals": obj(requests=COUNT, unpriced_requests=COUNT, unpriced_share=NUMBER),
        "total_groups": COUNT,
        "others": obj(requests=COUNT),
        "data": array(
            obj(
                provider=_NAME,
                model=_NAME,
                reason={"type": "string", "enum": [*REASONS, UNKNOWN]},
                message=TEXT,
                requests=COUNT,
                total_tokens=_TOKENS,
                prompt_tokens=_TOKENS,
                completion_tokens=_TOKENS,
                first_seen=TIME,
                last_seen=TIME,
            )
        ),
    },
    {
        "metadata": {**SAMPLE_METADATA, "limit": 50},
        "totals": {"requests": 1500, "unpriced_requests": 12, "unpriced_share": 0.008},
        "total_groups": 1,
        "others": {"requests": 0},
        "data": [
            {
                "provider": "acme-llm",
                "model": "acme-large",
                "reason": "unknown_model",
                "message": REASONS["unknown_model"],
                "requests": 12,
                "total_tokens": 14400,
                "prompt_tokens": 12000,
                "completion_tokens": 2400,
                "first_seen": "2026-11-01T08:00:00Z",
                "last_seen": "2026-11-07T17:42:00Z",
            }
        ],
    },
)
