"""The SQL of jobs. All of a job's times are the database's, so that the clocks of workers do not matter."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

# Of advisory locks, beside the second key: an organization's jobs are claimed and counted one at a time; a deletion of
# traces of a project shares its lock with other deletions and excludes claims.
ORGANIZATION_CLASS: Final = 0x4558_4F52
PROJECT_CLASS: Final = 0x4558_5052
# A worker that has not been heard of for so long is dead, and the job is taken up by another one.
SILENCE_SECONDS: Final = 30.0
MOST_LOST: Final = 5

_CLAIMABLE = """
(j.status = 'pending' AND j.not_before <= statement_timestamp()
    OR j.status = 'processing' AND j.heartbeat_at <= statement_timestamp() - %(silence)s * interval '1 second')
AND j.lost < %(most_lost)s AND NOT j.cancel_requested
AND (j.deadline_at IS NULL OR j.deadline_at > statement_timestamp())
"""
# Two days are longer than any job may take.
_WORK_OF_ORGANIZATION = """
SELECT count(*) FILTER (
        WHERE o.status = 'processing' AND o.id <> j.id
        AND o.heartbeat_at > statement_timestamp() - %(silence)s * interval '1 second'
    ) AS running, max(o.started_at) AS last_start
FROM exports_exportjob o
WHERE o.organization_id = j.organization_id AND o.created_at > statement_timestamp() - interval '2 days'
"""
_LIMIT = """
coalesce((SELECT l.running_jobs FROM exports_exportlimit l WHERE l.organization_id = j.organization_id), %(limit)s)
"""
# Whoever has least at work comes first, then whose turn was longest ago: nobody waits behind another's long queue.
_NEXT = f"""
SELECT j.id, j.organization_id, j.project_ids FROM exports_exportjob j
CROSS JOIN LATERAL ({_WORK_OF_ORGANIZATION}) w
WHERE {_CLAIMABLE} AND w.running < {_LIMIT} AND j.id <> ALL(%(passed)s)
ORDER BY w.running, w.last_start NULLS FIRST, j.id = %(wanted)s DESC, j.created_at, j.id LIMIT 1
"""
_CLAIM = f"""
UPDATE exports_exportjob j SET status = 'processing', attempt = j.attempt + 1,
    lost = j.lost + (j.status = 'processing')::integer,
    heartbeat_at = statement_timestamp(), updated_at = statement_timestamp(),
    started_at = coalesce(j.started_at, statement_timestamp()),
    deadline_at = coalesce(j.deadline_at, statement_timestamp() + %(deadline)s * interval '1 second'),
    rows_done = 0, rows_total = NULL, file_size_bytes = NULL
WHERE j.id = %(id)s AND {_CLAIMABLE} AND (SELECT w.running FROM ({_WORK_OF_ORGANIZATION}) w) < {_LIMIT}
RETURNING j.attempt, j.kind, j.format
"""
_BEAT = """
UPDATE exports_exportjob SET heartbeat_at = statement_timestamp(), updated_at = statement_timestamp(),
    rows_done = %(done)s, rows_total = %(total)s
WHERE id = %(id)s AND attempt = %(attempt)s AND status = 'processing'
RETURNING cancel_requested, deadline_at <= statement_timestamp()
"""
# The size is a reservation: two files that end at once must not both take the last room.
_STORED = """
SELECT coalesce(sum(file_size_bytes), 0) FROM exports_exportjob
WHERE organization_id = %(organization)s AND status IN ('processing', 'completed') AND id <> %(id)s
"""
_DUE = f"SELECT j.id FROM exports_exportjob j WHERE {_CLAIMABLE} ORDER BY j.not_before LIMIT %(most)s"


@dataclass(frozen=True, slots=True)
class Next:
    """A job that may be claimed."""

    id: UUID
    organization_id: int
    project_ids: tuple[int, ...]


def _claimable() -> dict[str, Any]:
    return {"silence": SILENCE_SECONDS, "most_lost": MOST_LOST}


def next_job(cursor: Any, wanted: UUID | None, passed: Sequence[UUID], limit: int) -> Next | None:
    """Whose turn it is.

    Args:
        wanted: of its organization's jobs, this one.
        passed: not these.
        limit: how many jobs of an organization may be worked on at once, where it has no figure of its own.
    """
    cursor.execute(_NEXT, {**_claimable(), "wanted": wanted, "passed": list(passed), "limit": limit})
    row = cursor.fetchone()
    return Next(row[0], row[1], tuple(row[2])) if row else None


def claim(cursor: Any, job_id: UUID, limit: int, deadline_seconds: float) -> tuple[int, str, str] | None:
    """Take it up, if that may still be done; the attempt's number, the job's kind and format."""
    cursor.execute(_CLAIM, {**_claimable(), "id": job_id, "limit": limit, "deadline": deadline_seconds})
    row: tuple[int, str, str] | None = cursor.fetchone()
    return row


def beat(cursor: Any, job_id: UUID, attempt: int, done: int, total: int | None) -> tuple[bool, bool] | None:
    """Say that the attempt lives; (cancel requested, over time), or None where it is no longer its to do."""
    cursor.execute(_BEAT, {"id": job_id, "attempt": attempt, "done": done, "total": total})
    row = cursor.fetchone()
    return (bool(row[0]), bool(row[1])) if row else None


def due(cursor: Any, most: int) -> list[UUID]:
    """Jobs that wait for a worker, as far as their organizations' limits are not asked."""
    cursor.execute(_DUE, {**_claimable(), "most": most})
    return [row[0] for row in cursor.fetchall()]


