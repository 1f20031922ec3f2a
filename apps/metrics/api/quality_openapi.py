"""What the OpenAPI schema says of the quality report."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiResponse

from apps.common.reads import fields
from apps.common.reads.schemas import COUNT, META, NUMBER, RANGE, TEXT, TIME, UNTOUCHED, array, nullable, obj, query
from apps.metrics.api.openapi import FILTERS, SOURCES, TAGS
from apps.metrics.buckets import INTERVALS
from apps.metrics.reports import quality
from apps.metrics.reports.base import MOST_GROUPS

_MAYBE: dict[str, Any] = {"type": ["string", "null"]}
_FIGURES: dict[str, Any] = {
    "requests": COUNT,
    "error_count": COUNT,
    "success_count": COUNT,
    "error_rate": NUMBER,
    "success_rate": NUMBER,
}
_PERIOD = obj(start_time=TIME, end_time=TIME, **_FIGURES)
_MESSAGE: dict[str, Any] = {"type": ["string", "null"], "description": "Content: null without traces:content"}
_MODEL = obj(provider=_MAYBE, model=_MAYBE, **_FIGURES)
_ERROR = obj(error_type=_MAYBE, count=COUNT, percentage=NUMBER, sample_message=_MESSAGE)
_SCORE = obj(
    name=TEXT,
    count=COUNT,
    previous_count={"type": ["integer", "null"]},
    count_change_pct=NUMBER,
    small_sample={"type": "boolean", "description": "Fewer than 30 scores"},
    numeric=nullable(
        obj(
            count=COUNT,
            avg=NUMBER,
            stddev=NUMBER,
            min=NUMBER,
            max=NUMBER,
            previous_avg=NUMBER,
            avg_change_pct=NUMBER,
        )
    ),
    boolean=nullable(
        obj(
            count=COUNT,
            true_count=COUNT,
            true_share=NUMBER,
            previous_true_share=NUMBER,
            true_share_change_pct=NUMBER,
        )
    ),
    categorical=nullable(
        obj(count=COUNT, labels=COUNT, distribution=array(obj(label=TEXT, count=COUNT, share={"type": "number"})))
    ),
    series=array(obj(timestamp=TIME, count=COUNT, avg=NUMBER, true_share=NUMBER)),
)


def _figures(requests: int, errors: int) -> dict[str, Any]:
    rate = errors / requests
    return {
        "requests": requests,
        "error_count": errors,
        "success_count": requests - errors,
        "error_rate": rate,
        "success_rate": 1 - rate,
    }


_MODEL_EXAMPLE = {"provider": "openai", "model": "gpt-4o", **_figures(800, 8)}
_EXAMPLE: dict[str, Any] = {
    "metadata": {
        "start_time": "2026-11-05T00:00:00Z",
        "end_time": "2026-11-06T00:00:00Z",
        "interval": "1hour",
        "timezone": "UTC",
        "data_source": ["rollup_1h", "scores"],
        "fresh_until": "2026-11-06T00:00:00Z",
        "percentile_error": 0,
        "query_ms": 21.4,
    },
    "current_period": {
        "start_time": "2026-11-05T00:00:00Z",
        "end_time": "2026-11-06T00:00:00Z",
        **_figures(1_600, 16),
    },
    "previous_period": {
        "start_time": "2026-11-04T00:00:00Z",
        "end_time": "2026-11-05T00:00:00Z",
        **_figures(1_600, 32),
    },
    "changes": {
        "requests_change_pct": 0.0,
        "error_count_change_pct": -50.0,
        "error_rate_change_pct": -50.0,
        "success_rate_change_pct": 1.0204,
    },
    "most_common_errors": [
        {"error_type": "rate_limit", "count": 12, "percentage": 75.0, "sample_message": "Too many requests"}
    ],
    "models": [_MODEL_EXAMPLE],
    "least_reliable": [_MODEL_EXAMPLE],
    "scores": [
        {
            "name": "relevance",
            "count": 120,
            "previous_count": 100,
            "count_change_pct": 20.0,
            "small_sample": False,
            "numeric": {
                "count": 120,
                "avg": 0.84,
                "stddev": 0.11,
                "min": 0.2,
                "max": 1.0,
                "previous_avg": 0.8,
                "avg_change_pct": 5.0,
            },
            "boolean": None,
            "categorical": None,
            "series": [{"timestamp": "2026-11-05T09:00:00Z", "count": 7, "avg": 0.86, "true_share": None}],
        }
    ],
    "series": [{"timestamp": "2026-11-05T09:00:00Z", **_figures(100, 1)}],
    "meta": {"request_id": "req_01jd", "cached": False, "computed_at": "2026-11-06T00:00:04Z"},
}
QUALITY: dict[str, Any] = {
    "operation_id": "metrics_quality",
    "summary": "Errors, by model and over time, and scores",
    "tags": TAGS,
    "parameters": [
        query("interval", "Length of a bucket of the series", enum=INTERVALS, default="1hour"),
        query("granularity", "Another name for interval", enum=INTERVALS),
        query("timezone", "IANA name of the zone whose clock buckets follow", default="UTC"),
        query("limit", f"How many models are shown, 1 to {MOST_GROUPS}", type=OpenApiTypes.INT, default=20),
        query("compare_previous_period", "false leaves the previous period out", type=OpenApiTypes.BOOL),
        *RANGE,
        *FILTERS,
        fields.PARAMETER,
    ],
    "responses": {
        200: OpenApiResponse(
            obj(
                metadata=obj(
                    start_time=TIME,
                    end_time=TIME,
                    interval={"type": "string", "enum": list(INTERVALS)},
                    timezone=TEXT,
                    **SOURCES,
                    query_ms={"type": "number"},
                ),
                current_period=_PERIOD,
                previous_period=nullable(_PERIOD),
                changes=nullable(obj(**dict.fromkeys(quality.CHANGES, NUMBER))),
                most_common_errors=array(_ERROR),
                models=array(_MODEL),
                least_reliable=array(_MODEL),
                scores=array(_SCORE),
                series=array(obj(timestamp=TIME, **_FIGURES)),
                meta=META,
            ),
            examples=[OpenApiExample("answer", _EXAMPLE, response_only=True)],
        ),
        **UNTOUCHED,
    },
}
