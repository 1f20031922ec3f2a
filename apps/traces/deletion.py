"""Deleting traces: one by its id, or all of a user's.

A transaction deletes a number of traces of one project: tombstones, spans and content day by day, scores, whatever the
rooms above keep of them (`OF_TRACES`), with marks where the spans stood, so that the refresh corrects every cell whose
spans are all still kept, the trace's own row and its conversation. Rows that no refresh reaches any more, since their
trace began before what is kept, go at once. What older cells hold of a user goes by `OF_USERS`; their sums by model and
the like, which name nobody, stay.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any

from django.db import connection, transaction

from apps.common.reads import caching
from apps.common.reads.snapshot import snapshot
from apps.common.valkey import CacheDown
from apps.orgs import audit
from apps.orgs.models import Project
from apps.traces import schema, scores_cells, storage, tombstones
from apps.traces.current import current_traces, raw_floors, select
from apps.traces.detail import find
from apps.traces.scores import delete_scores
from apps.traces.sessions.fold import remake_sessions
from apps.traces.shown import value_of

logger = logging.getLogger(__name__)

BATCH = 500
MOST = 20_000  # traces that one call looks up
SECONDS = 15.0  # within a request
SWEEP_SECONDS = 50.0
Counts = dict[str, int]
# What else belongs to traces and to users: the rooms above add theirs. Each deletes in the transaction it is called in.
OF_TRACES: list[Callable[[Any, int, Sequence[str]], Counts]] = []
# Where spans of traces are about to go: when they may have started, at the ends included.
OF_SPANS: list[Callable[[Any, int, Sequence[Placed], datetime], Counts]] = []
# Of users, and of sessions whose last trace goes: what bears their name and no refresh reaches, before a moment.
OF_USERS: list[Callable[[Any, int, str, datetime], Counts]] = []
OF_SESSIONS: list[Callable[[Any, int, Sequence[str], datetime], Counts]] = []

_DELETE = """
WITH gone AS (
    DELETE FROM {table} s WHERE s.trace_id = ANY(%(ids)s) AND s.project_id{plain} = %(project)s
        AND s.start_time >= %(lo)s AND s.start_time <= %(hi)s
    RETURNING date_trunc('minute', s.start_time, 'UTC') AS minute
)
SELECT minute, count(*) FROM gone GROUP BY minute ORDER BY minute
"""
_MARK = """
INSERT INTO span_mark (project_id, lo, hi)
SELECT %s, lower(r), upper(r) FROM (
    SELECT unnest(range_agg(tstzrange(m, m + interval '1 minute'))) AS r FROM unnest(%s::timestamptz[]) AS u (m)
) d
"""
_SILENT = """
SELECT x.session_id FROM unnest(%s::text[]) AS x (session_id) WHERE NOT EXISTS (
    SELECT 1 FROM trace t WHERE t.project_id = %s AND t.session_id = x.session_id AND t.trace_id <> ALL(%s)
)
"""
_FROZEN = "DELETE FROM trace WHERE project_id = %s AND trace_id = ANY(%s) AND first_start < %s RETURNING session_id"
# Words and texts lie in ordinary rows on every tier, so they are found by id alone.
_LEFT = "DELETE FROM {table} WHERE trace_id = ANY(%s) AND project_id = %s"


@dataclass(frozen=True, slots=True)
class Placed:
    """A trace, and between which starts its spans lie."""

    project_id: int
    trace_id: str
    first: datetime
    last: datetime
    session_id: str | None
    user_id: str | None


@dataclass(slots=True)
class Deleted:
    """What went; `complete` is False where the rest goes by and by."""

    counts: Counts = field(default_factory=lambda: {"traces": 0, "spans": 0, "scores": 0})
    complete: bool = True

    def add(self, more: Mapping[str, int]) -> None:
        for name, count in more.items():
            self.counts[name] = self.counts.get(name, 0) + count


def find_trace(projects: Mapping[str, int], trace_id: str) -> Placed:
    """Where a trace is.

    Args:
        projects: those that are looked at, by slug.

    Raises:
        ApiError: as `read_detail` does.
    """
    with snapshot() as cursor:
        row, last = find(cursor, projects, trace_id)
    return Placed(
        value_of(row, "project_id"),
        trace_id,
        value_of(row, "first_start"),
        last,
        value_of(row, "session_id"),
        value_of(row, "user_id"),
    )


def delete_trace(placed: Placed, actor: audit.Actor, organization_id: int) -> Deleted:
    """Delete one trace for good, and write down who did."""
    done = Deleted()
    with transaction.atomic():
        done.add(_delete([placed]))
        audit.record(
            actor,
            "trace.delete",
            organization_id=organization_id,
            project_id=placed.project_id,
            object_type="trace",
            object_id=placed.trace_id,
            after=done.counts,
        )
    forget_answers([organization_id])
    return done


def delete_user(
    project_ids: Sequence[int], user_id: str, actor: audit.Actor, organization_id: int, *, seconds: float = SECONDS
) -> Deleted:
    """Delete all traces of a user, and what cells hold of them; what is not done in time goes with the sweeps."""
    done, end = Deleted(), time.monotonic() + seconds
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO user_deletion (project_id, user_id) SELECT unnest(%s::integer[]), %s ON CONFLICT DO NOTHING",
            [list(project_ids), user_id],
        )
        audit.record(
            actor,
            "user_data.delete",
            organization_id=organization_id,
            object_type="end_user",
            object_id=user_id,
            after={"projects": list(project_ids)},
        )
    for project_id in project_ids:
        done.complete &= _delete_users_traces(project_id, user_id, done, end)
    forget_answers([organization_id])
    return done


def _delete_users_traces(project_id: int, user_id: str, done: Deleted, end: float) -> bool:
    """Delete a user's traces in one project; whether all are gone."""
    while True:
        with snapshot() as cursor:
            found = _traces_of(cursor, project_id, user_id)
        for start in range(0, len(found), BATCH):
            if time.monotonic() > end:
                return False
            with transaction.atomic():
                done.add(_delete(found[start : start + BATCH]))
        if len(found) < MOST:
            break
    with transaction.atomic(), connection.cursor() as cursor:
        floor = raw_floors(cursor, [project_id])[project_id]
        for forget in OF_USERS:
            done.add(forget(cursor, project_id, user_id, floor))
        scores_cells.forget_user(cursor, project_id, user_id)
        cursor.execute("DELETE FROM user_deletion WHERE project_id = %s AND user_id = %s", [project_id, user_id])
    return True


