"""The statements of repricing. Each names projects and a range of time, so that none looks at more than a day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db.backends.utils import CursorWrapper

from apps.costs.repricing.outcome import Costs, Stored
from apps.traces.writer import mark_ranges, marks_sql, us_of

_COSTS = ", ".join(Costs._fields)
_SETTINGS = """
SELECT set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', true),
    set_config('statement_timeout', %s, true), set_config('lock_timeout', '5s', true)
"""
_FIRST = """
SELECT min(start_time) FROM span
WHERE project_id = %(project)s AND start_time >= %(start)s AND start_time < %(end)s
"""
_READ = f"""
SELECT trace_id, span_id, start_time, (extract(epoch FROM start_time) * 1000000)::bigint, ingested_at, provider, model,
    CASE WHEN jsonb_typeof(labels -> 'service_tier') = 'string' THEN labels ->> 'service_tier' END,
    prompt_tokens, completion_tokens, cached_tokens, cache_write_tokens, reasoning_tokens, usage::text, {_COSTS}
FROM span
WHERE project_id = %(project)s AND start_time >= %(start)s AND start_time < %(end)s
    AND (start_time, trace_id, span_id) > (%(start)s, %(trace)s, %(span)s) AND billable
    AND (cardinality(%(providers)s::text[]) = 0 OR provider = ANY(%(providers)s::text[]))
    AND (cardinality(%(models)s::text[]) = 0 OR model = ANY(%(models)s::text[]))
ORDER BY start_time, trace_id, span_id LIMIT %(limit)s
"""
_TYPES = {"cost_source": "text", "unpriced_reason": "text", "price_version_id": "text"}
_ARRAYS = ", ".join(f"%({name})s::{_TYPES.get(name, 'bigint')}[]" for name in Costs._fields)
# Of a span that was replaced since it was read, nothing is touched: ingest has priced it anew.
_UPDATE = f"""
UPDATE span s SET {", ".join(f"{name} = n.{name}" for name in Costs._fields)}
FROM unnest(
    %(projects)s::integer[], %(starts)s::timestamptz[], %(traces)s::text[], %(spans)s::text[],
    %(ingested)s::timestamptz[],
    {_ARRAYS}
) AS n (project_id, start_time, trace_id, span_id, ingested_at, {_COSTS})
WHERE s.project_id = ANY(%(projects)s::integer[]) AND s.start_time >= %(first)s AND s.start_time <= %(last)s
    AND s.project_id = n.project_id AND s.trace_id = n.trace_id AND s.span_id = n.span_id
    AND s.start_time = n.start_time AND s.ingested_at = n.ingested_at
RETURNING s.trace_id, s.span_id, s.start_time, s.project_id
"""
_REMEMBER = f"""
INSERT INTO reprice_change (job_id, project_id, start_time, trace_id, span_id, ingested_at, {_COSTS})
SELECT %(job)s, n.* FROM unnest(
    %(projects)s::integer[], %(starts)s::timestamptz[], %(traces)s::text[], %(spans)s::text[],
    %(ingested)s::timestamptz[],
    {_ARRAYS}
) AS n
ON CONFLICT DO NOTHING
"""
_REMEMBERED = f"""
SELECT project_id, start_time, trace_id, span_id, ingested_at, {_COSTS}
FROM reprice_change WHERE job_id = %(job)s AND project_id = ANY(%(projects)s)
ORDER BY project_id, start_time, trace_id, span_id LIMIT %(limit)s
"""
_FORGET = """
DELETE FROM reprice_change
WHERE job_id = %(job)s AND project_id = ANY(%(projects)s)
    AND (project_id, start_time, trace_id, span_id) <= (%(project)s, %(start)s, %(trace)s, %(span)s)
"""
_EXPIRE = """
DELETE FROM reprice_change WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM reprice_change WHERE job_id = %(job)s AND project_id = ANY(%(projects)s) LIMIT %(limit)s
))
"""
_FORGET_TRACES = "DELETE FROM reprice_change WHERE trace_id = ANY(%s) AND project_id = %s"
_CLAIM = "SELECT pg_try_advisory_xact_lock(%s, %s)"
LOCK_CLASS = 0x52455052  # "REPR"
Key = tuple[str, str, datetime, int]  # trace, span, start, project


class Change(NamedTuple):
    """The costs that a span had, or is to have."""

    project_id: int
    start_time: datetime
    trace_id: str
    span_id: str
    ingested_at: datetime
    costs: Costs

    @property
    def key(self) -> Key:
        return (self.trace_id, self.span_id, self.start_time, self.project_id)


class Position(NamedTuple):
    """Behind which span to go on: (project, start, trace, span)."""

    project_id: int
    start_time: datetime
    trace_id: str
    span_id: str


def begin(cursor: CursorWrapper, seconds: float) -> None:
    """A transaction's settings: compressed chunks may be opened, and nothing lasts for ever."""
    cursor.execute(_SETTINGS, [str(int(seconds * 1000))])