def stored_bytes(cursor: Any, organization_id: int, job_id: UUID | None = None) -> int:
    """What an organization's files take that have not expired, and those that are being stored, but for one job's."""
    nobody = UUID(int=0)
    cursor.execute(_STORED, {"organization": organization_id, "id": job_id or nobody})
    return int(cursor.fetchone()[0])


def lock_organization(cursor: Any, organization_id: int) -> None:
    """Be the only one who counts this organization's jobs, until the transaction ends."""
    cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [ORGANIZATION_CLASS, organization_id])


def no_deletions(cursor: Any, project_ids: Sequence[int]) -> bool:
    """Whether no deletion of traces of these projects is under way; none begins until the transaction ends."""
    cursor.execute(
        "SELECT coalesce(bool_and(pg_try_advisory_xact_lock(%s, p)), true) FROM unnest(%s::integer[]) AS u (p)",
        [PROJECT_CLASS, list(project_ids)],
    )
    return bool(cursor.fetchone()[0])


def share_deletion(cursor: Any, project_id: int) -> None:
    """Keep jobs of a project from being claimed until the transaction ends; other deletions may go on."""
    cursor.execute("SELECT pg_advisory_xact_lock_shared(%s, %s)", [PROJECT_CLASS, project_id])


@dataclass(frozen=True, slots=True)
class Touched:
    """A job that may have read what is being deleted."""

    id: UUID
    status: str
    question: dict[str, Any]


# In one order, so that two deletions do not wait for each other.
_TOUCHED = """
SELECT j.id, j.status, j.asked->'question' FROM exports_exportjob j
WHERE %(project)s = ANY(j.project_ids) AND j.status IN ('processing', 'completed') AND {condition}
ORDER BY j.id FOR UPDATE
"""
_OF_SPANS = """
j.kind = 'traces' AND EXISTS (
    SELECT 1 FROM unnest(%(los)s::timestamptz[], %(his)s::timestamptz[]) AS u (lo, hi)
    WHERE j.start_time <= u.hi AND j.end_time > u.lo
)
"""
# A question about figures says somewhere that it groups or filters by the name; which names are in it, nobody knows.
_PERSONAL = """
CASE WHEN j.kind = 'traces' THEN coalesce((j.asked->'question'->%(name)s) ?| %(values)s::text[], false)
ELSE j.asked->>'question' LIKE %(quoted)s OR j.asked->>'fields' LIKE %(quoted)s END
"""
_NAMES_IN = """
SELECT coalesce(array_agg(DISTINCT s.user_id) FILTER (WHERE s.user_id IS NOT NULL), '{}'),
    coalesce(array_agg(DISTINCT s.session_id) FILTER (WHERE s.session_id IS NOT NULL), '{}')
FROM span s WHERE s.trace_id = ANY(%(traces)s) AND s.project_id = %(project)s
    AND s.start_time >= %(lo)s AND s.start_time <= %(hi)s
"""
_BEGIN_ANEW = """
UPDATE exports_exportjob SET status = 'pending', not_before = statement_timestamp(), heartbeat_at = NULL,
    file_size_bytes = NULL, rows_done = 0, rows_total = NULL, updated_at = statement_timestamp()
WHERE id = ANY(%s)
"""
_TAKE_BACK = """
UPDATE exports_exportjob SET status = 'expired', file = '', error = %s, expires_at = statement_timestamp(),
    updated_at = statement_timestamp()
WHERE id = ANY(%s)
"""
Span = tuple[datetime, datetime]


def touched(cursor: Any, project_id: int, spans: Sequence[Span]) -> list[Touched]:
    """Exports of spans that work or are offered and whose range touches one of these, both ends included; locked."""
    los, his = [lo for lo, _ in spans], [hi for _, hi in spans]
    cursor.execute(_TOUCHED.format(condition=_OF_SPANS), {"project": project_id, "los": los, "his": his})
    return _as_touched(cursor)


def personal(cursor: Any, project_id: int, name: str, values: Sequence[str]) -> list[Touched]:
    """Exports of figures by users or sessions, and of the spans of these; locked."""
    cursor.execute(
        _TOUCHED.format(condition=_PERSONAL),
        {"project": project_id, "name": name, "values": list(values), "quoted": f'%"{name}"%'},
    )
    return _as_touched(cursor)


def _as_touched(cursor: Any) -> list[Touched]:
    rows = cursor.fetchall()
    return [Touched(row[0], row[1], row[2] if isinstance(row[2], dict) else json.loads(row[2])) for row in rows]


def names_in(
    cursor: Any, project_id: int, trace_ids: Sequence[str], spans: Sequence[Span]
) -> tuple[set[str], set[str]]:
    """The users and sessions that the spans of these traces name themselves."""
    lo, hi = min(lo for lo, _ in spans), max(hi for _, hi in spans)
    cursor.execute(_NAMES_IN, {"traces": list(trace_ids), "project": project_id, "lo": lo, "hi": hi})
    users, sessions = cursor.fetchone()
    return set(users), set(sessions)


def begin_anew(cursor: Any, job_ids: Sequence[UUID]) -> None:
    """Whoever works on them finds that they are no longer its to do."""
    cursor.execute(_BEGIN_ANEW, [list(job_ids)])


def take_back(cursor: Any, job_ids: Sequence[UUID], reason: str) -> None:
    """Offer their files no longer."""
    cursor.execute(_TAKE_BACK, [reason, list(job_ids)])
