"""What the OpenAPI schema says of the reports over metrics."""

from __future__ import annotations

from typing import Any, get_args

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiResponse

from apps.common.reads import fields
from apps.common.reads.schemas import COUNT, META, NUMBER, RANGE, TEXT, TIME, UNTOUCHED, array, nullable, obj, query
from apps.metrics.api.openapi import FILTERS, SERIES, SOURCES, TAGS
from apps.metrics.buckets import INTERVALS
from apps.metrics.catalog import AGGREGATIONS, CATALOGUE
from apps.metrics.reports import models, performance, trends
from apps.metrics.reports.base import GROUPS, MOST_GROUPS
from apps.metrics.trend import Method

_TEXT_OR_NULL: dict[str, Any] = {"type": ["string", "null"]}
_MILLISECONDS: dict[str, Any] = {"type": "number"}
META_EXAMPLE = {"request_id": "req_01jd", "cached": False, "computed_at": "2026-11-06T00:00:04Z"}
DAY = {"start_time": "2026-11-05T00:00:00Z", "end_time": "2026-11-06T00:00:00Z"}
DAY_BEFORE = {"start_time": "2026-11-04T00:00:00Z", "end_time": "2026-11-05T00:00:00Z"}
_TOLD = {"data_source": ["rollup_1h"], "fresh_until": "2026-11-06T00:00:00Z", "percentile_error": 0.01, "query_ms": 9.2}
_DESCRIBED: dict[str, Any] = {"start_time": TIME, "end_time": TIME, **SOURCES, "query_ms": _MILLISECONDS}
_LIMIT = query("limit", f"How many groups are shown, 1 to {MOST_GROUPS}", type=OpenApiTypes.INT)
_COMPARE = query("compare_previous_period", "false leaves the previous period out", type=OpenApiTypes.BOOL)


def _answer(schema: dict[str, Any], example: dict[str, Any]) -> dict[int | tuple[int, str], Any]:
    shown = OpenApiExample("answer", {**example, "meta": META_EXAMPLE}, response_only=True)
    return {200: OpenApiResponse(schema, examples=[shown]), **UNTOUCHED}


def _free(*names: str) -> dict[str, Any]:
    """An object that may have these texts beside what it must have."""
    return dict.fromkeys(names, _TEXT_OR_NULL)


# -- performance ---------------------------------------------------------------------------------------------------

_LATENCY = obj(**{name: NUMBER for name, _, _ in performance.LATENCY})
_TTFT = obj(
    count=COUNT, **{name.removeprefix("ttft_"): NUMBER for name, _, _ in performance.TTFT if name != "ttft_count"}
)
_RATES: dict[str, Any] = {
    "requests": COUNT,
    "errors": COUNT,
    "error_rate": NUMBER,
    "throughput_rps": {"type": "number"},
    "tokens_per_second": NUMBER,
}
_FIGURES: dict[str, Any] = {**_RATES, "latency": _LATENCY, "ttft": _TTFT}
_PERIOD = obj(start_time=TIME, end_time=TIME, **_FIGURES)


def _grouped(schema: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "properties": {**_free(*GROUPS), **schema["properties"]}}


_FIGURES_EXAMPLE: dict[str, Any] = {
    "requests": 1500,
    "errors": 12,
    "error_rate": 0.008,
    "throughput_rps": 0.017361111111,
    "tokens_per_second": 74.2,
    "latency": {
        "avg_ms": 1210.5,
        "stddev_ms": 804.1,
        "min_ms": 180.2,
        "max_ms": 9120.0,
        "p50_ms": 990.1,
        "p90_ms": 2310.4,
        "p95_ms": 2890.7,
        "p99_ms": 4120.9,
    },
    "ttft": {
        "count": 1400,
        "avg_ms": 310.4,
        "stddev_ms": 120.3,
        "min_ms": 90.0,
        "max_ms": 1400.0,
        "p50_ms": 288.1,
        "p90_ms": 470.2,
        "p95_ms": 540.8,
        "p99_ms": 802.5,
    },
}
_NAMED = {"provider": "openai", "model": "gpt-4o"}
_PERFORMANCE_EXAMPLE = {
    "metadata": {**DAY, "interval": "1hour", "timezone": "UTC", "group_by": ["provider", "model"], **_TOLD},
    "current_period": {**DAY, **_FIGURES_EXAMPLE},
    "previous_period": {**DAY_BEFORE, **_FIGURES_EXAMPLE},
    "changes": dict.fromkeys(performance.CHANGES, 0.0),
    "groups": [{**_NAMED, **_FIGURES_EXAMPLE}],
    "slowest": [{**_NAMED, "requests": 1500, "p50_ms": 990.1, "p95_ms": 2890.7, "p99_ms": 4120.9}],
    "series": [
        {
            "timestamp": "2026-11-05T00:00:00Z",
            "requests": 62,
            "errors": 1,
            "error_rate": 0.016129032258,
            "throughput_rps": 0.017222222222,
            "tokens_per_second": 71.3,
            "avg_ms": 1190.2,
            "p50_ms": 970.4,
            "p95_ms": 2711.0,
            "p99_ms": 3980.1,
            "ttft_p50_ms": 291.0,
            "ttft_p95_ms": 551.7,
        }
    ],
}


