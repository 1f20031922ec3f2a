"""What the OpenAPI document says of the forecast; the figures of the example are invented."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiResponse

from apps.common.reads import fields
from apps.common.reads.schemas import COUNT, META, NUMBER, RANGE, TEXT, TIME, UNTOUCHED, array, nullable, obj, query
from apps.costs.outlook import MOST_DAYS_AHEAD
from apps.costs.reports import question
from apps.metrics.api import samples
from apps.metrics.api.openapi import SOURCES

PARAMETERS = ("project", "timezone", "forecast_period", "days", "forecast_end", *question.FILTERS, "tag")
DATE: dict[str, Any] = {"type": "string", "format": "date"}
MONEY: dict[str, Any] = {"type": ["number", "null"], "description": "US dollars; null where there is no forecast"}
INTERVAL: dict[str, dict[str, Any]] = {
    f"{edge}_{level}_usd": MONEY for level in (80, 95) for edge in ("lower", "upper")
}
PROJECTED: dict[str, dict[str, Any]] = {"projected_usd": MONEY, **INTERVAL}
_ERROR = obj(
    mape={**NUMBER, "description": "Percent, over days that were not 0; null if all were"},
    smape={"type": "number", "description": "Percent, 0 to 200"},
    mase={**NUMBER, "description": "By the seasonal naive error inside the history; null if that is 0"},
)
_PART = {"type": "number", "description": "Part of the backtest inside the interval, 0 to 1"}
BACKTEST = nullable(
    obj(
        origins=COUNT,
        days_ahead=COUNT,
        **_ERROR["properties"],
        coverage_80=_PART,
        coverage_95=_PART,
        total_coverage_80=_PART,
        total_coverage_95=_PART,
        naive=nullable(_ERROR),
        seasonal_naive=nullable(_ERROR),
    )
)
_INTERVAL_EXAMPLE = {"lower_80_usd": 40.1, "upper_80_usd": 52.9, "lower_95_usd": 36.0, "upper_95_usd": 58.2}
_EXAMPLE = {
    "metadata": {
        "start_time": "2025-10-09T00:00:00Z",
        "end_time": "2026-11-06T00:00:00Z",
        "timezone": "UTC",
        "currency": "USD",
        "forecast_period": "next_week",
        "data_source": ["rollup_1d", "raw"],
        "fresh_until": "2026-11-05T23:58:00Z",
        "percentile_error": 0,
        "query_ms": 74.5,
    },
    "history": {"first_date": "2026-03-01", "days": 249, "unpriced_requests": 0},
    "forecast": {
        "status": "ok",
        "start_date": "2026-11-05",
        "end_date": "2026-11-11",
        "days": 7,
        "total_cost_usd": 46.2,
        **_INTERVAL_EXAMPLE,
        "method": "combination",
        "backtest": {
            "origins": 24,
            "days_ahead": 26,
            **{"mape": 9.1, "smape": 8.9, "mase": 0.71},
            **{"coverage_80": 0.81, "coverage_95": 0.96, "total_coverage_80": 0.83, "total_coverage_95": 0.96},
            "naive": {"mape": 24.0, "smape": 22.8, "mase": 1.9},
            "seasonal_naive": {"mape": 13.2, "smape": 12.7, "mase": 1.02},
        },
    },
    "month": {
        "start_date": "2026-11-01",
        "end_date": "2026-11-30",
        "spent_usd": 27.8,
        "projected_usd": 197.4,
        "lower_80_usd": 181.0,
        "upper_80_usd": 214.9,
        "lower_95_usd": 170.2,
        "upper_95_usd": 228.3,
    },
    "data": [
        {
            "date": "2026-11-05",
            "timestamp": "2026-11-05T00:00:00Z",
            "cost_usd": 6.6,
            **{"lower_80_usd": 5.3, "upper_80_usd": 7.9, "lower_95_usd": 4.4, "upper_95_usd": 8.9},
        }
    ],
    "meta": samples.META,
}
FORECAST: dict[str, Any] = {
    "operation_id": "costs_forecast",
    "summary": "What the coming days will cost, how sure that is, and where the month will end",
    "tags": ["costs"],
    "parameters": [
        query(
            "forecast_period",
            "From today, which is not over: 7 days, a calendar month or three; custom: see days and forecast_end",
            enum=("next_week", "next_month", "next_quarter", "custom"),
            default="next_month",
            examples=[OpenApiExample("a week", value="next_week")],
        ),
        query("days", f"With custom: so many days, 1 to {MOST_DAYS_AHEAD}", type=OpenApiTypes.INT),
        query("forecast_end", "With custom: the last day, such as 2026-12-31", type=OpenApiTypes.DATE),
        query("timezone", "IANA name of the zone whose days are meant", default="UTC"),
        RANGE[2],
        *(query(name, f"Only this {name}, or one of several separated by commas") for name in question.FILTERS),
        query("tag", "Only requests with this tag, as it was sent"),
        fields.PARAMETER,
    ],
    "responses": {
        200: OpenApiResponse(
            obj(
                metadata=obj(
                    start_time=TIME,
                    end_time=TIME,
                    timezone=TEXT,
                    currency=TEXT,
                    forecast_period=TEXT,
                    **SOURCES,
                    query_ms={"type": "number"},
                ),
                history=obj(
                    first_date={**DATE, "description": "Of the first request that is still kept"},
                    days={**COUNT, "description": "Days that are over, from the first on"},
                    unpriced_requests={**COUNT, "description": "Requests of the history that are in no cost"},
                ),
                forecast=obj(
                    status={"type": "string", "enum": ["ok", "not_enough_data"]},
                    start_date=DATE,
                    end_date={**DATE, "description": "The last day, included"},
                    days=COUNT,
                    total_cost_usd=MONEY,
                    **INTERVAL,
                    method={"type": ["string", "null"]},
                    backtest=BACKTEST,
                ),
                month=obj(
                    start_date=DATE,
                    end_date={**DATE, "description": "The last day, included"},
                    spent_usd={"type": "number", "description": "Exact, today's part included"},
                    **PROJECTED,
                ),
                data=array(obj(date=DATE, timestamp=TIME, cost_usd=MONEY, **INTERVAL)),
                meta=META,
            ),
            examples=[OpenApiExample("a week", _EXAMPLE)],
        ),
        **UNTOUCHED,
    },
}
