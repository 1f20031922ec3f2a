"""The ledger of the refresh: watermarks, runs, and how far behind the cells are.

On ordinary tables a run is one transaction: its row appears when it is DONE, and a killed run leaves nothing to redo.
With continuous aggregates a run leaves a STARTED row first and keeps its marks until it is DONE, so after a crash the
next run finds the same marks and does the same again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.backends.utils import CursorWrapper

from apps.metrics.ranges import EPOCH, Ranges
from apps.metrics.rollups import ROLLUPS

LOCK_KEY = 0x68_75_62_01  # "hub" and the refresh's number, for pg_try_advisory_xact_lock
RUNS_KEPT = 1000
SILENCE_SECONDS = 30


@dataclass(slots=True)
class RefreshReport:
    """What a refresh did.

    Args:
        marks: marks folded and removed.
        minutes: minutes of projects redone.
        spans: billable spans read for the minute cells.
        cells: cells written, all rollups together.
        busy: another refresh was at work, so this one did nothing more.
        more: marks were left for the next run.
    """

    marks: int = 0
    minutes: int = 0
    spans: int = 0
    cells: int = 0
    seconds: float = 0.0
    passes: int = 0
    busy: bool = False
    more: bool = False

    def add(self, other: RefreshReport) -> None:
        self.marks += other.marks
        self.minutes += other.minutes
        self.spans += other.spans
        self.cells += other.cells
        self.passes += 1
        self.busy, self.more = other.busy, other.more


def locked_watermarks(cursor: CursorWrapper) -> dict[str, datetime]:
    """The watermark of every rollup; their rows stay locked until the transaction ends.

    Under REPEATABLE READ this raises a serialization failure when another refresh committed after this
    transaction's snapshot was taken, which closes the gap between the snapshot and the advisory lock.
    """
    return watermarks(cursor, " FOR UPDATE")


def watermarks(cursor: CursorWrapper, lock: str = "") -> dict[str, datetime]:
    """Up to when the buckets of every rollup are built."""
    cursor.execute(f"SELECT rollup, watermark FROM rollup_state ORDER BY rollup{lock}")
    known: dict[str, datetime] = dict(cursor.fetchall())
    return {name: known.get(name, EPOCH) for name in ROLLUPS}


def advance(cursor: CursorWrapper, watermarks: dict[str, datetime], started: datetime) -> None:
    """Move watermarks forward, never back; `usage_1m` is always touched, so that two runs can never both pass."""
    cursor.execute(
        "INSERT INTO rollup_state AS r (rollup, watermark, status, started_at, finished_at) "
        "SELECT n.rollup, n.watermark, 'DONE', %s, clock_timestamp() "
        "FROM unnest(%s::text[], %s::timestamptz[]) AS n(rollup, watermark) "
        "ON CONFLICT (rollup) DO UPDATE SET watermark = greatest(r.watermark, excluded.watermark), "
        "status = excluded.status, started_at = excluded.started_at, finished_at = excluded.finished_at "
        "WHERE r.watermark < excluded.watermark OR r.rollup = 'usage_1m'",
        [started, list(watermarks), list(watermarks.values())],
    )


def run_done(cursor: CursorWrapper, report: RefreshReport, started: datetime) -> None:
    """A run that is one transaction: its row appears at its end."""
    run_finished(cursor, run_started(cursor, started), report)


def run_started(cursor: CursorWrapper, started: datetime) -> int:
    cursor.execute("INSERT INTO rollup_run (status, started_at) VALUES ('STARTED', %s) RETURNING id", [started])
    number: int = cursor.fetchone()[0]
    if number % 100 == 0:
        cursor.execute("DELETE FROM rollup_run WHERE id <= %s", [number - RUNS_KEPT])
    return number


def run_finished(cursor: CursorWrapper, run: int, report: RefreshReport) -> bool:
    """Whether the run was still this process's to finish."""
    cursor.execute(
        "UPDATE rollup_run SET status = 'DONE', finished_at = clock_timestamp(), beat_at = clock_timestamp(), "
        "marks = %s, minutes = %s, spans = %s, cells = %s WHERE id = %s AND status = 'STARTED'",
        [report.marks, report.minutes, report.spans, report.cells, run],
    )
    return int(cursor.rowcount) == 1


def beat(cursor: CursorWrapper, run: int) -> None:
    cursor.execute("UPDATE rollup_run SET beat_at = clock_timestamp() WHERE id = %s", [run])


def running(cursor: CursorWrapper) -> bool:
    """Whether another run is between its two transactions; one that has been silent too long is given up."""
    cursor.execute(
        "UPDATE rollup_run SET status = 'LOST' WHERE status = 'STARTED' "
        "AND beat_at < clock_timestamp() - %s * interval '1 second'",
        [SILENCE_SECONDS],
    )
    cursor.execute("SELECT EXISTS (SELECT FROM rollup_run WHERE status = 'STARTED')")
    return bool(cursor.fetchone()[0])


def bump_versions(cursor: CursorWrapper, days: Iterable[tuple[int, datetime]]) -> None:
    """Count a folded mark for each (project, day) it touched: with the marks still there, the data's version."""
    counted: dict[tuple[int, datetime], int] = {}
    for key in days:
        counted[key] = counted.get(key, 0) + 1
    if not counted:
        return
    keys = sorted(counted)
    cursor.execute(
        "INSERT INTO data_version AS v (project_id, day, version) "
        "SELECT * FROM unnest(%s::integer[], %s::date[], %s::bigint[]) "
        "ON CONFLICT (project_id, day) DO UPDATE SET version = v.version + excluded.version",
        [[p for p, _ in keys], [d.date() for _, d in keys], [counted[key] for key in keys]],
    )


def rollup_lag_seconds() -> float:
    """How old the oldest mark is that no refresh has folded yet; 0 when there is none."""
    with connection.cursor() as cursor:
        # The key is handed out in order, so the first row is within moments of the oldest.
        cursor.execute(
            "SELECT coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::double precision "
            "FROM (SELECT created_at FROM span_mark ORDER BY id LIMIT 1000) m"
        )
        return max(0.0, float(cursor.fetchone()[0]))


def last_runs(cursor: CursorWrapper, most: int) -> list[tuple[Any, ...]]:
    """Of the newest runs: state, start, end, marks, minutes, spans, cells."""
    cursor.execute(
        "SELECT status, started_at, finished_at, marks, minutes, spans, cells FROM rollup_run"
        " ORDER BY id DESC LIMIT %s",
        [most],
    )
    return list(cursor.fetchall())


def marks_waiting(cursor: CursorWrapper, most: int) -> int:
    """How many marks no refresh has folded yet, counted up to a bound."""
    cursor.execute("SELECT count(*) FROM (SELECT FROM span_mark LIMIT %s) m", [most])
    return int(cursor.fetchone()[0])


def unfolded(cursor: CursorWrapper, lo: datetime, hi: datetime) -> Ranges:
    """The minutes in [lo, hi) that a mark still covers."""
    cursor.execute(
        "SELECT project_id, greatest(lo, %s), least(hi, %s) FROM span_mark WHERE lo < %s AND hi > %s", [lo, hi, hi, lo]
    )
    return Ranges.of(cursor.fetchall())


def marked(cursor: CursorWrapper) -> bool:
    cursor.execute("SELECT EXISTS (SELECT FROM span_mark)")
    return bool(cursor.fetchone()[0])
