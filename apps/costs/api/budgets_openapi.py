"""What the OpenAPI document says of budgets; the figures of the examples are invented."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiResponse
from rest_framework import serializers

from apps.common.reads import fields, paging
from apps.common.reads.schemas import COUNT, META, TEXT, TIME, UNTOUCHED, array, nullable, obj
from apps.costs.api.forecast_openapi import BACKTEST, DATE, PROJECTED
from apps.costs.budgets.models import Period
from apps.metrics.api import samples
from apps.metrics.api.openapi import SOURCES

TAGS = ["budgets"]
_MONEY: dict[str, Any] = {"type": "number", "description": "US dollars, exact"}
_FLAG: dict[str, Any] = {"type": "boolean"}
_BUDGET: dict[str, dict[str, Any]] = {
    "id": COUNT,
    "name": TEXT,
    "amount_usd": _MONEY,
    "period": {"type": "string", "enum": list(Period.values)},
    "timezone": TEXT,
    "projects": {**array(TEXT), "description": "Slugs; empty: all of the organization"},
    **{
        name: {**array(TEXT), "description": "Empty: all"}
        for name in ("providers", "models", "environments", "teams", "users")
    },
    "thresholds": {**array({"type": "number"}), "description": "Parts of the amount"},
    "hard_stop": _FLAG,
    "starts_on": DATE,
    "active": _FLAG,
    "created_at": TIME,
    "updated_at": TIME,
}
_THRESHOLD = obj(
    threshold={"type": "number"},
    amount_usd=_MONEY,
    reached=_FLAG,
    reached_in={**nullable(TIME), "description": "The beginning of the hour (or day) in which the sum reached it"},
)
_SPENT: dict[str, dict[str, Any]] = {
    "state": {"type": "string", "enum": ["running", "scheduled"]},
    "period_start": DATE,
    "period_end": {**DATE, "description": "The last day, included"},
    "counted_from": TIME,
    "spent_usd": _MONEY,
    "remaining_usd": {**_MONEY, "description": "Less than 0 where the amount is exceeded"},
    "fraction": {"type": "number", "description": "Of the amount that is spent"},
    "thresholds": array(_THRESHOLD),
    "exceeded": {**_FLAG, "description": "More than the amount is spent"},
    "hard_stop_reached": {**_FLAG, "description": "Active, hard_stop, and the amount is spent: stop"},
    "unpriced_requests": {**COUNT, "description": "Requests of the period that are in no sum"},
}
_DAY = {"type": ["string", "null"], "format": "date"}
_FORECAST = nullable(
    obj(
        **PROJECTED,
        forecast_to_exceed={**_DAY, "description": "The first day at whose end more than the amount is spent"},
        exceed_earliest={**_DAY, "description": "The same by the upper edge of the 80% interval"},
        exceed_latest={**_DAY, "description": "The same by the lower edge of the 80% interval"},
        exceed_probability={"type": "number", "description": "That the period ends above the amount, 0 to 1"},
        method=TEXT,
        backtest=BACKTEST,
    )
)
_METADATA = obj(start_time=TIME, end_time=TIME, **SOURCES, query_ms={"type": "number"})
_SAMPLE: dict[str, Any] = {
    "id": 7,
    "name": "Search, monthly",
    "amount_usd": 500,
    "period": "month",
    "timezone": "Europe/Berlin",
    "projects": ["default"],
    **{"providers": [], "models": [], "environments": ["production"], "teams": ["search"], "users": []},
    "thresholds": [0.5, 0.8, 1],
    "hard_stop": True,
    "starts_on": "2026-11-01",
    "active": True,
    "created_at": "2026-11-01T09:00:00Z",
    "updated_at": "2026-11-01T09:00:00Z",
}
_SAMPLE_SPENT: dict[str, Any] = {
    "state": "running",
    "period_start": "2026-11-01",
    "period_end": "2026-11-30",
    "counted_from": "2026-10-31T23:00:00Z",
    "spent_usd": 271.25,
    "remaining_usd": 228.75,
    "fraction": 0.5425,
    "thresholds": [
        {"threshold": 0.5, "amount_usd": 250, "reached": True, "reached_in": "2026-11-15T14:00:00Z"},
        {"threshold": 0.8, "amount_usd": 400, "reached": False, "reached_in": None},
        {"threshold": 1, "amount_usd": 500, "reached": False, "reached_in": None},
    ],
    "exceeded": False,
    "hard_stop_reached": False,
    "unpriced_requests": 0,
}
_SAMPLE_METADATA: dict[str, Any] = {
    "start_time": "2026-10-31T23:00:00Z",
    "end_time": "2026-11-30T23:00:00Z",
    "data_source": ["rollup_1h", "raw"],
    "fresh_until": "2026-11-16T09:58:00Z",
    "percentile_error": 0,
    "query_ms": 81.3,
}
_SAMPLE_FORECAST: dict[str, Any] = {
    "projected_usd": 521.4,
    **{"lower_80_usd": 498.0, "upper_80_usd": 546.2, "lower_95_usd": 484.1, "upper_95_usd": 560.8},
    "forecast_to_exceed": "2026-11-29",
    "exceed_earliest": "2026-11-28",
    "exceed_latest": None,
    "exceed_probability": 0.87,
    "method": "theta_additive",
    "backtest": None,
}


def _response(schema: dict[str, Any], example: dict[str, Any]) -> OpenApiResponse:
    return OpenApiResponse(schema, examples=[OpenApiExample("answer", example, response_only=True)])


_PAGE = obj(
    limit=COUNT,
    next_cursor={"type": ["string", "null"]},
    has_more=_FLAG,
)
LIST: dict[str, Any] = {
    "operation_id": "budgets_list",
    "summary": "Budgets, without their states",
    "tags": TAGS,
    "parameters": [*paging.PARAMETERS, fields.PARAMETER],
    "responses": {
        200: _response(
            obj(data=array(obj(**_BUDGET)), pagination=_PAGE),
            {"data": [_SAMPLE], "pagination": {"limit": 50, "next_cursor": None, "has_more": False}},
        )
    },
    "extensions": {"x-errors": [400]},
}
ONE: dict[str, Any] = {
    "operation_id": "budgets_read",
    "summary": "A budget, where its spending stands, and how its period will end",
    "tags": TAGS,
    "parameters": [fields.PARAMETER],
    "responses": {
        200: _response(
            obj(metadata=_METADATA, **_BUDGET, state=obj(**_SPENT, forecast=_FORECAST), meta=META),
            {
                "metadata": _SAMPLE_METADATA,
                **_SAMPLE,
                "state": {**_SAMPLE_SPENT, "forecast": _SAMPLE_FORECAST},
                "meta": samples.META,
            },
        ),
        **UNTOUCHED,
    },
}
STATUS: dict[str, Any] = {
    "operation_id": "budgets_status",
    "summary": "Where a budget's spending stands, cheap enough to be polled",
    "description": "Without the forecast. With If-None-Match it answers 304 until a request of its period is written.",
    "tags": TAGS,
    "parameters": [fields.PARAMETER],
    "responses": {
        200: _response(
            obj(metadata=_METADATA, id=COUNT, active=_FLAG, **_SPENT, meta=META),
            {"metadata": _SAMPLE_METADATA, "id": 7, "active": True, **_SAMPLE_SPENT, "meta": samples.META},
        ),
        **UNTOUCHED,
    },
}
_SENT = {
    "name": "Search, monthly",
    "amount_usd": 500,
    "period": "month",
    "timezone": "Europe/Berlin",
    "projects": ["default"],
    "teams": ["search"],
    "environments": ["production"],
    "thresholds": [0.5, 0.8, 1],
    "hard_stop": True,
}


def changing(name: str, summary: str, form: type[serializers.Serializer[Any]], status: int) -> dict[str, Any]:
    """A change of a budget, which answers the budget."""
    sent = _SENT if status == 201 else {"amount_usd": 650.5, "thresholds": [0.8, 1]}
    return {
        "operation_id": name,
        "summary": summary,
        "tags": TAGS,
        "request": form,
        "examples": [OpenApiExample("such as", sent, request_only=True)],
        "responses": {status: _response(obj(**_BUDGET), _SAMPLE)},
        "extensions": {"x-errors": [400, 409]},
    }
