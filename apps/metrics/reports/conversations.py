"""The report on conversations: how many, how long, what they cost, how they ended (docs/conversations.md).

A conversation counts where it began. Figures are sums over cells by the hour (apps.traces.sessions.measures), so that
lengths and costs at percentiles are within 1% of the exact ones; everything else is exact.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from apps.common.bins import RELATIVE_ERROR
from apps.common.edge.deadline import TimedCursor
from apps.common.errors import ApiError
from apps.common.reads import reading
from apps.common.reads.reading import Problems, next_minute
from apps.common.reads.snapshot import snapshot
from apps.metrics import params, percentiles
from apps.metrics.buckets import INTERVALS
from apps.metrics.finish import change_pct
from apps.metrics.reports.base import base_spec
from apps.metrics.spec import QuerySpec
from apps.orgs.scopes import Scope
from apps.traces.sessions import measures
from apps.traces.sessions.cells import HISTOGRAMS, SUMS
from apps.traces.sessions.current import SessionSource, current_sessions
from apps.traces.sessions.measures import HOUR_LENGTH, Wanted
from apps.traces.storage import kept_from
from apps.traces.versions import ALWAYS, counted

ABANDONED_AFTER = timedelta(minutes=30)
PARAMETERS = (
    *("project", "start_time", "end_time", "timezone", "interval", "granularity"),
    *("user_id", "environment", "compare_previous_period"),
)
# Distribution of turns: the last number of each class.
CLASSES = (1, 2, 3, 4, 5, 10, 20, 50)
CHANGES = {
    "conversations_change_pct": ("conversations",),
    "turns_change_pct": ("turns", "avg"),
    "duration_change_pct": ("duration_ms", "avg"),
    "cost_change_pct": ("cost_usd", "avg"),
    "resolution_rate_change_pct": ("resolution", "rate"),
    "abandonment_rate_change_pct": ("abandonment", "rate"),
}
DENSE = 1_000_000  # values closer together are counted in a table instead of sorted
Counts = tuple[NDArray[np.int64], NDArray[np.int64]]
_MS, _USD = Decimal("0.001"), Decimal("1e-12")


@dataclass(frozen=True, slots=True)
class ConversationsQuestion:
    """What is asked: `spec` holds range, projects, filters, interval and zone."""

    spec: QuerySpec
    compare: bool


@dataclass
class Sums:
    """Sums of a bucket or of a range: `SUMS`, and those that are too young to be called abandoned or not."""

    values: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SUMS, 0))
    pending: int = 0
    pending_errors: int = 0

    def add(self, sign: int, row: Sequence[Any]) -> None:
        for name, value in zip(SUMS, row, strict=True):
            self.values[name] += sign * int(value)


@dataclass
class Found:
    """Everything that was read of one range."""

    whole: Sums
    buckets: list[Sums]
    histograms: list[Counts]


def from_query(source: Mapping[str, str], scope: Scope, now: datetime) -> ConversationsQuestion:
    """What the parameters ask for.

    Raises:
        ApiError: every bad one; 1204 for a range that begins before what is kept.
    """
    problems = Problems()
    interval = problems.take(lambda: params.interval_of(source, "1day"), INTERVALS[0])
    text = source.get("compare_previous_period", "true")
    compare = problems.take(lambda: reading.flag(text, "compare_previous_period"), True)
    given = ("start_time", "end_time", "timezone", "user_id", "environment")
    known = {name: source[name] for name in given if name in source}
    spec = base_spec(known, scope, now, problems, interval=interval)
    since = _kept_since(spec, now)
    if spec.start < since:
        text = since.strftime("%Y-%m-%dT%H:%M:%SZ")
        raise ApiError(1204, f"Conversations are kept since {text}.", field="start_time", details={"kept_since": text})
    return ConversationsQuestion(spec, compare)


def _kept_since(spec: QuerySpec, now: datetime) -> datetime:
    """From when on all turns are kept."""
    found = counted(spec.project_ids, [])
    edges = [kept_from("span", now)]
    if found.floor is not None:
        edges.append(found.floor)
    if found.kept_days is not None:
        edges.append(now - timedelta(days=found.kept_days))
    return max(edges)


def version_of(asked: ConversationsQuestion, as_of: datetime) -> tuple[Any, ...]:
    """A turn of any day may change a conversation, and time alone one that ended less than half an hour ago."""
    spec = asked.spec
    with snapshot() as cursor:
        young = measures.any_pending(cursor, spec.project_ids, as_of - ABANDONED_AFTER, spec.end)
    return (*counted(spec.project_ids, [ALWAYS]), as_of if young else None)


def conversations(asked: ConversationsQuestion, now: datetime) -> dict[str, Any]:
    """The report.

    Args:
        now: the moment up to which a last turn has had half an hour to be followed.
    """
    begun = time.perf_counter()
    spec, as_of = asked.spec, next_minute(now) - timedelta(minutes=1)
    earlier = replace(spec, start=spec.start - (spec.end - spec.start), end=spec.start, interval=None)
    compare = asked.compare and earlier.start >= _kept_since(spec, now)
    with snapshot() as cursor:
        source = current_sessions(cursor, spec.project_ids)
        found = _read(cursor, source, spec, as_of)
        before = _read(cursor, source, earlier, as_of) if compare else None
    current = _period(spec, found)
    previous = _period(earlier, before) if before else None
    return {
        "metadata": {
            "start_time": spec.start,
            "end_time": spec.end,
            "interval": spec.interval,
            "timezone": spec.tz,
            "as_of": as_of,
            "percentile_error": RELATIVE_ERROR,
            "query_ms": round((time.perf_counter() - begun) * 1000, 2),
        },
        "current_period": current,
        "previous_period": previous,
        "changes": previous
        and {name: change_pct(_at(current, path), _at(previous, path)) for name, path in CHANGES.items()},
        "turns_distribution": _distribution(found.histograms[0], found.whole.values["conversations"]),
        "series": _series(spec, found),
    }


def _read(cursor: psycopg.Cursor[Any], source: SessionSource, spec: QuerySpec, as_of: datetime) -> Found:
    starts = spec.buckets.starts if spec.buckets else (spec.start,)
    filters = {item.field: tuple(value for value in item.values if value is not None) for item in spec.filters}
    whole_hours = spec.buckets.aligned_to(HOUR_LENGTH) if spec.buckets else True
    wanted = Wanted(spec.start, spec.end, starts, whole_hours, filters.get("user_id"), filters.get("environment"))
    with TimedCursor(cursor.connection) as binary:
        percentiles.load_arrays(binary)
        rows = measures.cells(binary, source, wanted)
    found = Found(Sums(), [Sums() for _ in starts], [])
    width = 2 + len(SUMS)
    for row in rows:
        found.whole.add(row[0], row[2:width])
        found.buckets[max(0, bisect_right(starts, row[1]) - 1)].add(row[0], row[2:width])
    for place in range(len(HISTOGRAMS)):
        found.histograms.append(_merged([(row[0], *row[width + 2 * place : width + 2 * place + 2]) for row in rows]))
    for bucket, count, errors in measures.pending(cursor, source, wanted, as_of - ABANDONED_AFTER):
        for sums in (found.whole, found.buckets[max(0, bisect_right(starts, bucket) - 1)]):
            sums.pending += count
            sums.pending_errors += errors
    return found


def _merged(cells: Sequence[tuple[int, Any, Any]]) -> Counts:
    """Values and how often they occur; what is taken out cancels what was stored."""
    if not cells:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    values = np.concatenate([cell[1] for cell in cells], dtype=np.int64)
    counts = np.concatenate([cell[2].astype(np.int64) * cell[0] for cell in cells], dtype=np.int64)
    if not len(values):
        return values, counts
    low = int(values.min())
    if int(values.max()) - low < DENSE:
        known, places = np.arange(low, int(values.max()) + 1), values - low
    else:
        known, places = np.unique(values, return_inverse=True)
    # Counts stay far below 2^53, so adding them as doubles is exact.
    added = np.bincount(places, weights=counts, minlength=len(known)).astype(np.int64)
    return known[added > 0], added[added > 0]


def _rank(counts: Counts, percent: int) -> int | None:
    """The nearest-rank percentile: the value at place ceil(percent / 100 * count)."""
    running = counts[1].cumsum()
    if not len(running):
        return None
    place = -(-int(running[-1]) * percent // 100)
    return int(counts[0][np.searchsorted(running, place)])


def _binned(counts: Counts, percent: int, unit: float) -> float | None:
    number = _rank(counts, percent)
    return None if number is None else float(percentiles.bin_values(np.array([number]))[0]) * unit


def _ratio(part: int, whole: int) -> float | None:
    return round(part / whole, 12) if whole else None


def _ms(total: int, count: int) -> float | None:
    return round(total / count / 1000, 6) if count else None


def _usd(picodollars: int | Decimal) -> Decimal:
    return (Decimal(picodollars) * _USD).quantize(_USD)


def _outcomes(sums: Sums) -> dict[str, Any]:
    values = sums.values
    settled = values["conversations"] - sums.pending
    abandoned = values["last_errors"] - sums.pending_errors
    return {
        "resolution": {
            "rate": _ratio(values["resolved"], values["judged"]),
            "resolved": values["resolved"],
            "sample_size": values["judged"],
        },
        "abandonment": {
            "rate": _ratio(abandoned, settled),
            "abandoned": abandoned,
            "sample_size": settled,
            "pending": sums.pending,
        },
    }


def _period(spec: QuerySpec, found: Found) -> dict[str, Any]:
    values = found.whole.values
    count = values["conversations"]
    turns, lengths, costs = found.histograms
    p50, p95 = (_binned(costs, percent, 1e-12) for percent in (50, 95))
    return {
        "start_time": spec.start,
        "end_time": spec.end,
        "conversations": count,
        "turns": {
            "total": values["turns"],
            "avg": _ratio(values["turns"], count),
            "p50": _rank(turns, 50),
            "p95": _rank(turns, 95),
            "max": int(turns[0][-1]) if len(turns[0]) else None,
        },
        "duration_ms": {
            "avg": _ms(values["duration_us"], count),
            "p50": _rounded(_binned(lengths, 50, 1e-3)),
            "p95": _rounded(_binned(lengths, 95, 1e-3)),
        },
        "cost_usd": {
            "total": _usd(values["total_cost"]) if values["costed"] else None,
            "avg": _usd(Decimal(values["total_cost"]) / values["costed"]) if values["costed"] else None,
            "p50": p50 and round(p50, 12),
            "p95": p95 and round(p95, 12),
            "sample_size": values["costed"],
        },
        "tokens": {
            "total": values["total_tokens"] if values["tokened"] else None,
            "avg": round(values["total_tokens"] / values["tokened"], 6) if values["tokened"] else None,
            "sample_size": values["tokened"],
        },
        "errors": {
            "conversations": values["failed"],
            "rate": _ratio(values["failed"], count),
            "turn_rate": _ratio(values["error_turns"], values["turns"]),
        },
        **_outcomes(found.whole),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _distribution(turns: Counts, count: int) -> list[dict[str, Any]]:
    """How many conversations have so many turns, by classes; the last is open."""
    made = []
    low = 1
    for high in (*CLASSES, None):
        inside = (turns[0] >= low) & ((turns[0] <= high) if high is not None else True)
        number = int(turns[1][inside].sum())
        made.append({"from": low, "to": high, "conversations": number, "share": _ratio(number, count)})
        low = (high or low) + 1
    return made


def _series(spec: QuerySpec, found: Found) -> list[dict[str, Any]]:
    """Every bucket of the range, also those without a conversation."""
    starts = spec.buckets.starts if spec.buckets else ()
    rows = []
    for start, sums in zip(starts, found.buckets, strict=True):
        values, outcomes = sums.values, _outcomes(sums)
        rows.append(
            {
                "timestamp": start,
                "conversations": values["conversations"],
                "turns_avg": _ratio(values["turns"], values["conversations"]),
                "duration_avg_ms": _ms(values["duration_us"], values["conversations"]),
                "cost_usd": _usd(values["total_cost"]) if values["costed"] else None,
                "resolution_rate": outcomes["resolution"]["rate"],
                "abandonment_rate": outcomes["abandonment"]["rate"],
            }
        )
    return rows


def _changes(current: Mapping[str, Any], previous: Mapping[str, Any]) -> dict[str, float | None]:
    return {name: change_pct(_at(current, path), _at(previous, path)) for name, path in CHANGES.items()}


def _at(period: Mapping[str, Any], path: Sequence[str]) -> Any:
    value: Any = period
    for step in path:
        value = value[step]
    return value
