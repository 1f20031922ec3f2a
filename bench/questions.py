"""The metrics questions of the bench: each as an API request and as the same question in hand-written SQL on `span`."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any


@dataclass(frozen=True)
class Question:
    """A question of a dashboard, asked through the API and asked of the raw table."""

    name: str
    days: int
    sql: str
    path: str
    params: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] | None = None


WHERE = "project_id = %(project)s AND billable AND start_time >= %(start)s AND start_time < %(end)s"

COST_BY_MODEL = f"""
SELECT model, sum(total_cost) / 1e12 AS cost, count(*) FROM span WHERE {WHERE} GROUP BY model ORDER BY cost DESC
"""
HOURLY_PERCENTILES = f"""
SELECT date_bin('1 hour', start_time, 'epoch') AS bucket,
  percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY duration_us)
FROM span WHERE {WHERE} GROUP BY bucket ORDER BY bucket
"""
DAILY_ERRORS = f"""
SELECT date_bin('1 day', start_time, 'epoch') AS bucket, model, environment, count(*),
  count(*) FILTER (WHERE status = 'error')::float8 / count(*)
FROM span WHERE {WHERE} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""
TOP_USERS = f"""
SELECT user_id, sum(total_cost) / 1e12 AS cost, count(*) FROM span WHERE {WHERE}
GROUP BY user_id ORDER BY cost DESC LIMIT 10
"""
SUMMARY = f"""
SELECT start_time >= %(middle)s AS current, count(*), sum(total_cost) / 1e12, sum(total_tokens), avg(duration_us),
  percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY duration_us),
  count(*) FILTER (WHERE status = 'error')::float8 / count(*), count(DISTINCT user_id), count(DISTINCT session_id)
FROM span WHERE {WHERE} GROUP BY 1
"""


def _range(end: datetime, days: int) -> dict[str, str]:
    return {"start_time": (end - timedelta(days=days)).isoformat(), "end_time": end.isoformat()}


def questions(end: datetime) -> list[Question]:
    """The questions, over ranges that end at `end`."""
    made = []
    for days in (7, 30):
        made.append(
            Question(
                f"cost by model, {days} days",
                days,
                COST_BY_MODEL,
                "/api/v1/metrics/query",
                body={
                    **_range(end, days),
                    "metrics": [{"metric": "total_cost"}, {"metric": "request_count"}],
                    "group_by": ["model"],
                    "sort_by": "-sum_total_cost",
                },
            )
        )
    made += [
        Question(
            "hourly p50/p95/p99, 30 days",
            30,
            HOURLY_PERCENTILES,
            "/api/v1/metrics/query",
            body={
                **_range(end, 30),
                "interval": "1hour",
                "metrics": [{"metric": "duration", "aggregation": p} for p in ("p50", "p95", "p99")],
            },
        ),
        Question(
            "daily requests and error rate by model and environment, 30 days",
            30,
            DAILY_ERRORS,
            "/api/v1/metrics",
            {
                **_range(end, 30),
                "metrics": "request_count,error_rate",
                "interval": "1day",
                "group_by": "model,environment",
            },
        ),
        Question(
            "top users by cost, 30 days",
            30,
            TOP_USERS,
            "/api/v1/metrics/query",
            body={
                **_range(end, 30),
                "metrics": [{"metric": "total_cost"}, {"metric": "request_count"}],
                "group_by": ["user_id"],
                "sort_by": "-sum_total_cost",
                "limit": 10,
            },
        ),
        Question("summary with comparison, 15 + 15 days", 30, SUMMARY, "/api/v1/metrics/summary", _range(end, 15)),
    ]
    return made
