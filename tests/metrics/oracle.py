"""Answers computed from span rows in plain Python, by the words of the contract. Imports nothing from apps.metrics."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from apps.traces.columns import SpanRow

Group = tuple[Any, ...]
PICO = Decimal(10) ** -12
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
STEPS = {"1min": 60, "5min": 300, "15min": 900, "1hour": 3600, "6hour": 21600}
MEASURES: dict[str, tuple[str, str]] = {
    "duration": ("duration_us", "ms"),
    "ttft": ("ttft_us", "ms"),
    "total_cost": ("total_cost", "usd"),
    "prompt_cost": ("prompt_cost", "usd"),
    "completion_cost": ("completion_cost", "usd"),
    "total_tokens": ("total_tokens", "tokens"),
    "prompt_tokens": ("prompt_tokens", "tokens"),
    "completion_tokens": ("completion_tokens", "tokens"),
    "cached_tokens": ("cached_tokens", "tokens"),
    "reasoning_tokens": ("reasoning_tokens", "tokens"),
}
WIDE = ("duration", "ttft", "total_cost", "total_tokens", "prompt_tokens", "completion_tokens")


def every_metric() -> list[tuple[str, str]]:
    """Each (metric, aggregation) of the contract."""
    made = [(name, how) for name in ("request_count", "error_count", "success_count") for how in ("sum", "count")]
    made += [(name, "avg") for name in ("error_rate", "success_rate", "throughput", "tokens_per_second")]
    made += [(name, "count") for name in ("unique_users", "unique_sessions")]
    for name in MEASURES:
        made += [(name, how) for how in ("sum", "avg", "count")]
        if name in WIDE:
            made += [(name, how) for how in ("min", "max", "stddev")]
    made += [(name, how) for name in ("duration", "ttft") for how in ("p50", "p90", "p95", "p99")]
    return made


def stored(rows: Iterable[SpanRow]) -> list[SpanRow]:
    """Of several arrivals of one span the greatest stays."""
    kept: dict[Any, SpanRow] = {}
    for row in rows:
        if row.identity not in kept or row.rank > kept[row.identity].rank:
            kept[row.identity] = row
    return list(kept.values())


@dataclass(frozen=True)
class Seen:
    """A span with what it takes over from its trace."""

    row: SpanRow
    start: datetime
    values: dict[str, Any]


def resolved(rows: Iterable[SpanRow], slugs: dict[int, str]) -> list[Seen]:
    """Billable spans with dimensions resolved through their traces: the root's, else the first span's that has it."""
    rows = stored(rows)
    traces: dict[Any, list[SpanRow]] = {}
    for row in sorted(rows, key=lambda row: (row.start_us, row.span_id)):
        traces.setdefault((row.project_id, row.trace_id), []).append(row)
    made = []
    for row in rows:
        if not row.billable:
            continue
        members = traces[(row.project_id, row.trace_id)]
        roots = [member for member in members if member.parent_span_id is None][:1]
        values: dict[str, Any] = {name: getattr(row, name) for name in ("provider", "model", "status", "name", "kind")}
        for name in ("user_id", "session_id", "environment", "team"):
            said = [getattr(member, name) for member in (row, *roots, *members)]
            values[name] = next((value for value in said if value is not None), None)
        values["environment"] = values["environment"] or "default"
        values["project"] = slugs[row.project_id]
        lists = [member.tags for member in (row, *roots, *members)]
        values["tags"] = next((tags for tags in lists if tags is not None), None)
        made.append(Seen(row, EPOCH + timedelta(microseconds=row.start_us), values))
    return made


def bucket(moment: datetime, interval: str, zone: ZoneInfo) -> datetime:
    """The first moment of the bucket a time falls in."""
    if interval in ("1min", "5min", "15min", "1hour"):
        shift = int((moment.astimezone(zone).utcoffset() or timedelta()).total_seconds())
        since = int((moment - EPOCH).total_seconds()) + shift
        return EPOCH + timedelta(seconds=since - since % STEPS[interval] - shift)
    local = moment.astimezone(zone)
    clock = local.replace(hour=local.hour - local.hour % 6 if interval == "6hour" else 0, minute=0, second=0)
    clock = clock.replace(microsecond=0, tzinfo=None)
    if interval == "1week":
        clock -= timedelta(days=clock.weekday())
    if interval == "1month":
        clock = clock.replace(day=1)
    return clock.replace(tzinfo=zone).astimezone(UTC)


def bucket_end(begin: datetime, interval: str, zone: ZoneInfo) -> datetime:
    if interval in ("1min", "5min", "15min", "1hour"):
        return begin + timedelta(seconds=STEPS[interval])
    local = begin.astimezone(zone).replace(tzinfo=None)
    if interval == "6hour":
        later = local + timedelta(hours=6)
    elif interval == "1month":
        later = (local + timedelta(days=32)).replace(day=1)
    else:
        later = local + timedelta(days=7 if interval == "1week" else 1)
    return later.replace(tzinfo=zone).astimezone(UTC)


def groups(
    spans: Sequence[Seen],
    start: datetime,
    end: datetime,
    interval: str | None,
    group_by: Sequence[str],
    zone: ZoneInfo,
    keep: Callable[[Seen], bool] = lambda _: True,
) -> dict[Group, list[Seen]]:
    """The spans of the range by bucket and dimensions; one empty group where nothing is grouped."""
    made: dict[Group, list[Seen]] = {} if interval or group_by else {(): []}
    for span in spans:
        if not (start <= span.start < end and keep(span)):
            continue
        key: Group = tuple(span.values[name] for name in group_by)
        if interval:
            key = (bucket(span.start, interval, zone), *key)
        made.setdefault(key, []).append(span)
    return made


def seconds(key: Group, start: datetime, end: datetime, interval: str | None, zone: ZoneInfo) -> float:
    """The length of a group's bucket inside the range."""
    if interval is None:
        return (end - start).total_seconds()
    begin: datetime = key[0]
    return (min(end, bucket_end(begin, interval, zone)) - max(start, begin)).total_seconds()