def performance_operation(operation_id: str) -> dict[str, Any]:
    """The operation, which has two paths."""
    return {
        "operation_id": operation_id,
        "summary": "Latency, time to first token, throughput and errors",
        "tags": TAGS,
        "parameters": [
            query("interval", "Length of a bucket of the series", enum=INTERVALS, default="1hour"),
            query("granularity", "Another name for interval", enum=INTERVALS),
            query("group_by", f"One or two of: {', '.join(GROUPS)}; provider,model if not given"),
            query("timezone", "IANA name of the zone whose clock buckets follow", default="UTC"),
            _LIMIT,
            _COMPARE,
            *RANGE,
            *FILTERS,
            fields.PARAMETER,
        ],
        "responses": _answer(
            obj(
                metadata=obj(
                    **_DESCRIBED,
                    interval={"type": "string", "enum": list(INTERVALS)},
                    timezone=TEXT,
                    group_by=array(TEXT),
                ),
                current_period=_PERIOD,
                previous_period=nullable(_PERIOD),
                changes=nullable(obj(**dict.fromkeys(performance.CHANGES, NUMBER))),
                groups=array(_grouped(obj(**_FIGURES))),
                slowest=array(_grouped(obj(requests=COUNT, p50_ms=NUMBER, p95_ms=NUMBER, p99_ms=NUMBER))),
                series=array(
                    obj(
                        timestamp=TIME,
                        **_RATES,
                        **{name: NUMBER for name, _, _ in performance.SERIES if name not in _RATES},
                    )
                ),
                meta=META,
            ),
            _PERFORMANCE_EXAMPLE,
        ),
    }


# -- models --------------------------------------------------------------------------------------------------------

_COUNTS = ("requests", "errors", "ttft_count")
_MODEL = obj(
    provider=_TEXT_OR_NULL,
    model=_TEXT_OR_NULL,
    **{name: COUNT if name in _COUNTS else NUMBER for name, _, _ in models.FIGURES if name != "priced_requests"},
    cost_per_successful_request_usd=NUMBER,
    unpriced_requests=COUNT,
    share_of_requests={"type": "number"},
    share_of_cost=NUMBER,
)
_MODELS_EXAMPLE = {
    "metadata": {**DAY, **_TOLD},
    "data": [
        {
            "provider": "openai",
            "model": "gpt-4o",
            "requests": 1500,
            "errors": 12,
            "error_rate": 0.008,
            "total_cost_usd": 45.3,
            "cost_per_request_usd": 0.0302,
            "total_tokens": 1800000,
            "prompt_tokens": 1500000,
            "completion_tokens": 300000,
            "tokens_per_request": 1200.0,
            "avg_duration_ms": 1210.5,
            "p50_duration_ms": 990.1,
            "p95_duration_ms": 2890.7,
            "ttft_count": 1400,
            "avg_ttft_ms": 310.4,
            "p95_ttft_ms": 540.8,
            "tokens_per_second": 74.2,
            "cost_per_successful_request_usd": 0.030443548387,
            "unpriced_requests": 0,
            "share_of_requests": 1.0,
            "share_of_cost": 1.0,
        }
    ],
    "totals": {"models": 1, "requests": 1500, "total_cost_usd": 45.3, "total_tokens": 1800000},
}
MODELS: dict[str, Any] = {
    "operation_id": "metrics_models",
    "summary": "Every model: requests, cost, tokens, speed, errors",
    "tags": TAGS,
    "parameters": [
        query("sort_by", "Greatest first", enum=tuple(models.SORTS), default="requests"),
        _LIMIT,
        *RANGE,
        *FILTERS,
        fields.PARAMETER,
    ],
    "responses": _answer(
        obj(
            metadata=obj(**_DESCRIBED),
            data=array(_MODEL),
            totals=obj(models=COUNT, requests=COUNT, total_cost_usd=NUMBER, total_tokens=NUMBER),
            meta=META,
        ),
        _MODELS_EXAMPLE,
    ),
}

# -- trends --------------------------------------------------------------------------------------------------------

