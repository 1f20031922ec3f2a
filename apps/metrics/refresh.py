"""The refresh: fold what writers marked into traces and cells. docs/rollups.md states the invariants.

On PostgreSQL every pass is one REPEATABLE READ transaction: it reads the visible marks, redoes what they cover on all
levels, moves the watermarks and deletes exactly those marks. Killed at any point it leaves nothing behind. Where
continuous aggregates hold the coarser usage cells, they are refreshed between two transactions (`_with_aggregates`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from django.db import OperationalError, connection, transaction
from django.db.backends.utils import CursorWrapper
from psycopg import errors

from apps.metrics import compile_timescale, ledger, retention
from apps.metrics.build import Build, new_watermarks, to_hold, touched_days
from apps.metrics.ledger import RefreshReport
from apps.metrics.ranges import Ranges, minute_of, minutes_in, moment_of, moments
from apps.metrics.rollups import ROLLUPS
from apps.traces.scores_cells import take_slice
from apps.traces.summary import refresh_traces

MARKS_READ = 50_000
MARKS_A_PASS = 5_000
MINUTES_A_PASS = 2_880
DAY_MINUTES = 1440
HOLD = timedelta(seconds=30)


@dataclass(slots=True)
class Marks:
    """The marks a pass takes on, and the rest of one that is too long for it."""

    ids: list[int] = field(default_factory=list)
    rows: list[tuple[int, datetime, datetime]] = field(default_factory=list)
    rest: tuple[int, datetime, datetime, datetime, bool] | None = None
    more: bool = False


@dataclass(slots=True)
class Pass:
    """One pass: its marks, the work on the cells, and further ranges that traces made dirty."""

    started: datetime
    marks: Marks
    build: Build
    changed: Ranges

    @property
    def report(self) -> RefreshReport:
        build = self.build
        return RefreshReport(len(self.marks.ids), build.dirty.minutes, build.spans, build.cells, more=self.marks.more)

    @property
    def idle(self) -> bool:
        return not self.marks.ids and not any(self.build.redone.values())


def refresh(
    now: datetime | None = None, *, hold: timedelta = timedelta(0), limit: timedelta = timedelta(seconds=50)
) -> RefreshReport:
    """Fold all visible marks; one refresh is at work at a time, another one returns at once with `busy`.

    Args:
        now: the moment up to which buckets count as over; the clock's if not given.
        hold: leave marks younger than this alone while their minute is not over yet. No answer reads the cells of
            an unfinished minute, so folding each of its batches at once would only redo it again and again.
        limit: begin no further pass after this time; what is left waits for the next call.
    """
    started, total = time.monotonic(), RefreshReport(more=True)
    moment = now or datetime.now(UTC)
    with connection.cursor() as cursor:
        aggregates = compile_timescale.in_use(cursor)
    while total.more and not total.busy:
        try:
            total.add(_with_aggregates(moment, hold) if aggregates else _in_one_transaction(moment, hold))
        except OperationalError as error:
            # Another refresh committed between this one's snapshot and its lock: it did the work.
            if not isinstance(error.__cause__, errors.SerializationFailure):
                raise
            total.busy = True
        if time.monotonic() - started > limit.total_seconds():
            break
    total.seconds = round(time.monotonic() - started, 3)
    return total


def refresh_live() -> RefreshReport:
    """What runs every few seconds: a minute under way is folded when its marks are half a minute old, or it is over."""
    return refresh(hold=HOLD)


def _in_one_transaction(now: datetime, hold: timedelta) -> RefreshReport:
    with transaction.atomic(), connection.cursor() as cursor:
        _settings(cursor)
        if not _claimed(cursor):
            return RefreshReport(busy=True)
        done = _fold(cursor, now, hold, aggregates=False)
        _remove(cursor, done)
        ledger.advance(cursor, done.build.new, done.started)
        if not done.idle:
            ledger.run_done(cursor, done.report, done.started)
        return done.report


def _with_aggregates(now: datetime, hold: timedelta) -> RefreshReport:
    """Transaction, continuous aggregates, transaction; the marks stay until all is done.

    A run killed in between leaves its marks, so readers go on taking those minutes from raw, and the next run does
    the same again. Ranges that a changed trace made dirty are marked by the first transaction: its trace rows are up
    to date by then, and the next run would not find the change any more.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        _settings(cursor)
        if not _claimed(cursor) or ledger.running(cursor):
            return RefreshReport(busy=True)
        done = _fold(cursor, now, hold, aggregates=True)
        ledger.advance(cursor, {"usage_1m": done.build.old["usage_1m"]}, done.started)
        if done.changed:
            _mark_changed(cursor, done)
        run = 0 if done.idle else ledger.run_started(cursor, done.started)
    if not done.idle:
        _refresh_aggregates(run, done.build)
    with transaction.atomic(), connection.cursor() as cursor:
        if run and not ledger.run_finished(cursor, run, done.report):
            return RefreshReport(busy=True)  # it took so long that another run took over
        _remove(cursor, done)
        ledger.advance(cursor, done.build.new, done.started)
    return done.report


def _settings(cursor: CursorWrapper) -> None:
    """The transaction's settings; inside a caller's transaction (tests) the isolation is the caller's."""
    if not connection.savepoint_ids:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    # Arrays of ranges hide from the planner how much they cover. Indexes and hashes serve few and many spans alike;
    # a sort of half a million of them spills (measured: 7.1 s sorted, 3.2 s hashed for the same ten minutes).
    cursor.execute(
        "SET LOCAL jit = off; SET LOCAL work_mem = '64MB'; SET LOCAL statement_timeout = 0; "
        "SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off; SET LOCAL synchronous_commit = off; "
        "SELECT set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', true)"
    )