def claim(cursor: CursorWrapper, job_id: int) -> bool:
    """Be the only one at work on a job until the transaction ends."""
    cursor.execute(_CLAIM, [LOCK_CLASS, job_id])
    return bool(cursor.fetchone()[0])


def first_start(cursor: CursorWrapper, project_id: int, start: datetime, end: datetime) -> datetime | None:
    """When the next span of a project begins."""
    cursor.execute(_FIRST, {"project": project_id, "start": start, "end": end})
    found: datetime | None = cursor.fetchone()[0]
    return found


def read(
    cursor: CursorWrapper, behind: Position, end: datetime, providers: Sequence[str], models: Sequence[str], limit: int
) -> list[Stored]:
    """The next billable spans of a project, in the order of their start."""
    asked: dict[str, Any] = {
        "project": behind.project_id,
        "start": behind.start_time,
        "trace": behind.trace_id,
        "span": behind.span_id,
        "end": end,
        "providers": list(providers),
        "models": list(models),
        "limit": limit,
    }
    cursor.execute(_READ, asked)
    width = len(Stored._fields) - 1
    return [Stored._make((*row[:width], Costs._make(row[width:]))) for row in cursor.fetchall()]


def _columns(changes: Sequence[Change]) -> dict[str, Any]:
    starts = [change.start_time for change in changes]
    return {
        "projects": [change.project_id for change in changes],
        "starts": starts,
        "traces": [change.trace_id for change in changes],
        "spans": [change.span_id for change in changes],
        "ingested": [change.ingested_at for change in changes],
        "first": min(starts),
        "last": max(starts),
        **{name: [getattr(change.costs, name) for change in changes] for name in Costs._fields},
    }


def write_costs(cursor: CursorWrapper, changes: Sequence[Change]) -> set[Key]:
    """Give spans these costs and mark their minutes; those that are as they were read."""
    if not changes:
        return set()
    cursor.execute(_UPDATE, _columns(changes))
    written: set[Key] = {tuple(row) for row in cursor.fetchall()}
    if written:
        keys = ((trace, span, us_of(start), project) for trace, span, start, project in written)
        cursor.execute(marks_sql(mark_ranges(keys), inherited=False))
    return written


def remember(cursor: CursorWrapper, job_id: int, changes: Sequence[Change]) -> None:
    """Keep what spans cost before."""
    if changes:
        cursor.execute(_REMEMBER, {"job": job_id, **_columns(changes)})


def remembered(cursor: CursorWrapper, job_id: int, project_ids: Sequence[int], limit: int) -> list[Change]:
    """What spans cost before a job, the first of what is left of it."""
    cursor.execute(_REMEMBERED, {"job": job_id, "projects": list(project_ids), "limit": limit})
    return [Change._make((*row[:5], Costs._make(row[5:]))) for row in cursor.fetchall()]


def forget(cursor: CursorWrapper, job_id: int, project_ids: Sequence[int], last: Change) -> None:
    """Drop what was kept up to and with this span."""
    cursor.execute(
        _FORGET,
        {
            "job": job_id,
            "projects": list(project_ids),
            "project": last.project_id,
            "start": last.start_time,
            "trace": last.trace_id,
            "span": last.span_id,
        },
    )


def expire(cursor: CursorWrapper, job_id: int, project_ids: Sequence[int], limit: int) -> int:
    """Drop a bounded number of what is kept of a job; how many went."""
    cursor.execute(_EXPIRE, {"job": job_id, "projects": list(project_ids), "limit": limit})
    return int(cursor.rowcount)


def forget_traces(cursor: Any, project_id: int, trace_ids: Sequence[str]) -> dict[str, int]:
    """Drop what is kept of the spans of deleted traces; it counts as nothing, for their spans are counted."""
    cursor.execute(_FORGET_TRACES, [list(trace_ids), project_id])
    return {}
