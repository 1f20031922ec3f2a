"""From the parameters of a list of traces to conditions over `t`, a row of `trace`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from apps.common.reads.reading import EARLIEST, Problems, bad, choice, flag, number, time_range
from apps.traces.shown import ENVIRONMENT, STATUS

DEFAULT_RANGE = timedelta(days=7)
MAX_VALUES = 100
MAX_TEXT = 1_000
STATUSES = ("ok", "error", "unset")
# One of the listed values, or more of them separated by commas.
_EQUAL = {
    "trace_id": "t.trace_id",
    "session_id": "t.session_id",
    "user_id": "t.user_id",
    "status": STATUS,
}
# As the index trace_values has them.
_HELD = {
    "environment": f"ARRAY[{ENVIRONMENT}]",
    "name": "ARRAY[t.root_name]",
    "provider": "t.providers",
    "model": "t.models",
    "kind": "t.kinds",
    "tag": "t.tags",
}
# A number's column and how many of its units one of the parameter's has.
_NUMBERS = {
    "duration_ms": ("t.duration_us", 1_000),
    "cost": ("t.total_cost", 10**12),
    "tokens": ("t.total_tokens", 1),
}
LISTED = (*_EQUAL, *_HELD)
NUMERIC = tuple(f"{edge}_{name}" for name in _NUMBERS for edge in ("min", "max"))
NAMES = ("project", "start_time", "end_time", *LISTED, *NUMERIC, "has_error")
_MOST = Decimal(2**63 - 1)


@dataclass(frozen=True, slots=True)
class Filters:
    """Which traces are meant: those that begin in [start, end) and fulfil all conditions.

    Args:
        conditions: SQL over `t`, joined by AND.
        values: what its placeholders stand for.
        bounded: the columns that have to be known and in bounds.
        trace_ids: where the traces are named.
        by_value: a condition is on what `trace_values` indexes.
    """

    start: datetime
    end: datetime
    conditions: tuple[str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    bounded: frozenset[str] = frozenset()
    trace_ids: tuple[str, ...] | None = None
    by_value: bool = False

    @property
    def in_range(self) -> str:
        return "t.first_start >= %(range_start)s AND t.first_start < %(range_end)s"

    @property
    def where(self) -> str:
        return " AND ".join((self.in_range, *(f"({one})" for one in self.conditions)))

    @property
    def parameters(self) -> dict[str, Any]:
        return {**self.values, "range_start": self.start, "range_end": self.end}


def filters_of(source: Mapping[str, Any], now: datetime) -> Filters:
    """What the parameters of a query string ask for, or the values of a JSON object, where lists are lists.

    Raises:
        ApiError: what is wrong with them, all of it in one.
    """
    problems = Problems()
    # Whoever names a trace means it whenever it was.
    longest = now - datetime(EARLIEST, 1, 1, tzinfo=UTC) if "trace_id" in source else DEFAULT_RANGE
    start, end = problems.take(lambda: time_range(source, now, longest), (now - longest, now))
    if start >= end:
        problems.found.append(bad("start_time", "start_time must be before end_time.", 1204))
    conditions: list[str] = []
    values: dict[str, Any] = {}
    bounded: set[str] = set()
    for name in LISTED:
        if name in source:
            values[name] = problems.take(lambda name=name: texts_of(source[name], name), [])  # type: ignore[misc]
            conditions.append(
                f"{_EQUAL[name]} = ANY(%({name})s)" if name in _EQUAL else f"{_HELD[name]} && %({name})s::text[]"
            )
    for name in NUMERIC:
        if name in source:
            edge, _, what = name.partition("_")
            column, unit = _NUMBERS[what]
            values[name] = problems.take(lambda: amount_of(source[name], name, edge, unit), 0)  # noqa: B023
            conditions.append(f"{column} {'>=' if edge == 'min' else '<='} %({name})s")
            bounded.add(column)
    if "has_error" in source:
        wanted = problems.take(lambda: flag(source["has_error"], "has_error"), False)
        conditions.append("t.error_count > 0" if wanted else "t.error_count = 0")
    problems.check()
    ids = tuple(values["trace_id"]) if "trace_id" in values else None
    return Filters(start, end, tuple(conditions), values, frozenset(bounded), ids, not _HELD.keys().isdisjoint(values))


def texts_of(given: str | list[str], name: str) -> list[str]:
    """One or several values of a parameter, with commas between them, or of a list."""
    items = [item for item in given.split(",") if item] if isinstance(given, str) else given
    if not items or len(items) > MAX_VALUES:
        raise bad(name, f"{name} takes 1 to {MAX_VALUES} values with commas between them.")
    if any("\x00" in item or len(item) > MAX_TEXT for item in items):
        raise bad(name, f"A value of {name} has at most {MAX_TEXT} characters, none of them null.")
    if name == "status":
        return [choice(item, STATUSES, name) for item in items]
    return items


def amount_of(text: Any, name: str, edge: str, unit: int) -> int:
    """Whole units of storage: of a lower bound the next above, of an upper bound the next below."""
    wanted = number(text, name) * unit
    if wanted < 0:
        raise bad(name, f"{name} must not be negative.")
    return int(min(wanted, _MOST).to_integral_value(ROUND_CEILING if edge == "min" else ROUND_FLOOR))
