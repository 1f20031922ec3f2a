"""Examples of answers in the OpenAPI document; the figures are invented."""

from __future__ import annotations

from typing import Any

META: dict[str, Any] = {"request_id": "req_01jd", "cached": False, "computed_at": "2026-11-06T00:00:04Z"}
_SOURCES: dict[str, Any] = {
    "data_source": ["rollup_1h", "raw"],
    "fresh_until": "2026-11-05T23:58:00Z",
    "percentile_error": 0.01,
}


def _period(day: int, requests: int, cost: float) -> dict[str, Any]:
    return {
        "start_time": f"2026-11-{day:02}T00:00:00Z",
        "end_time": f"2026-11-{day + 1:02}T00:00:00Z",
        "total_requests": requests,
        "total_cost_usd": cost,
        "total_tokens": requests * 900,
        "avg_duration_ms": 1250.4,
        "p50_duration_ms": 980.2,
        "p95_duration_ms": 3120.7,
        "p99_duration_ms": 5210.1,
        "error_rate": 0.02,
        "success_rate": 0.98,
        "unique_users": 120,
        "unique_sessions": 310,
    }


_TOP: list[dict[str, Any]] = [{"provider": "openai", "model": "gpt-4o", "value": 45.3, "share": 0.75}]
SUMMARY: dict[str, Any] = {
    "metadata": {
        "start_time": "2026-11-05T00:00:00Z",
        "end_time": "2026-11-06T00:00:00Z",
        **_SOURCES,
        "query_ms": 12.8,
    },
    "current_period": _period(5, 1500, 60.4),
    "previous_period": _period(4, 1200, 48.32),
    "changes": {
        "requests_change_pct": 25.0,
        "cost_change_pct": 25.0,
        "tokens_change_pct": 25.0,
        "duration_change_pct": 0.0,
        "error_rate_change_pct": 0.0,
    },
    "top_items": {"by_cost": _TOP, "by_requests": _TOP, "by_duration": _TOP, "by_errors": _TOP},
    "quality": {
        "error_count": 30,
        "success_count": 1470,
        "error_rate": 0.02,
        "success_rate": 0.98,
        "most_common_errors": [
            {"error_type": "rate_limit", "count": 18, "percentage": 60.0, "sample_message": "Too many requests"}
        ],
    },
    "meta": META,
}
QUERY: dict[str, Any] = {
    "metadata": {
        "interval": None,
        "start_time": "2026-11-05T00:00:00Z",
        "end_time": "2026-11-06T00:00:00Z",
        "timezone": "UTC",
        "metrics": ["sum_total_cost"],
        "group_by": ["model"],
        **_SOURCES,
        "percentile_error": 0,
        "total_points": 1,
        "query_ms": 4.1,
        "filters_applied": [{"field": "environment", "operator": "eq", "value": "production"}],
        "having_conditions": [],
        "total_rows": 1,
    },
    "data": [{"model": "gpt-4o", "sum_total_cost": 45.3}],
    "meta": META,
}
CATALOG: dict[str, Any] = {
    "data": [
        {
            "name": "total_cost",
            "unit": "usd",
            "description": "Cost of requests: the sender's where given, else computed; null where nothing is priced.",
            "aggregations": ["sum", "avg", "min", "max", "count", "stddev"],
            "default_aggregation": "sum",
            "dimensions": ["provider", "model", "environment"],
        }
    ],
    "intervals": [{"name": "1hour", "max_range_days": 366}],
    "percentiles": ["p50", "p90", "p95", "p99"],
    "limits": {"metrics": 20, "group_by": 5, "buckets": 10000, "rows": 10000, "scores": 200},
    "meta": META,
}