_TREND_EXAMPLE = {
    "metric": "duration",
    "aggregation": "avg",
    "unit": "ms",
    "direction": "up",
    "reason": None,
    "points": 168,
    "median": 1210.5,
    "method": "seasonal_kendall",
    "cycles": 7,
    "tau": 0.61,
    "p_value": 0.0031,
    "p_adjusted": 0.0062,
    "variance_inflation": 2.4,
    "slope_per_day": 31.2,
    "slope_per_day_low": 12.9,
    "slope_per_day_high": 48.8,
    "slope_pct_per_day": 2.5774,
}
_TREND = obj(
    metric=TEXT,
    aggregation={"type": "string", "enum": list(AGGREGATIONS)},
    unit=TEXT,
    direction={"type": "string", "enum": ["up", "down", "flat", "unclear", "not_enough_data"]},
    reason=_TEXT_OR_NULL,
    points=COUNT,
    median=NUMBER,
    method={"type": ["string", "null"], "enum": [*get_args(Method), None]},
    cycles={"type": ["integer", "null"]},
    **dict.fromkeys(
        (
            "tau",
            "p_value",
            "p_adjusted",
            "variance_inflation",
            "slope_per_day",
            "slope_per_day_low",
            "slope_per_day_high",
            "slope_pct_per_day",
        ),
        NUMBER,
    ),
)
_TREND_POINT: dict[str, Any] = {
    "type": "object",
    "properties": {"timestamp": TIME},
    "required": ["timestamp"],
    "additionalProperties": NUMBER,
}
TRENDS: dict[str, Any] = {
    "operation_id": "metrics_trends",
    "summary": "Which metrics go up or down, by a test of significance",
    "tags": TAGS,
    "parameters": [
        query("metrics", f"1 to {trends.MOST_METRICS} of: {', '.join(CATALOGUE)}", default=",".join(trends.DEFAULT)),
        query("aggregation", "For all metrics; each one's natural one if not given", enum=AGGREGATIONS),
        query(
            "interval",
            f"Distance of two points, at most {trends.MAX_POINTS} of them; if not given 15min below two days, "
            "1day from 28 days on, 1hour between",
            enum=INTERVALS,
        ),
        query("granularity", "Another name for interval", enum=INTERVALS),
        query("alpha", "Level of significance, 0.0001 to 0.5", type=OpenApiTypes.DOUBLE, default=0.05),
        query("timezone", "IANA name of the zone whose clock buckets follow", default="UTC"),
        *RANGE,
        *FILTERS,
        fields.PARAMETER,
    ],
    "responses": _answer(
        obj(
            metadata=obj(
                **_DESCRIBED,
                interval={"type": "string", "enum": list(INTERVALS)},
                timezone=TEXT,
                alpha=_MILLISECONDS,
                correction={"type": "string", "enum": ["holm"]},
            ),
            data=array(_TREND),
            series=array(_TREND_POINT),
            meta=META,
        ),
        {
            "metadata": {**DAY, **_TOLD, "interval": "1hour", "timezone": "UTC", "alpha": 0.05, "correction": "holm"},
            "data": [_TREND_EXAMPLE],
            "series": [{"timestamp": "2026-11-05T00:00:00Z", "duration": 1190.2}],
        },
    ),
}

# -- one metric ----------------------------------------------------------------------------------------------------

NAME = query("name", f"One of: {', '.join(CATALOGUE)}", location="path", required=True)
_VALUES = {"type": "object", "additionalProperties": NUMBER}
_METRIC_PERIOD = obj(start_time=TIME, end_time=TIME, values=_VALUES)
_METRIC_EXAMPLE = {
    "metadata": {**DAY, "data_source": ["rollup_1h"], "fresh_until": "2026-11-06T00:00:00Z", "percentile_error": 0}
    | {"query_ms": 3.1},
    "metric": {
        "name": "request_count",
        "unit": "requests",
        "description": "Billable spans.",
        "default_aggregation": "sum",
        "dimensions": ["provider", "model"],
    },
    "value": 1500,
    "current_period": {**DAY, "values": {"sum": 1500, "count": 1500}},
    "previous_period": {**DAY_BEFORE, "values": {"sum": 1200, "count": 1200}},
    "changes_pct": {"sum": 25.0, "count": 25.0},
}
METRIC: dict[str, Any] = {
    "operation_id": "metrics_metric",
    "summary": "One metric under every aggregation, beside the period before",
    "tags": TAGS,
    "parameters": [NAME, *RANGE, *FILTERS, fields.PARAMETER],
    "responses": _answer(
        obj(
            metadata=obj(**_DESCRIBED),
            metric=obj(name=TEXT, unit=TEXT, description=TEXT, default_aggregation=TEXT, dimensions=array(TEXT)),
            value=NUMBER,
            current_period=_METRIC_PERIOD,
            previous_period=_METRIC_PERIOD,
            changes_pct=_VALUES,
            meta=META,
        ),
        _METRIC_EXAMPLE,
    ),
}
_TIMESERIES_EXAMPLE = {
    "metadata": {
        "interval": "1hour",
        **DAY,
        "timezone": "UTC",
        "metrics": ["total_cost"],
        "group_by": ["model"],
        "data_source": ["rollup_1h"],
        "fresh_until": "2026-11-06T00:00:00Z",
        "percentile_error": 0,
        "total_points": 1,
        "query_ms": 3.3,
    },
    "data": [{"timestamp": "2026-11-05T00:00:00Z", "model": "gpt-4o", "total_cost": 45.3}],
}
TIMESERIES: dict[str, Any] = {
    **SERIES,
    "operation_id": "metrics_metric_timeseries",
    "summary": "One metric over time",
    "parameters": [
        NAME,
        query("aggregation", "The metric's natural one if not given", enum=AGGREGATIONS),
        *(item for item in SERIES["parameters"] if item.name not in ("metrics", "aggregation")),
    ],
    "responses": _answer(SERIES["responses"][200].response, _TIMESERIES_EXAMPLE),
}
