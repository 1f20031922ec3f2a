"""The last steps of an answer in Python: units, gaps, comparison, conditions, order and limit."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

from apps.common.errors import ApiError
from apps.metrics.buckets import INTERVALS, STEPS
from apps.metrics.catalog import Output
from apps.metrics.spec import MAX_ROWS, MetricRef, QuerySpec
from apps.metrics.statement import default_sort

# The bucket's number (absent without an interval), then the values of the dimensions.
Key = tuple[Any, ...]
Row = dict[str, Any]

_WIDE = Context(prec=60, rounding=ROUND_HALF_EVEN)
_PLACES = Decimal("1e-12")
_HAVING: dict[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
    "eq": operator.eq,
}


def _money(value: Any) -> Decimal:
    return Decimal(value).quantize(_PLACES, context=_WIDE)


OUTPUTS: dict[Output, Callable[[Any], Any]] = {
    "integer": int,
    "number": lambda value: round(float(value), 6),
    "ms": lambda value: round(float(value), 6),
    "rate": lambda value: round(float(value), 12),
    "usd": _money,
    "text": str,
    "time": lambda value: value.astimezone(UTC),
    "score": lambda value: round(float(value), 12),
}


def key_width(spec: QuerySpec) -> int:
    """How many columns of a row name it."""
    return len(spec.group_by) + (1 if spec.interval else 0)


def key(spec: QuerySpec, raw: tuple[Any, ...]) -> Key:
    """A row's key with the bucket as its number from 0."""
    buckets = spec.buckets
    if buckets is None:
        return raw
    first = raw[0]
    if buckets.step is not None:
        return ((first - buckets.edges[0]) // buckets.step, *raw[1:])
    return (first - 1, *raw[1:])


def row(spec: QuerySpec, name: Key, values: Row) -> Row:
    """A row of the answer: timestamp, dimensions, values in the asked order."""
    made: Row = {}
    groups = name
    if spec.buckets is not None:
        made["timestamp"] = spec.buckets.edges[name[0]]
        groups = name[1:]
    slugs = dict(spec.projects)
    for dimension, value in zip(spec.group_by, groups, strict=True):
        made[dimension] = slugs.get(value, str(value)) if dimension == "project" else value
    for ref in spec.metrics:
        made[ref.alias] = values[ref.alias] if ref.alias in values else _absent(ref)
    return made


def _absent(ref: MetricRef) -> int | None:
    """A value of a group that only other statements found: no span with an id, no span at all, no score."""
    source = ref.formula.source
    if source == "components":
        return 0 if ref.aggregation in ("sum", "count") or ref.metric == "throughput" else None
    return 0 if source == "distinct" or (source == "score" and ref.aggregation == "count") else None


class TooManyRows(Exception):
    """The answer has more rows than one answer may have."""


def too_many(spec: QuerySpec, groups: int) -> ApiError:
    """Error 1205, with the finest interval at which so many groups make a short enough answer."""
    span = spec.end - spec.start
    coarser = INTERVALS[INTERVALS.index(spec.interval) + 1 :] if spec.interval else ()
    fitting = next((name for name in coarser if groups * (span // STEPS[name] + 2) <= MAX_ROWS), None)
    less = "take a shorter range, group by less or, where there is one, set a limit"
    advice = f"interval {fitting} would fit" if fitting else less
    message = f"The answer has more than {MAX_ROWS} rows; {advice}."
    return ApiError(1205, message, field="limit", details={"groups": groups, "fitting_interval": fitting})


def finish(spec: QuerySpec, found: Mapping[Key, Row], previous: Mapping[Key, Row] | None) -> tuple[list[Row], int]:
    """The rows of the answer and how many there were before the limit."""
    rows = [row(spec, name, values) for name, values in _filled(spec, found)]
    if previous is not None:
        _compare(spec, rows, [name for name, _ in _filled(spec, found)], previous)
    rows = [item for item in rows if _holds(spec, item)]
    for order in reversed(default_sort(spec)):
        rows.sort(key=lambda item, order=order: _rank(item[order.name], order.descending), reverse=order.descending)  # type: ignore[misc]
    total = len(rows)
    if spec.limit is None and total > spec.most_rows:
        raise TooManyRows
    return rows[: spec.limit], total


def _rank(value: Any, descending: bool) -> tuple[bool, Any]:
    """Missing values come last in either direction."""
    missing = value is None
    return (missing != descending, 0 if missing else value)


def _filled(spec: QuerySpec, found: Mapping[Key, Row]) -> Iterator[tuple[Key, Row]]:
    """The rows with the gaps between them: every bucket of every group that appears at all."""
    if spec.buckets is None or spec.fill == "none":
        yield from found.items()
        return
    blank: Row = {ref.alias: 0 if spec.fill == "zero" else None for ref in spec.metrics}
    groups = dict.fromkeys(name[1:] for name in found) or ({(): None} if not spec.group_by else {})
    if len(groups) * len(spec.buckets.starts) > spec.most_rows:
        raise TooManyRows
    for index in range(len(spec.buckets.starts)):
        for group in groups:
            yield (index, *group), found.get((index, *group), blank)


def _compare(spec: QuerySpec, rows: list[Row], names: list[Key], previous: Mapping[Key, Row]) -> None:
    """Put beside every value that of the same bucket and group in the range compared with."""
    for item, name in zip(rows, names, strict=True):
        before = previous.get(name, {})
        for ref in spec.metrics:
            old = before.get(ref.alias)
            if old is None and ref.alias not in before and ref.formula.output == "integer":
                old = 0
            item[f"previous_{ref.alias}"] = old
            item[f"{ref.alias}_change_pct"] = change_pct(item[ref.alias], old)


def change_pct(now: Any, before: Any) -> float | None:
    """The change in percent; None where there is nothing to compare with."""
    if now is None or before is None or not before:
        return None
    return round(float((Decimal(str(now)) - Decimal(str(before))) / Decimal(str(before)) * 100), 4)


def _holds(spec: QuerySpec, item: Row) -> bool:
    for condition in spec.having:
        value = item[condition.alias]
        if value is None:
            return False
        exact = value if isinstance(value, (int, Decimal)) else Decimal(str(value))
        if not _HAVING[condition.op](exact, condition.value):
            return False
    return True
