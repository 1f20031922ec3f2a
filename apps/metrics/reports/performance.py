"""The performance report: how fast and how reliably requests were answered.

Formulas, NULL rules and minimum samples are in docs/reports.md. Four questions: the range, the range before it, its
groups, its series.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from apps.common.reads import reading
from apps.common.reads.reading import Problems
from apps.metrics import params
from apps.metrics.finish import Row
from apps.metrics.reports.base import (
    MIN_SAMPLE,
    MOST_GROUPS,
    RANGE_PARAMETERS,
    Asking,
    Report,
    base_spec,
    changes,
    groups_of,
    limit_of,
    made,
    references,
)
from apps.metrics.spec import QuerySpec, Sort
from apps.orgs.scopes import Scope

PARAMETERS = (
    *RANGE_PARAMETERS,
    "timezone",
    "interval",
    "granularity",
    "group_by",
    "limit",
    "compare_previous_period",
)
SLOWEST = 5
# What is made of one question each: the range and the one before, its groups, its series.
PERIODS, GROUPED = ("current_period", "previous_period", "changes"), ("groups", "slowest")
BLOCKS = (*PERIODS, *GROUPED, "series")
# Field, metric, aggregation.
LATENCY: tuple[tuple[str, str, str], ...] = (
    ("avg_ms", "duration", "avg"),
    ("stddev_ms", "duration", "stddev"),
    ("min_ms", "duration", "min"),
    ("max_ms", "duration", "max"),
    ("p50_ms", "duration", "p50"),
    ("p90_ms", "duration", "p90"),
    ("p95_ms", "duration", "p95"),
    ("p99_ms", "duration", "p99"),
)
TTFT: tuple[tuple[str, str, str], ...] = (
    ("ttft_count", "ttft", "count"),
    ("ttft_avg_ms", "ttft", "avg"),
    ("ttft_stddev_ms", "ttft", "stddev"),
    ("ttft_min_ms", "ttft", "min"),
    ("ttft_max_ms", "ttft", "max"),
    ("ttft_p50_ms", "ttft", "p50"),
    ("ttft_p90_ms", "ttft", "p90"),
    ("ttft_p95_ms", "ttft", "p95"),
    ("ttft_p99_ms", "ttft", "p99"),
)
RATES: tuple[tuple[str, str, str], ...] = (
    ("requests", "request_count", "sum"),
    ("errors", "error_count", "sum"),
    ("error_rate", "error_rate", "avg"),
    ("throughput_rps", "throughput", "avg"),
    ("tokens_per_second", "tokens_per_second", "avg"),
)
SERIES: tuple[tuple[str, str, str], ...] = (
    *RATES,
    ("avg_ms", "duration", "avg"),
    ("p50_ms", "duration", "p50"),
    ("p95_ms", "duration", "p95"),
    ("p99_ms", "duration", "p99"),
    ("ttft_p50_ms", "ttft", "p50"),
    ("ttft_p95_ms", "ttft", "p95"),
)
CHANGES: dict[str, str] = {
    "requests_change_pct": "requests",
    "error_rate_change_pct": "error_rate",
    "throughput_change_pct": "throughput_rps",
    "tokens_per_second_change_pct": "tokens_per_second",
    "avg_latency_change_pct": "avg_ms",
    "p50_latency_change_pct": "p50_ms",
    "p95_latency_change_pct": "p95_ms",
    "p99_latency_change_pct": "p99_ms",
    "avg_ttft_change_pct": "ttft_avg_ms",
    "p95_ttft_change_pct": "ttft_p95_ms",
}


def from_query(source: Mapping[str, str], scope: Scope, now: datetime) -> tuple[QuerySpec, bool]:
    """The question behind the parameters, and whether to compare."""
    problems = Problems()
    interval = problems.take(lambda: params.interval_of(source, "1hour"), "1hour")
    groups = problems.take(lambda: groups_of(source, ("provider", "model")), ())
    limit = problems.take(lambda: limit_of(source, 20), 20)
    wish = source.get("compare_previous_period", "true")
    compare = problems.take(lambda: reading.flag(wish, "compare_previous_period"), True)
    return base_spec(source, scope, now, problems, interval=interval, group_by=groups, limit=limit), compare


def performance(base: QuerySpec, compare: bool = True, blocks: Collection[str] = BLOCKS) -> Report:
    """The report of a question's range, projects, filters, groups, interval and limit (of groups).

    Args:
        blocks: those of `BLOCKS` that are wanted, at least one; what they do not need is not asked for.

    Raises:
        ApiError: as `runner.answer`.
    """
    whole = replace(
        base, metrics=references((*RATES, *LATENCY, *TTFT)), interval=None, group_by=(), limit=None, sort=()
    )
    grouped = replace(whole, group_by=base.group_by, sort=(Sort("requests", True),), limit=MOST_GROUPS)
    series = replace(base, metrics=references(SERIES), group_by=(), limit=None, sort=())

    def make(asking: Asking) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if not set(PERIODS).isdisjoint(blocks):
            now = asking.rows(whole)[0]
            before = asking.rows(replace(whole, compare_to=base.end - base.start).shifted())[0] if compare else None
            found["current_period"] = _period(base.start, base.end, now)
            found["previous_period"] = before and _period(base.start - (base.end - base.start), base.start, before)
            found["changes"] = before and changes(now, before, CHANGES)
        if not set(GROUPED).isdisjoint(blocks):
            groups = asking.rows(grouped) if base.group_by else []
            found["groups"] = [_group(row, base.group_by) for row in groups[: base.limit]]
            found["slowest"] = slowest(groups, base.group_by)
        if "series" in blocks:
            found["series"] = asking.rows(series)
        return found

    return made(base, make)


def _period(start: datetime, end: datetime, row: Row) -> dict[str, Any]:
    return {"start_time": start, "end_time": end, **figures(row)}


def _group(row: Row, names: Sequence[str]) -> dict[str, Any]:
    return {**{name: row[name] for name in names}, **figures(row)}


def figures(row: Row) -> dict[str, Any]:
    """A row's figures by subject."""
    return {
        **{field: row[field] for field, _, _ in RATES},
        "latency": {field: row[field] for field, _, _ in LATENCY},
        "ttft": {field.removeprefix("ttft_"): row[field] for field, _, _ in TTFT},
    }


def slowest(groups: Sequence[Row], names: Sequence[str]) -> list[dict[str, Any]]:
    """The groups with the greatest p95, of those with at least 30 requests: of fewer it says nothing."""
    known = [row for row in groups if row["requests"] >= MIN_SAMPLE and row["p95_ms"] is not None]
    known.sort(key=lambda row: (-row["p95_ms"], *(str(row[name]) for name in names)))
    return [
        {
            **{name: row[name] for name in names},
            "requests": row["requests"],
            "p50_ms": row["p50_ms"],
            "p95_ms": row["p95_ms"],
            "p99_ms": row["p99_ms"],
        }
        for row in known[:SLOWEST]
    ]