_PLACED = ["t.project_id", "t.trace_id", "t.first_start", "t.last_start", "t.session_id", "t.user_id"]


def _traces_of(cursor: Any, project_id: int, user_id: str) -> list[Placed]:
    source = current_traces(cursor, [project_id])
    sql = select(source, _PLACED, "t.user_id = %(user)s", "t.first_start, t.trace_id", str(MOST))
    cursor.execute(sql, {**source.parameters, "user": user_id})
    return [Placed(*row) for row in cursor.fetchall()]


def _located(cursor: Any, project_ids: Sequence[int], trace_ids: Sequence[str]) -> list[Placed]:
    source = current_traces(cursor, project_ids, trace_ids=trace_ids)
    cursor.execute(select(source, _PLACED, "t.trace_id = ANY(%(ids)s)"), {**source.parameters, "ids": list(trace_ids)})
    return [Placed(*row) for row in cursor.fetchall()]


def _delete(traces: Sequence[Placed], *, buried: bool = False) -> Counts:
    """Delete traces of one project, within the caller's transaction.

    Args:
        buried: their tombstones stand already.
    """
    project_id, ids = traces[0].project_id, [trace.trace_id for trace in traces]
    done = Deleted()
    with connection.cursor() as cursor:
        # Only TimescaleDB reads it: compressed chunks may have to be opened.
        cursor.execute("SELECT set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', true)")
        if not buried:
            tombstones.bury(cursor, project_id, ids)
        floor = raw_floors(cursor, [project_id])[project_id]
        minutes = {trace.first.replace(second=0, microsecond=0) for trace in traces}
        for let_go in OF_SPANS:
            done.add(let_go(cursor, project_id, traces, floor))
        for lo, hi, some in _days(traces, floor):
            for table in schema.SPAN_TABLES:
                found = _delete_spans(cursor, table, project_id, some, lo, hi)
                if table == "span":
                    done.add({"spans": sum(found.values())})
                    minutes |= found.keys()
        done.add({"traces": len(ids), "scores": delete_scores(cursor, project_id, ids)})
        cursor.execute(_FROZEN, [project_id, ids, floor])
        remake_sessions(cursor, sorted({(project_id, one) for (one,) in cursor.fetchall() if one is not None}))
        for forget in OF_TRACES:
            done.add(forget(cursor, project_id, ids))
        cursor.execute(_SILENT, [sorted({t.session_id for t in traces if t.session_id}), project_id, ids])
        if silent := [session for (session,) in cursor.fetchall()]:
            for forget_sessions in OF_SESSIONS:
                done.add(forget_sessions(cursor, project_id, silent, floor))
        cursor.execute(_MARK, [project_id, sorted(minutes)])
    return done.counts


