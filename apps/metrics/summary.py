"""The summary report: one period beside the one before it, the greatest items, and what went wrong."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from apps.common.reads.snapshot import snapshot
from apps.metrics.finish import Row, change_pct
from apps.metrics.runner import Answer, answer_in, check_kept
from apps.metrics.spec import Filter, MetricRef, QuerySpec, Sort

TOP_ITEMS = 5
COMMON_ERRORS = 10
# Field of a period, metric, aggregation.
PERIOD: tuple[tuple[str, str, str], ...] = (
    ("total_requests", "request_count", "sum"),
    ("total_cost_usd", "total_cost", "sum"),
    ("total_tokens", "total_tokens", "sum"),
    ("avg_duration_ms", "duration", "avg"),
    ("p50_duration_ms", "duration", "p50"),
    ("p95_duration_ms", "duration", "p95"),
    ("p99_duration_ms", "duration", "p99"),
    ("error_rate", "error_rate", "avg"),
    ("success_rate", "success_rate", "avg"),
    ("unique_users", "unique_users", "count"),
    ("unique_sessions", "unique_sessions", "count"),
)
COUNTED = ("unique_users", "unique_sessions")
CHANGES: dict[str, str] = {
    "requests_change_pct": "total_requests",
    "cost_change_pct": "total_cost_usd",
    "tokens_change_pct": "total_tokens",
    "duration_change_pct": "avg_duration_ms",
    "error_rate_change_pct": "error_rate",
}
TOP: tuple[tuple[str, str], ...] = (
    ("by_cost", "total_cost"),
    ("by_requests", "request_count"),
    ("by_duration", "duration"),
    ("by_errors", "error_count"),
)


@dataclass(frozen=True, slots=True)
class Summary:
    """The report's blocks, and the answers they were made from."""

    blocks: dict[str, Any]
    answers: tuple[Answer, ...]
    seconds: float


def summarize(
    base: QuerySpec, compare: bool = True, *, messages: bool = True, without: Collection[str] = ()
) -> Summary:
    """The summary of a question's range, projects and filters; its metrics and groups are not looked at.

    Args:
        messages: whether texts of errors are shown, which are content.
        without: fields of `COUNTED` that the periods shall not have: to count ids takes most of a summary's time.

    Raises:
        ApiError: as `runner.answer`.
    """
    begun = time.perf_counter()
    check_kept(base)
    with snapshot() as cursor:
        totals = replace(base, metrics=(*_period_metrics(without), MetricRef("error_count", "sum", "error_count")))
        current = answer_in(cursor, totals)
        answers = [current]
        previous = None
        if compare:
            answers.append(answer_in(cursor, replace(totals, compare_to=base.end - base.start).shifted()))
            previous = answers[-1].rows[0]
        items = answer_in(cursor, _items_spec(base))
        errors = answer_in(cursor, errors_spec(base))
    now = current.rows[0]
    blocks = {
        "current_period": _period(base.start, base.end, now),
        "previous_period": previous and _period(base.start - (base.end - base.start), base.start, previous),
        "changes": previous and {name: change_pct(now[column], previous[column]) for name, column in CHANGES.items()},
        "top_items": {name: _top(items.rows, metric) for name, metric in TOP},
        "quality": _quality(now, errors.rows, messages),
    }
    return Summary(blocks, (*answers, items, errors), time.perf_counter() - begun)


def _period_metrics(without: Collection[str]) -> tuple[MetricRef, ...]:
    return tuple(MetricRef(metric, aggregation, field) for field, metric, aggregation in PERIOD if field not in without)


def _items_spec(base: QuerySpec) -> QuerySpec:
    metrics = tuple(MetricRef(metric, "sum", metric) for _, metric in TOP)
    return replace(base, metrics=metrics, group_by=("provider", "model"))


def errors_spec(base: QuerySpec) -> QuerySpec:
    """Error spans by their type, from cells of their own."""
    return replace(
        base,
        metrics=(MetricRef("error_count", "sum", "count"), MetricRef("error_sample", "min", "sample_message")),
        group_by=("error_type",),
        filters=(*base.filters, Filter("status", "eq", ("error",))),
        sort=(Sort("count", True),),
        limit=COMMON_ERRORS,
    )


def _period(start: datetime, end: datetime, row: Row) -> dict[str, Any]:
    return {"start_time": start, "end_time": end, **{field: row[field] for field, _, _ in PERIOD if field in row}}


def _top(rows: list[Row], metric: str) -> list[dict[str, Any]]:
    """The greatest (provider, model) pairs by a sum, each with its share of the whole."""
    found = [row for row in rows if row[metric]]
    whole = sum((Decimal(str(row[metric])) for row in found), Decimal())
    found.sort(key=lambda row: (-row[metric], str(row["provider"]), str(row["model"])))
    return [
        {
            "provider": row["provider"],
            "model": row["model"],
            "value": row[metric],
            "share": share(row[metric], whole),
        }
        for row in found[:TOP_ITEMS]
    ]


def share(part: Any, whole: Any) -> float:
    """A part of a whole as a fraction, 0 of nothing."""
    return round(float(Decimal(str(part)) / Decimal(str(whole))), 6) if whole else 0.0


def common_errors(errors: list[Row], count: int, messages: bool) -> list[dict[str, Any]]:
    """The commonest errors of so many, each with its part of all in percent and, if it may be shown, one message."""
    return [
        {
            "error_type": row["error_type"],
            "count": row["count"],
            "percentage": round(share(row["count"], count) * 100, 4),
            "sample_message": row["sample_message"] if messages else None,
        }
        for row in errors
    ]


def _quality(now: Row, errors: list[Row], messages: bool) -> dict[str, Any]:
    count = now["error_count"]
    return {
        "error_count": count,
        "success_count": now["total_requests"] - count,
        "error_rate": now["error_rate"],
        "success_rate": now["success_rate"],
        "most_common_errors": common_errors(errors, count, messages),
    }


def sources(answers: tuple[Answer, ...]) -> Mapping[str, Any]:
    """The metadata of several answers, and of what they are compared with, as one."""
    order = ("rollup_1d", "rollup_1h", "rollup_15m", "rollup_1m", "raw", "scores")
    plans = [plan for made in answers for plan in (made.plan, made.before) if plan is not None]
    used = {name for plan in plans for name in plan.sources}
    fresh = [plan.fresh_until for plan in plans]
    known = [moment for moment in fresh if moment is not None]
    return {
        "data_source": [name for name in order if name in used],
        "fresh_until": min(known) if len(known) == len(fresh) and known else None,
        "percentile_error": max(plan.percentile_error for plan in plans),
    }