def value(metric: str, how: str, members: Sequence[Seen], length: float) -> Any:
    """One value of one group."""
    rows = [member.row for member in members]
    count = len(rows)
    errors = sum(row.status == "error" for row in rows)
    if metric in ("unique_users", "unique_sessions"):
        column = "user_id" if metric == "unique_users" else "session_id"
        return len({member.values[column] for member in members} - {None})
    if metric == "tokens_per_second":
        both = [row for row in rows if row.completion_tokens is not None and row.duration_us > 0]
        length_us = sum(row.duration_us for row in both)
        return sum(row.completion_tokens or 0 for row in both) * 1_000_000 / length_us if both else None
    simple: dict[str, Any] = {
        "request_count": count,
        "error_count": errors,
        "success_count": count - errors,
        "error_rate": errors / count if count else None,
        "success_rate": (count - errors) / count if count else None,
        "throughput": count / length,
    }
    if metric in simple:
        return simple[metric]
    column, unit = MEASURES[metric]
    return measured([getattr(row, column) for row in rows], how, unit)


def measured(raw: Sequence[int | None], how: str, unit: str) -> Any:
    values = sorted(number for number in raw if number is not None)
    if how == "count":
        return len(values)
    if how == "sum" and not values:
        return None if raw else in_unit(Fraction(0), unit)
    if not values or (how == "stddev" and len(values) < 2):
        return None
    if how.startswith("p"):
        rank = -(-int(how[1:]) * len(values) // 100)
        return in_unit(Fraction(values[rank - 1]), unit)
    if how == "stddev":
        return in_unit(Fraction(statistics.stdev([Fraction(number) for number in values])), unit)
    exact = {
        "sum": Fraction(sum(values)),
        "avg": Fraction(sum(values), len(values)),
        "min": Fraction(values[0]),
        "max": Fraction(values[-1]),
    }
    return in_unit(exact[how], unit)


def in_unit(number: Fraction, unit: str) -> Any:
    if unit == "usd":
        return Decimal(number.numerator) / Decimal(number.denominator) * PICO
    return float(number / 1000) if unit == "ms" else float(number)
