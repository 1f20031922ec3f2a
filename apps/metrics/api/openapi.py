"""What the OpenAPI schema says of the metrics endpoints."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiResponse

from apps.common.reads import fields
from apps.common.reads.schemas import COUNT, META, NUMBER, RANGE, TEXT, TIME, UNTOUCHED, array, nullable, obj, query
from apps.metrics.api import samples
from apps.metrics.buckets import INTERVALS
from apps.metrics.catalog import AGGREGATIONS, CATALOGUE, DIMENSION_NAMES, SCORE_NAME
from apps.metrics.params import FILTER_PARAMETERS
from apps.metrics.spec import MAX_GROUPS, MAX_METRICS, MAX_ROWS

TAGS = ["metrics"]
SOURCES: dict[str, dict[str, Any]] = {
    "data_source": array(
        {"type": "string", "enum": ["rollup_1d", "rollup_1h", "rollup_15m", "rollup_1m", "raw", "scores"]}
    ),
    "fresh_until": nullable(TIME),
    "percentile_error": {"type": "number", "description": "0 where exact, else the guaranteed relative error"},
}
_METADATA: dict[str, dict[str, Any]] = {
    "interval": {"type": ["string", "null"], "enum": [*INTERVALS, None]},
    "start_time": TIME,
    "end_time": TIME,
    "timezone": TEXT,
    "metrics": array(TEXT),
    "group_by": array(TEXT),
    **SOURCES,
    "total_points": COUNT,
    "query_ms": {"type": "number"},
}
_ROW: dict[str, Any] = {
    "type": "object",
    "properties": {"timestamp": {**TIME, "description": "The bucket's start; absent without an interval"}},
    "additionalProperties": {"type": ["string", "number", "null"]},
}


FILTERS = [query(name, f"Only this {name}, or one of several separated by commas") for name in FILTER_PARAMETERS]
_SERIES_EXAMPLE = {
    "metadata": {
        "interval": "1hour",
        "start_time": "2026-11-05T00:00:00Z",
        "end_time": "2026-11-06T00:00:00Z",
        "timezone": "UTC",
        "metrics": ["request_count", "total_cost"],
        "group_by": ["provider", "model"],
        "data_source": ["rollup_1h", "raw"],
        "fresh_until": "2026-11-05T23:58:00Z",
        "percentile_error": 0,
        "total_points": 24,
        "query_ms": 4.1,
    },
    "data": [
        {
            "timestamp": "2026-11-05T00:00:00Z",
            "provider": "openai",
            "model": "gpt-4o",
            "request_count": 1500,
            "total_cost": 45.3,
        }
    ],
    "meta": {"request_id": "req_01jd", "cached": False, "computed_at": "2026-11-06T00:00:04Z"},
}
METRIC_NAME: dict[str, Any] = {
    "type": "string",
    "anyOf": [{"enum": list(CATALOGUE)}, {"pattern": rf"^score\.{SCORE_NAME.pattern}$"}],
}
SERIES: dict[str, Any] = {
    "operation_id": "metrics_series",
    "summary": "Metrics over time",
    "tags": TAGS,
    "parameters": [
        query(
            "metrics",
            f"1 to {MAX_METRICS} of: {', '.join(CATALOGUE)}, and score.<name> for scores",
            required=True,
            # Swagger fills it in, so that one click asks something.
            examples=[OpenApiExample("requests and cost", value="request_count,total_cost")],
        ),
        query("interval", "Length of a bucket; granularity is another name", enum=INTERVALS, default="1hour"),
        query("granularity", "Another name for interval", enum=INTERVALS),
        query("group_by", f"Up to {MAX_GROUPS} of: {', '.join(DIMENSION_NAMES)}"),
        query("aggregation", "For all metrics; each one's natural one if not given", enum=AGGREGATIONS),
        query("include_percentiles", "Add p50, p90, p95 and p99 of duration and ttft", type=OpenApiTypes.BOOL),
        query("fill", "Rows for buckets without data", enum=("none", "zero", "null"), default="none"),
        query("timezone", "IANA name of the zone whose clock buckets follow", default="UTC"),
        query("sort_by", "Columns, separated by commas, a - in front for descending"),
        query("sort_order", "For columns without a -", enum=("asc", "desc")),
        query("limit", f"1 to {MAX_ROWS}", type=OpenApiTypes.INT),
        query("compare_to", "previous_period, or an offset such as 7d"),
        *RANGE,
        *FILTERS,
        fields.PARAMETER,
    ],
    "responses": {
        200: OpenApiResponse(
            obj(metadata=obj(**_METADATA), data=array(_ROW), meta=META),
            examples=[OpenApiExample("series", _SERIES_EXAMPLE)],
        ),
        **UNTOUCHED,
    },
}
_BODY: dict[str, Any] = {
    "type": "object",
    "required": ["metrics"],
    "additionalProperties": False,
    "properties": {
        "metrics": {
            "type": "array",
            "minItems": 1,
            "maxItems": MAX_METRICS,
            "items": {
                "type": "object",
                "required": ["metric"],
                "properties": {
                    "metric": METRIC_NAME,
                    "aggregation": {"type": "string", "enum": list(AGGREGATIONS)},
                    "alias": {"type": "string", "description": "{aggregation}_{metric} if not given"},
                },
            },
        },
        "start_time": TIME,
        "end_time": TIME,
        "timezone": TEXT,
        "interval": {"type": ["string", "null"], "enum": [*INTERVALS, None]},
        "granularity": {"type": "string", "enum": list(INTERVALS)},
        "group_by": array({"type": "string", "enum": list(DIMENSION_NAMES)}),
        "filters": array(
            {
                "type": "object",
                "properties": {
                    "field": {"type": "string", "enum": list(DIMENSION_NAMES)},
                    "operator": {"type": "string", "enum": ["eq", "ne", "in", "not_in"]},
                    "value": {"description": "A text or null; a list for in and not_in"},
                },
            }
        ),
        "having": array(
            {
                "type": "object",
                "properties": {
                    "metric": {"type": "string", "description": "An alias"},
                    "operator": {"type": "string", "enum": ["gt", "gte", "lt", "lte", "eq"]},
                    "value": {"type": "number"},
                },
            }
        ),
        "sort_by": {"description": "A column, - in front for descending, or a list; also {field, order}"},
        "sort_order": {"type": "string", "enum": ["asc", "desc"]},
        "limit": {"type": "integer", "minimum": 1, "maximum": MAX_ROWS},
        "fill": {"type": "string", "enum": ["none", "zero", "null"]},
        "compare_to": {"type": "string", "description": "previous_period, or an offset such as 7d"},
        "include_percentiles": {"type": "boolean"},
        "project": {"description": "A slug or a list of slugs"},
    },
}
_QUERY_METADATA = {
    **_METADATA,
    "filters_applied": array({"type": "object"}),
    "having_conditions": array({"type": "object"}),
    "total_rows": COUNT,
}
QUERY: dict[str, Any] = {
    "operation_id": "metrics_query",
    "summary": "Any question about metrics",
    "tags": TAGS,
    "parameters": [RANGE[2], fields.PARAMETER],
    "request": {"application/json": _BODY},
    "examples": [
        OpenApiExample(
            "dearest models",
            {
                "metrics": [{"metric": "total_cost", "alias": "cost"}, {"metric": "duration", "aggregation": "p95"}],
                "group_by": ["model"],
                "having": [{"metric": "cost", "operator": "gt", "value": 1}],
                "sort_by": "-cost",
                "limit": 10,
                "compare_to": "previous_period",
            },
            request_only=True,
        )
    ],
    "responses": {
        200: OpenApiResponse(
            obj(metadata=obj(**_QUERY_METADATA), data=array(_ROW), meta=META),
            examples=[OpenApiExample("by model", samples.QUERY)],
        ),
    },
}
_PERIOD = obj(
    start_time=TIME,
    end_time=TIME,
    total_requests=COUNT,
    total_cost_usd=NUMBER,
    total_tokens=NUMBER,
    avg_duration_ms=NUMBER,
    p50_duration_ms=NUMBER,
    p95_duration_ms=NUMBER,
    p99_duration_ms=NUMBER,
    error_rate=NUMBER,
    success_rate=NUMBER,
    unique_users=COUNT,
    unique_sessions=COUNT,
)
_ITEMS = array(
    obj(provider={"type": ["string", "null"]}, model={"type": ["string", "null"]}, value=NUMBER, share=NUMBER)
)
_CHANGES = obj(
    requests_change_pct=NUMBER,
    cost_change_pct=NUMBER,
    tokens_change_pct=NUMBER,
    duration_change_pct=NUMBER,
    error_rate_change_pct=NUMBER,
)
SUMMARY: dict[str, Any] = {
    "operation_id": "metrics_summary",
    "summary": "One period beside the one before it",
    "tags": TAGS,
    "parameters": [
        *RANGE,
        *FILTERS,
        query("compare_previous_period", "false leaves the previous period out", type=OpenApiTypes.BOOL),
        fields.PARAMETER,
    ],
    "responses": {
        200: OpenApiResponse(
            obj(
                metadata=obj(start_time=TIME, end_time=TIME, **SOURCES, query_ms={"type": "number"}),
                current_period=_PERIOD,
                previous_period=nullable(_PERIOD),
                changes=nullable(_CHANGES),
                top_items=obj(by_cost=_ITEMS, by_requests=_ITEMS, by_duration=_ITEMS, by_errors=_ITEMS),
                quality=obj(
                    error_count=COUNT,
                    success_count=COUNT,
                    error_rate=NUMBER,
                    success_rate=NUMBER,
                    most_common_errors=array(
                        obj(
                            error_type={"type": ["string", "null"]},
                            count=COUNT,
                            percentage=NUMBER,
                            sample_message={
                                "type": ["string", "null"],
                                "description": "Content: null without traces:content",
                            },
                        )
                    ),
                ),
                meta=META,
            ),
            examples=[OpenApiExample("summary", samples.SUMMARY)],
        ),
        **UNTOUCHED,
    },
}
CATALOG: dict[str, Any] = {
    "operation_id": "metrics_catalog",
    "summary": "Every metric with its unit, aggregations and dimensions, and the scores there are",
    "tags": TAGS,
    "parameters": [RANGE[2], fields.PARAMETER],
    "responses": {
        200: OpenApiResponse(
            obj(
                data=array(
                    obj(
                        name=TEXT,
                        unit=TEXT,
                        description=TEXT,
                        aggregations=array(TEXT),
                        default_aggregation=TEXT,
                        dimensions=array(TEXT),
                    )
                ),
                intervals=array(obj(name=TEXT, max_range_days=COUNT)),
                percentiles=array(TEXT),
                limits=obj(metrics=COUNT, group_by=COUNT, buckets=COUNT, rows=COUNT, scores=COUNT),
                meta=META,
            ),
            examples=[OpenApiExample("catalog", samples.CATALOG)],
        ),
        **UNTOUCHED,
    },
}
