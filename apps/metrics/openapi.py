"""What the OpenAPI schema says of the metrics endpoints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse

from apps.common.reads import fields
from apps.metrics.buckets import INTERVALS
from apps.metrics.catalog import AGGREGATIONS, CATALOGUE, DIMENSION_NAMES
from apps.metrics.params import FILTER_PARAMETERS
from apps.metrics.spec import MAX_GROUPS, MAX_METRICS, MAX_ROWS

TAGS = ["metrics"]
_TIME: dict[str, Any] = {"type": "string", "format": "date-time"}
_TEXT: dict[str, Any] = {"type": "string"}
_NUMBER: dict[str, Any] = {"type": ["number", "null"]}
_COUNT: dict[str, Any] = {"type": "integer"}


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _maybe(schema: dict[str, Any]) -> dict[str, Any]:
    return {"oneOf": [schema, {"type": "null"}]}


_META = _object(request_id=_TEXT, cached={"type": "boolean"}, computed_at=_TIME)
_SOURCES: dict[str, dict[str, Any]] = {
    "data_source": _list({"type": "string", "enum": ["rollup_1d", "rollup_1h", "rollup_15m", "rollup_1m", "raw"]}),
    "fresh_until": _maybe(_TIME),
    "percentile_error": {"type": "number", "description": "0 where exact, else the guaranteed relative error"},
}
_METADATA: dict[str, dict[str, Any]] = {
    "interval": {"type": ["string", "null"], "enum": [*INTERVALS, None]},
    "start_time": _TIME,
    "end_time": _TIME,
    "timezone": _TEXT,
    "metrics": _list(_TEXT),
    "group_by": _list(_TEXT),
    **_SOURCES,
    "total_points": _COUNT,
    "query_ms": {"type": "number"},
}
_ROW: dict[str, Any] = {
    "type": "object",
    "properties": {"timestamp": {**_TIME, "description": "The bucket's start; absent without an interval"}},
    "additionalProperties": {"type": ["string", "number", "null"]},
}


def _query(name: str, description: str, **more: Any) -> OpenApiParameter:
    return OpenApiParameter(name, more.pop("type", OpenApiTypes.STR), description=description, **more)


_RANGE = [
    _query("start_time", "ISO 8601 with a zone; included", type=OpenApiTypes.DATETIME),
    _query("end_time", "ISO 8601 with a zone; not included. Now if not given", type=OpenApiTypes.DATETIME),
    _query("project", "Slugs, separated by commas; all that the key may see if not given"),
]
_FILTERS = [_query(name, f"Only this {name}, or one of several separated by commas") for name in FILTER_PARAMETERS]
_UNTOUCHED: dict[int | tuple[int, str], Any] = {
    304: OpenApiResponse(description="The copy that If-None-Match or If-Modified-Since speaks of is still right")
}
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
SERIES: dict[str, Any] = {
    "operation_id": "metrics_series",
    "summary": "Metrics over time",
    "tags": TAGS,
    "parameters": [
        _query(
            "metrics",
            f"1 to {MAX_METRICS} of: {', '.join(CATALOGUE)}",
            required=True,
            # Swagger fills it in, so that one click asks something.
            examples=[OpenApiExample("requests and cost", value="request_count,total_cost")],
        ),
        _query("interval", "Length of a bucket; granularity is another name", enum=INTERVALS, default="1hour"),
        _query("granularity", "Another name for interval", enum=INTERVALS),
        _query("group_by", f"Up to {MAX_GROUPS} of: {', '.join(DIMENSION_NAMES)}"),
        _query("aggregation", "For all metrics; each one's natural one if not given", enum=AGGREGATIONS),
        _query("include_percentiles", "Add p50, p90, p95 and p99 of duration and ttft", type=OpenApiTypes.BOOL),
        _query("fill", "Rows for buckets without data", enum=("none", "zero", "null"), default="none"),
        _query("timezone", "IANA name of the zone whose clock buckets follow", default="UTC"),
        _query("sort_by", "Columns, separated by commas, a - in front for descending"),
        _query("sort_order", "For columns without a -", enum=("asc", "desc")),
        _query("limit", f"1 to {MAX_ROWS}", type=OpenApiTypes.INT),
        _query("compare_to", "previous_period, or an offset such as 7d"),
        *_RANGE,
        *_FILTERS,
        fields.PARAMETER,
    ],
    "responses": {
        200: OpenApiResponse(
            _object(metadata=_object(**_METADATA), data=_list(_ROW), meta=_META),
            examples=[OpenApiExample("series", _SERIES_EXAMPLE)],
        ),
        **_UNTOUCHED,
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
                    "metric": {"type": "string", "enum": list(CATALOGUE)},
                    "aggregation": {"type": "string", "enum": list(AGGREGATIONS)},
                    "alias": {"type": "string", "description": "{aggregation}_{metric} if not given"},
                },
            },
        },
        "start_time": _TIME,
        "end_time": _TIME,
        "timezone": _TEXT,
        "interval": {"type": ["string", "null"], "enum": [*INTERVALS, None]},
        "granularity": {"type": "string", "enum": list(INTERVALS)},
        "group_by": _list({"type": "string", "enum": list(DIMENSION_NAMES)}),
        "filters": _list(
            {
                "type": "object",
                "properties": {
                    "field": {"type": "string", "enum": list(DIMENSION_NAMES)},
                    "operator": {"type": "string", "enum": ["eq", "ne", "in", "not_in"]},
                    "value": {"description": "A text or null; a list for in and not_in"},
                },
            }
        ),
        "having": _list(
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
    "filters_applied": _list({"type": "object"}),
    "having_conditions": _list({"type": "object"}),
    "total_rows": _COUNT,
}
QUERY: dict[str, Any] = {
    "operation_id": "metrics_query",
    "summary": "Any question about metrics",
    "tags": TAGS,
    "parameters": [_RANGE[2], fields.PARAMETER],
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
        200: OpenApiResponse(_object(metadata=_object(**_QUERY_METADATA), data=_list(_ROW), meta=_META)),
    },
}
_PERIOD = _object(
    start_time=_TIME,
    end_time=_TIME,
    total_requests=_COUNT,
    total_cost_usd=_NUMBER,
    total_tokens=_NUMBER,
    avg_duration_ms=_NUMBER,
    p50_duration_ms=_NUMBER,
    p95_duration_ms=_NUMBER,
    p99_duration_ms=_NUMBER,
    error_rate=_NUMBER,
    success_rate=_NUMBER,
    unique_users=_COUNT,
    unique_sessions=_COUNT,
)
_ITEMS = _list(
    _object(provider={"type": ["string", "null"]}, model={"type": ["string", "null"]}, value=_NUMBER, share=_NUMBER)
)
_CHANGES = _object(
    requests_change_pct=_NUMBER,
    cost_change_pct=_NUMBER,
    tokens_change_pct=_NUMBER,
    duration_change_pct=_NUMBER,
    error_rate_change_pct=_NUMBER,
)
SUMMARY: dict[str, Any] = {
    "operation_id": "metrics_summary",
    "summary": "One period beside the one before it",
    "tags": TAGS,
    "parameters": [
        *_RANGE,
        *_FILTERS,
        _query("compare_previous_period", "false leaves the previous period out", type=OpenApiTypes.BOOL),
        fields.PARAMETER,
    ],
    "responses": {
        200: OpenApiResponse(
            _object(
                metadata=_object(start_time=_TIME, end_time=_TIME, **_SOURCES, query_ms={"type": "number"}),
                current_period=_PERIOD,
                previous_period=_maybe(_PERIOD),
                changes=_maybe(_CHANGES),
                top_items=_object(by_cost=_ITEMS, by_requests=_ITEMS, by_duration=_ITEMS, by_errors=_ITEMS),
                quality=_object(
                    error_count=_COUNT,
                    success_count=_COUNT,
                    error_rate=_NUMBER,
                    success_rate=_NUMBER,
                    most_common_errors=_list(
                        _object(
                            error_type={"type": ["string", "null"]},
                            count=_COUNT,
                            percentage=_NUMBER,
                            sample_message={"type": ["string", "null"]},
                        )
                    ),
                ),
                meta=_META,
            )
        ),
        **_UNTOUCHED,
    },
}
CATALOG: dict[str, Any] = {
    "operation_id": "metrics_catalog",
    "summary": "Every metric with its unit, aggregations and dimensions",
    "tags": TAGS,
    "parameters": [fields.PARAMETER],
    "responses": {
        200: OpenApiResponse(
            _object(
                data=_list(
                    _object(
                        name=_TEXT,
                        unit=_TEXT,
                        description=_TEXT,
                        aggregations=_list(_TEXT),
                        default_aggregation=_TEXT,
                        dimensions=_list(_TEXT),
                    )
                ),
                intervals=_list(_object(name=_TEXT, max_range_days=_COUNT)),
                percentiles=_list(_TEXT),
                limits=_object(metrics=_COUNT, group_by=_COUNT, buckets=_COUNT, rows=_COUNT),
                meta=_META,
            )
        ),
        **_UNTOUCHED,
    },
}


def names(operation: Mapping[str, Any]) -> tuple[str, ...]:
    """The names that `fields=` may take, from what an operation is documented to answer."""
    document: Mapping[str, Any] = operation["responses"][200].response
    return tuple(_names(document))


def _names(schema: Mapping[str, Any]) -> Iterator[str]:
    parts: Mapping[str, Any] = schema.get("properties", {})
    for name, inner in parts.items():
        if name in fields.ALWAYS:
            continue
        below = list(_names(_inside(inner)))
        # Fields of the rows are named without `data`.
        yield from below if name == "data" else [f"{name}.{leaf}" for leaf in below] or [name]


def _inside(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The object behind a list, or behind "an object or null"."""
    inner = schema.get("items") or next(iter(schema.get("oneOf", ())), None)
    return _inside(inner) if inner else schema
