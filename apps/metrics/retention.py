"""How long cells are kept, from which moment on they may be redone, and the bounded deletes that expire them.

Retention never marks anything dirty: what it removes stays frozen in coarser cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from apps.metrics import compile_timescale, ledger
from apps.metrics.ranges import Ranges, minute_of, minutes_in, moment_of
from apps.metrics.rollups import ROLLUPS, Rollup
from apps.traces.storage import project_floors, raw_floor

# Retention may run beside a refresh that took its clock reading earlier: the refresh stays this far off the edge.
MARGIN = timedelta(minutes=5)
DELETE_BATCH = 20_000


def kept_days(rollup: Rollup, *, aggregates: bool) -> int:
    """How many days a rollup's cells are kept.

    Continuous aggregates read minute cells alone, so where those are used the minute cells outlive the raw spans:
    a late span in the last day of raw then still finds whole days of them, of every project.
    """
    days: int = getattr(settings.HUB, rollup.retention)
    if aggregates and rollup.name == "usage_1m":
        return max(days, settings.HUB.raw_retention_days + 2)
    return days


@dataclass(frozen=True, slots=True)
class Floors:
    """The minute from which on each source is whole.

    Args:
        raw: per project with a retention of its own.
        raw_default: every other project's.
        cells: per rollup.
    """

    raw: dict[int, int]
    raw_default: int
    cells: dict[str, int]

    def raw_kept(self, buckets: Ranges, width: int = 1) -> Ranges:
        """Those buckets whose raw spans are all still there."""
        up = {project: -(-floor // width) * width for project, floor in self.raw.items()}
        return buckets.after(up, -(-self.raw_default // width) * width)

    def raw_moments(self) -> dict[int | None, datetime]:
        """The raw floors as moments; None stands for the projects without one of their own."""
        own: dict[int | None, datetime] = {project: moment_of(minute) for project, minute in self.raw.items()}
        return own | {None: moment_of(self.raw_default)}

    def cells_kept(self, name: str, buckets: Ranges, width: int) -> Ranges:
        """Those buckets whose finer cells are all still there."""
        return buckets.within(lo=-(-self.cells[name] // width) * width)


def _project_floors(moment: datetime) -> dict[int, datetime]:
    """The raw floors of projects with one of their own; what went under a shorter setting does not come back."""
    found = project_floors("span", moment)
    with connection.cursor() as cursor:
        cursor.execute("SELECT project_id, floor FROM retention_floor WHERE relation = 'span' AND project_id <> 0")
        for project, floor in cursor.fetchall():
            found[project] = max(floor, found.get(project, floor))
    return found


def floors(now: datetime, *, aggregates: bool) -> Floors:
    moment = now + MARGIN
    raw = minute_of(raw_floor(moment))
    return Floors(
        raw={project: max(raw, minute_of(floor)) for project, floor in _project_floors(moment).items()},
        raw_default=raw,
        cells={
            name: minute_of(moment - timedelta(days=kept_days(rollup, aggregates=aggregates))) + 1
            for name, rollup in ROLLUPS.items()
        },
    )


def _projects(cursor: CursorWrapper, table: str) -> list[int]:
    cursor.execute(
        f"WITH RECURSIVE p(id) AS (SELECT (SELECT project_id FROM {table} ORDER BY project_id LIMIT 1) UNION ALL "
        f"SELECT (SELECT c.project_id FROM {table} c WHERE c.project_id > p.id ORDER BY c.project_id LIMIT 1) "
        "FROM p WHERE p.id IS NOT NULL) SELECT id FROM p WHERE id IS NOT NULL"
    )
    return [project for (project,) in cursor.fetchall()]


def _delete_batch(rollup: Rollup, project: int, floor: datetime) -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            f"DELETE FROM {rollup.name} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {rollup.name} "
            "WHERE project_id = %s AND bucket < %s ORDER BY bucket LIMIT %s))",
            [project, floor, DELETE_BATCH],
        )
        return int(cursor.rowcount)


def _expire_table(rollup: Rollup, floor: datetime, most: int) -> int:
    with connection.cursor() as cursor:
        projects = _projects(cursor, rollup.name)
    deleted = 0
    for project in projects:
        while deleted < most:
            count = _delete_batch(rollup, project, floor)
            deleted += count
            if count < DELETE_BATCH:
                break
    return deleted


def expire_cells(now: datetime, *, most: int = 2_000_000) -> dict[str, int]:
    """Delete cells older than their retention, in short transactions, at most `most` a rollup and call."""
    with connection.cursor() as cursor:
        aggregates = compile_timescale.in_use(cursor)
    deleted: dict[str, int] = {}
    for name, rollup in ROLLUPS.items():
        width = minutes_in(rollup.width)
        # A bucket goes when all of it is too old.
        floor = moment_of(minute_of(now - timedelta(days=kept_days(rollup, aggregates=aggregates))) // width * width)
        deleted[name] = _expire(rollup, floor, most, aggregates=aggregates)
    return {name: count for name, count in deleted.items() if count}


def _expire(rollup: Rollup, floor: datetime, most: int, *, aggregates: bool) -> int:
    if aggregates and rollup.name in compile_timescale.HYPERTABLES:
        with connection.cursor() as cursor:
            return compile_timescale.drop_chunks(cursor, rollup.name, floor)
    return _expire_table(rollup, floor, most)


def forget_user(cursor: CursorWrapper, project_id: int, user_id: str, floor: datetime) -> dict[str, int]:
    """Delete what frozen cells hold of a user; cells that a refresh still reaches are corrected by it.

    Args:
        floor: from here on raw spans are whole.
    """
    return _forget(cursor, "user_id", project_id, [user_id], floor)


def forget_sessions(
    cursor: CursorWrapper, project_id: int, session_ids: Sequence[str], floor: datetime
) -> dict[str, int]:
    """The same for sessions."""
    return _forget(cursor, "session_id", project_id, session_ids, floor)


def _forget(cursor: CursorWrapper, column: str, project_id: int, ids: Sequence[str], floor: datetime) -> dict[str, int]:
    gone = 0
    for rollup in ROLLUPS.values():
        if column in rollup.ids:
            cursor.execute(
                f"DELETE FROM {rollup.name} WHERE project_id = %s AND {column} = ANY(%s) AND bucket < %s"
                " RETURNING bucket",
                [project_id, list(ids), floor],
            )
            days = [(project_id, bucket.replace(hour=0, minute=0)) for (bucket,) in cursor.fetchall()]
            ledger.bump_versions(cursor, days)
            gone += len(days)
    return {"cells": gone}