def _days(traces: Sequence[Placed], floor: datetime) -> list[tuple[datetime, datetime, list[str]]]:
    """For each day from when to when, both included, there are spans of which traces.

    The row of a trace that began before what is kept says nothing of the spans that came since: it is looked for to
    this day.
    """
    ahead = datetime.now(UTC) + timedelta(days=storage.DAYS_AHEAD + 1)
    found: dict[datetime, list[tuple[datetime, datetime, str]]] = {}
    for trace in traces:
        last = trace.last if trace.first >= floor else max(trace.last, ahead)
        for day in schema.days_between(schema.day_of(max(trace.first, floor)), schema.day_of(last)):
            lo = schema.midnight(day)
            hi = lo + schema.DAY - timedelta(microseconds=1)
            found.setdefault(lo, []).append((max(lo, trace.first), min(hi, last), trace.trace_id))
    return [
        (min(lo for lo, _, _ in some), max(hi for _, hi, _ in some), [trace_id for _, _, trace_id in some])
        for _, some in sorted(found.items())
    ]


def _delete_spans(
    cursor: Any, table: str, project_id: int, ids: Sequence[str], lo: datetime, hi: datetime
) -> dict[datetime, int]:
    """How many rows of each minute went."""
    # `+ 0` leaves plain partitions the index of identities; compressed chunks are segmented by the column as it is.
    plain = "" if storage.tier(connection).hypertables else " + 0"
    cursor.execute(
        _DELETE.format(table=table, plain=plain), {"ids": list(ids), "project": project_id, "lo": lo, "hi": hi}
    )
    return dict(cursor.fetchall())


def sweep(*, seconds: float = SWEEP_SECONDS) -> Deleted:
    """Go on with deletions of users that took too long, and delete what came in under tombstones unseen."""
    done, end = Deleted(), time.monotonic() + seconds
    with connection.cursor() as cursor:
        cursor.execute("SELECT project_id, user_id FROM user_deletion ORDER BY at LIMIT 100")
        waiting = cursor.fetchall()
    for project_id, user_id in waiting:
        done.complete &= _delete_users_traces(project_id, user_id, done, end)
    touched = {project_id for project_id, _ in waiting}
    with connection.cursor() as cursor:
        tombstones.set_horizons(cursor)
    while time.monotonic() < end:
        swept, projects = _sweep_some(done)
        touched |= projects
        if not swept:
            break
    if touched:
        # Once more: an answer that was being computed while its trace was deleted may have been kept since.
        forget_answers(Project.objects.filter(pk__in=touched).values_list("organization_id", flat=True).distinct())
    return done


def _sweep_some(done: Deleted) -> tuple[int, set[int]]:
    """Look under some tombstones; how many were closed, and the projects of all that were looked at."""
    with transaction.atomic(), connection.cursor() as cursor:
        found = tombstones.open_tombstones(cursor, BATCH)
        for project_id, group in groupby(sorted(found), key=itemgetter(0)):
            left = _located(cursor, [project_id], [trace_id for _, trace_id, _ in group])
            if left:
                done.add(_delete(left, buried=True))
                logger.info("%d deleted traces of project %d had come back", len(left), project_id)
        over = [(project_id, trace_id) for project_id, trace_id, last in found if last]
        for project_id in {project_id for project_id, _ in over}:
            ids = [trace_id for project, trace_id in over if project == project_id]
            for table in schema.SPAN_TABLES[1:]:
                # What was read from spans before they went, and written after.
                cursor.execute(_LEFT.format(table=table), [ids, project_id])
            # Verdicts and the like need no span to come in.
            done.add({"scores": delete_scores(cursor, project_id, ids)})
            for forget in OF_TRACES:
                done.add(forget(cursor, project_id, ids))
        tombstones.close(cursor, over)
    return len(over), {project_id for project_id, _, _ in found}


def forget_answers(organization_ids: Any) -> None:
    """Drop the kept answers of these organizations. With the cache away nothing is kept anyway."""
    for organization_id in organization_ids:
        try:
            caching.clear(organization_id)
        except CacheDown:
            logger.warning("the kept answers of organization %d could not be dropped", organization_id)
