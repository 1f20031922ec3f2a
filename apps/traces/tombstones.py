"""Tombstones: what has been deleted does not come back by a sender's retry, an import or a dead letter driven again.

The writer asks for the tombstones of a batch's traces, once a batch, and not at all while there are none in the whole
installation, which it remembers for a few seconds. So it may write a span under a tombstone that it did not see: its
transaction had begun, or it knew of none. Such spans go by the sweep, which looks under a tombstone until every
transaction is over that may not have seen it. That moment is found without a clock: `GRACE` after the tombstone, when
everybody who writes looks for tombstones, the sweep notes its own transaction's id as the tombstone's horizon; once no
transaction below it is under way, one last look finds all there can be. (A snapshot's xmax would not do: it follows
the last transaction that is over, and one beyond it may be under way.)
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from apps.common.cells import Expiring

REMEMBERED_SECONDS = 10.0
# Several times as long as a writer may go on in the belief that there are no tombstones.
GRACE = timedelta(seconds=60)
TraceKey = tuple[int, str]  # project, trace

_standing: Expiring[str, bool] = Expiring(REMEMBERED_SECONDS)
_BURY = """
INSERT INTO trace_tombstone AS b (project_id, trace_id)
SELECT %s, trace_id FROM unnest(%s::text[]) AS n (trace_id) ORDER BY trace_id
ON CONFLICT (project_id, trace_id) DO UPDATE SET at = excluded.at, horizon = NULL, swept = false
"""
_BURIED = """
SELECT n.project_id, n.trace_id FROM unnest(%s::integer[], %s::text[]) AS n (project_id, trace_id)
JOIN trace_tombstone b ON b.project_id = n.project_id AND b.trace_id = n.trace_id
"""


def bury(cursor: Any, project_id: int, trace_ids: Sequence[str]) -> None:
    """Put up tombstones, in the transaction that deletes what lies under them."""
    cursor.execute(_BURY, [project_id, list(trace_ids)])
    _standing.clear()


def standing(database: BaseDatabaseWrapper) -> bool:
    """Whether there is any tombstone; a statement every few seconds until there is one."""
    known = _standing.get(database.alias)
    if known is None:
        with database.cursor() as cursor:
            cursor.execute("SELECT EXISTS (SELECT 1 FROM trace_tombstone)")
            known = bool(cursor.fetchone()[0])
        _standing.put(database.alias, known)
    return known


def buried(database: BaseDatabaseWrapper, keys: Collection[TraceKey]) -> set[TraceKey]:
    """Which of these traces have a tombstone."""
    wanted = sorted(keys)
    if not wanted or not standing(database):
        return set()
    with database.cursor() as cursor:
        cursor.execute(_BURIED, [[project for project, _ in wanted], [trace for _, trace in wanted]])
        return set(cursor.fetchall())


def forget() -> None:
    """Look anew, whatever was remembered."""
    _standing.clear()


_HORIZON = """
UPDATE trace_tombstone SET horizon = pg_current_xact_id()
WHERE NOT swept AND horizon IS NULL AND at <= clock_timestamp() - %s * interval '1 second'
"""
_OPEN = """
SELECT project_id, trace_id, coalesce(horizon < pg_snapshot_xmin(pg_current_snapshot()), false)
FROM trace_tombstone WHERE NOT swept ORDER BY at LIMIT %s FOR UPDATE SKIP LOCKED
"""


def set_horizons(cursor: Any) -> None:
    cursor.execute(_HORIZON, [GRACE.total_seconds()])


def open_tombstones(cursor: Any, most: int) -> list[tuple[int, str, bool]]:
    """(project, trace, whether one more look is the last), locked for this transaction."""
    cursor.execute(_OPEN, [most])
    rows: list[tuple[int, str, bool]] = cursor.fetchall()
    return rows


def close(cursor: Any, keys: Sequence[TraceKey]) -> None:
    cursor.execute(
        "UPDATE trace_tombstone b SET swept = true FROM unnest(%s::integer[], %s::text[]) AS n (project_id, trace_id)"
        " WHERE b.project_id = n.project_id AND b.trace_id = n.trace_id",
        [[project for project, _ in keys], [trace for _, trace in keys]],
    )
