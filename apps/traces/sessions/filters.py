"""From the parameters of a list of conversations to conditions over `x`, a row of `session`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from apps.common.reads.reading import EARLIEST, Problems, bad, flag, time_range
from apps.traces.filters import amount_of, texts_of
from apps.traces.sessions.shown import ENVIRONMENT

DEFAULT_RANGE = timedelta(days=7)
# One of the listed values, or more of them separated by commas.
_EQUAL = {"session_id": "x.session_id", "user_id": "x.user_id", "environment": ENVIRONMENT}
# A number's column and how many of its units one of the parameter's has.
_NUMBERS = {
    "turns": ("x.turns", 1),
    "duration_ms": ("x.duration_us", 1_000),
    "cost": ("x.total_cost", 10**12),
    "tokens": ("x.total_tokens", 1),
}
_FLAGS = {"has_error": "(x.error_count > 0)", "resolved": "x.resolved"}
NUMERIC = tuple(f"{edge}_{name}" for name in _NUMBERS for edge in ("min", "max"))
NAMES = ("project", "start_time", "end_time", *_EQUAL, *NUMERIC, *_FLAGS)


@dataclass(frozen=True, slots=True)
class Filters:
    """Which conversations are meant: those that began in [start, end) and fulfil all conditions."""

    start: datetime
    end: datetime
    conditions: tuple[str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def where(self) -> str:
        # None ends before it begins: said for the sake of the index of ends.
        range_ = (
            "x.first_start >= %(range_start)s",
            "x.first_start < %(range_end)s",
            "x.end_time >= %(range_start)s",
        )
        return " AND ".join((*range_, *self.conditions))

    @property
    def parameters(self) -> dict[str, Any]:
        return {**self.values, "range_start": self.start, "range_end": self.end}


def filters_of(source: Mapping[str, str], now: datetime) -> Filters:
    """What the parameters ask for.

    Raises:
        ApiError: what is wrong with them, all of it in one.
    """
    problems = Problems()
    # Whoever names a conversation means it whenever it was.
    longest = now - datetime(EARLIEST, 1, 1, tzinfo=UTC) if "session_id" in source else DEFAULT_RANGE
    start, end = problems.take(lambda: time_range(source, now, longest), (now - longest, now))
    if start >= end:
        problems.found.append(bad("start_time", "start_time must be before end_time.", 1204))
    conditions: list[str] = []
    values: dict[str, Any] = {}
    for name, column in _EQUAL.items():
        if name in source:
            values[name] = problems.take(lambda name=name: texts_of(source[name], name), [])  # type: ignore[misc]
            conditions.append(f"{column} = ANY(%({name})s)")
    for name in NUMERIC:
        if name in source:
            edge, _, what = name.partition("_")
            column, unit = _NUMBERS[what]
            values[name] = problems.take(lambda: amount_of(source[name], name, edge, unit), 0)  # noqa: B023
            conditions.append(f"{column} {'>=' if edge == 'min' else '<='} %({name})s")
    for name, column in _FLAGS.items():
        if name in source:
            values[name] = problems.take(lambda name=name: flag(source[name], name), False)  # type: ignore[misc]
            conditions.append(f"{column} = %({name})s")
    problems.check()
    return Filters(start, end, tuple(conditions), values)
