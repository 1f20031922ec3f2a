"""Reconcile: every cell and every trace row computed once more from raw spans, and compared with what is stored.

Each level is computed from raw directly, never through finer cells. A bucket that a mark covers or that is not over
counts as pending, one whose raw spans are partly gone as unverifiable: neither is compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from apps.metrics import compile_timescale, ledger, reconcile_sql, retention
from apps.metrics.build import parameters
from apps.metrics.ranges import EPOCH, Ranges, minute_of, minutes_in, moments
from apps.metrics.refresh import refresh
from apps.metrics.rollups import ROLLUPS, Rollup
from apps.traces.attribution import attribution_dirty

MOST_ROWS = 2_000  # differing cells fetched a rollup and day: enough to see, never too much to hold
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Difference:
    """One component of one cell (or column of one trace row) that is not what raw spans say.

    `stored` is None where the cell is missing, `expected` is None where it should not be there.
    """

    rollup: str
    bucket: datetime
    project_id: int
    key: dict[str, Any]
    component: str
    stored: Any
    expected: Any


@dataclass(slots=True)
class Reconciliation:
    """What was compared, in buckets of projects (traces: rows), and what differs."""

    differences: list[Difference] = field(default_factory=list)
    compared: int = 0
    pending: int = 0
    unverifiable: int = 0
    repaired: int = 0
    repair: Ranges = field(default_factory=Ranges)


@dataclass(frozen=True, slots=True)
class _View:
    """One day, seen in one transaction."""

    cursor: CursorWrapper
    whole: Ranges
    floors: retention.Floors
    dirty: Ranges
    watermarks: dict[str, datetime]


def reconcile(
    start: datetime, end: datetime, repair: bool = False, *, projects: list[int] | None = None
) -> list[Difference]:
    """The differences in [start, end); with `repair` those that are left after redoing what differed."""
    return examine(start, end, repair=repair, projects=projects).differences


def examine(
    start: datetime,
    end: datetime,
    *,
    repair: bool = False,
    projects: list[int] | None = None,
    now: datetime | None = None,
) -> Reconciliation:
    """Compare day by day; with `repair`, mark what differs, refresh, and compare again."""
    found = _examine(start, end, projects, now)
    if repair and found.repair:
        before = len(found.differences)
        with connection.cursor() as cursor:
            mark(cursor, found.repair)
        while refresh(now).more:
            pass
        found = _examine(start, end, projects, now)
        found.repaired = before - len(found.differences)
    return found


def mark(cursor: CursorWrapper, ranges: Ranges) -> None:
    """Have the next refresh redo these ranges."""
    rows = moments(ranges)
    cursor.execute(
        "INSERT INTO span_mark (project_id, lo, hi) "
        "SELECT * FROM unnest(%s::integer[], %s::timestamptz[], %s::timestamptz[])",
        [[row[column] for row in rows] for column in range(3)],
    )


def _examine(start: datetime, end: datetime, projects: list[int] | None, now: datetime | None) -> Reconciliation:
    result = Reconciliation()
    for lo, hi in _days(start, end):
        with transaction.atomic(), connection.cursor() as cursor:
            if not connection.savepoint_ids:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute(
                "SET LOCAL jit = off; SET LOCAL statement_timeout = 0; "
                "SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off"
            )
            view = _view(cursor, lo, hi, projects, now or datetime.now(UTC))
            if not view.whole:
                continue
            for rollup in ROLLUPS.values():
                _compare(view, rollup, result)
            _compare_traces(view, result)
    return result


def _days(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    lo = start
    while lo < end:
        hi = min(end, EPOCH + ((lo - EPOCH) // DAY + 1) * DAY)
        yield lo, hi
        lo = hi


def _view(cursor: CursorWrapper, lo: datetime, hi: datetime, projects: list[int] | None, now: datetime) -> _View:
    day = EPOCH + (lo - EPOCH) // DAY * DAY
    cursor.execute(reconcile_sql.PROJECTS, {"lo": day, "hi": day + DAY})
    there = [project for (project,) in cursor.fetchall() if projects is None or project in projects]
    dirty = ledger.unfolded(cursor, day, day + DAY)
    if there and ledger.marked(cursor):
        dirty |= Ranges.of(attribution_dirty(cursor, there))
    return _View(
        cursor,
        Ranges.of((project, lo, hi) for project in there),
        retention.floors(now, aggregates=compile_timescale.in_use(cursor)),
        dirty,
        ledger.watermarks(cursor),
    )


def _compare(view: _View, rollup: Rollup, result: Reconciliation) -> None:
    width = minutes_in(rollup.width)
    buckets = view.whole.widened(width)
    buckets = view.floors.cells_kept(rollup.name, buckets, width)
    built = buckets.within(hi=minute_of(view.watermarks[rollup.name])) - view.dirty.widened(width)
    sound = view.floors.raw_kept(built, width)
    result.pending += (buckets.minutes - built.minutes) // width
    result.unverifiable += (built.minutes - sound.minutes) // width
    result.compared += sound.minutes // width
    if sound:
        _collect(view.cursor, rollup, sound, result)


def _collect(cursor: CursorWrapper, rollup: Rollup, sound: Ranges, result: Reconciliation) -> None:
    cursor.execute(reconcile_sql.compare(rollup), {**parameters(sound), "most": MOST_ROWS})
    keys, width = rollup.key, rollup.width
    names = reconcile_sql.held(rollup)
    before = len(result.differences)
    for key, stored, expected in _pairs(cursor.fetchall(), len(keys)):
        named = dict(zip(keys, key, strict=True))
        bucket, project = named.pop("bucket"), named.pop("project_id")
        result.differences += _unlike(rollup.name, bucket, project, named, names, stored, expected)
    result.repair |= Ranges.of((d.project_id, d.bucket, d.bucket + width) for d in result.differences[before:])


def _pairs(
    rows: list[tuple[Any, ...]], keys: int
) -> Iterator[tuple[tuple[Any, ...], tuple[Any, ...] | None, tuple[Any, ...] | None]]:
    """(key, stored, expected) from rows that begin with 'stored' or 'expected'."""
    sides: dict[tuple[Any, ...], dict[str, tuple[Any, ...]]] = {}
    for side, *row in rows:
        sides.setdefault(tuple(row[:keys]), {})[side] = tuple(row[keys:])
    for key, of in sides.items():
        yield key, of.get("stored"), of.get("expected")


def _unlike(
    rollup: str,
    bucket: datetime,
    project: int,
    key: dict[str, Any],
    names: list[str],
    stored: tuple[Any, ...] | None,
    expected: tuple[Any, ...] | None,
) -> Iterator[Difference]:
    for place, name in enumerate(names):
        ours = stored[place] if stored else None
        right = expected[place] if expected else None
        if ours != right:
            yield Difference(rollup, bucket, project, key, name, ours, right)


def _compare_traces(view: _View, result: Reconciliation) -> None:
    """Rows of the traces that have a span in the day, or begin in it."""
    sound = view.floors.raw_kept(view.whole)
    if not sound:
        return
    marks = ledger.unfolded(view.cursor, EPOCH, EPOCH + 100_000 * DAY)
    dirty, own = moments(marks), view.floors.raw_moments()
    given = {
        **parameters(sound),
        "floor": own.pop(None),
        "floor_projects": list(own),
        "floors": list(own.values()),
        "dirty_projects": [row[0] for row in dirty],
        "dirty_los": [row[1] for row in dirty],
        "dirty_his": [row[2] for row in dirty],
        "most": MOST_ROWS,
    }
    view.cursor.execute(reconcile_sql.TRACES, given)
    names = list(reconcile_sql.TRACE_COLUMNS)
    edges = [names.index("first_start"), names.index("last_start")]
    wrong: list[tuple[int, datetime]] = []
    for (project, trace_id), stored, expected in _pairs(view.cursor.fetchall(), 2):
        sides = [row for row in (expected, stored) if row]
        wrong += [(project, row[edge]) for row in sides for edge in edges]
        key, first = {"trace_id": trace_id}, sides[0][edges[0]]
        result.differences += _unlike("trace", first, project, key, names, stored, expected)
    moment = timedelta(microseconds=1)
    result.repair |= Ranges.of((project, at, at + moment) for project, at in wrong)