def _claimed(cursor: CursorWrapper) -> bool:
    cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [ledger.LOCK_KEY])
    return bool(cursor.fetchone()[0])


def _fold(cursor: CursorWrapper, now: datetime, hold: timedelta, *, aggregates: bool) -> Pass:
    """Traces first: what they say of their spans decides in which cells those count."""
    started = datetime.now(UTC)
    old = ledger.locked_watermarks(cursor)
    marks = read_marks(cursor, now, hold)
    floors = retention.floors(now, aggregates=aggregates)
    marked = floors.raw_kept(Ranges.of(marks.rows))
    scores = [*moments(Ranges.of(marks.rows)), *take_slice(cursor)]
    found = refresh_traces(cursor, moments(marked), floors=floors.raw_moments(), scores=scores)
    changed = floors.raw_kept(Ranges.of(found))
    held = to_hold(cursor, now, old)
    marks.more |= bool(held)
    build = Build(cursor, floors, marked | changed, old, new_watermarks(now, old, held))
    if aggregates:
        build.external = frozenset(compile_timescale.AGGREGATES)
        build.sources = compile_timescale.SOURCES
    build.run()
    return Pass(started, marks, build, changed)


def _refresh_aggregates(run: int, build: Build) -> None:
    """Each aggregate over the buckets of this run, as long as their minutes are kept."""
    with connection.cursor() as cursor:
        for name in compile_timescale.AGGREGATES:
            whole = build.floors.cells_kept("usage_1m", build.redone[name], minutes_in(ROLLUPS[name].width))
            for sql, window in compile_timescale.refresh_calls(name, compile_timescale.windows(whole)):
                cursor.execute(sql, window)
                ledger.beat(cursor, run)


def read_marks(cursor: CursorWrapper, now: datetime, hold: timedelta) -> Marks:
    """The oldest marks, as many as a pass can take on, and all those of the same minutes."""
    cursor.execute(
        "SELECT id, project_id, lo, hi, created_at, inherited,"
        " created_at <= clock_timestamp() - %s * interval '1 second' "
        "FROM span_mark ORDER BY id LIMIT %s",
        [hold.total_seconds(), MARKS_READ + 1],
    )
    rows = cursor.fetchall()
    marks = Marks(more=len(rows) > MARKS_READ)
    over = moment_of(minute_of(now))
    # Once one mark of a minute under way is due, its whole minute is redone: then all its marks may go.
    due = {row[1] for row in rows if row[6]}
    budget, seen = MINUTES_A_PASS, set[tuple[int, datetime, datetime]]()
    for number, project, lo, hi, created_at, inherited, _ in rows[:MARKS_READ]:
        if hi > over and project not in due:
            continue
        row = (project, lo, hi)
        cost = 0 if row in seen else minute_of(hi) - minute_of(lo)
        if row not in seen and marks.ids and (cost > budget or len(marks.ids) >= MARKS_A_PASS):
            marks.more = True
            continue
        marks.ids.append(number)
        if cost > budget:
            row = _cut(marks, project, lo, hi, created_at, inherited)
        seen.add(row)
        marks.rows.append(row)
        budget -= cost
    return marks


def _cut(
    marks: Marks, project: int, lo: datetime, hi: datetime, created_at: datetime, inherited: bool
) -> tuple[int, datetime, datetime]:
    """Take the start of a long mark, to the end of a day, and leave the rest for later."""
    edge = moment_of((minute_of(lo) + MINUTES_A_PASS) // DAY_MINUTES * DAY_MINUTES)
    marks.rest, marks.more = (project, edge, hi, created_at, inherited), True
    return (project, lo, edge)


def _mark_changed(cursor: CursorWrapper, done: Pass) -> None:
    """Mark what changed traces made dirty; the marks go with this pass's own."""
    done.marks.ids += _mark(cursor, done.changed)
    done.marks.rows += moments(done.changed)


def _mark(cursor: CursorWrapper, ranges: Ranges) -> list[int]:
    rows = moments(ranges)
    cursor.execute(
        "INSERT INTO span_mark (project_id, lo, hi) "
        "SELECT * FROM unnest(%s::integer[], %s::timestamptz[], %s::timestamptz[]) RETURNING id",
        [[row[column] for row in rows] for column in range(3)],
    )
    return [number for (number,) in cursor.fetchall()]


def _remove(cursor: CursorWrapper, done: Pass) -> None:
    """Delete exactly the marks that were folded; the rest of a long one goes to the end of the queue at its age."""
    marks = done.marks
    if marks.ids:
        cursor.execute("DELETE FROM span_mark WHERE id = ANY(%s)", [marks.ids])
    if marks.rest:
        cursor.execute(
            "INSERT INTO span_mark (project_id, lo, hi, created_at, inherited) VALUES (%s, %s, %s, %s, %s)", marks.rest
        )
    # Mark by mark, as they were counted while they lay there: a version never falls back. A changed trace that nobody
    # marked needs no count: answers knew of it before.
    ledger.bump_versions(cursor, [day for row in marks.rows for day in touched_days(Ranges.of([row]))])
