"""Keeping the index of words: writers leave a mark with each batch, a task reads the content and takes the mark away.

That is one transaction, so in every snapshot the words of a content row are in the index, or a mark says that they may
not be: whoever searches looks at those rows themselves (`apps.traces.search.candidates`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.db import IntegrityError, connection, transaction
from psycopg import errors

from apps.traces.schema import LOCK_CLASS, ensure_partitions, lock_maintenance, partition_days
from apps.traces.search.words import indexed

SPANS_A_PASS: Final = 20_000
MARKS_READ: Final = 2_000
_SAME: Final = (
    "{a}.trace_id = {b}.trace_id AND {a}.span_id = {b}.span_id AND {a}.start_time = {b}.start_time"
    " AND {a}.project_id = {b}.project_id"
)


def same_span(a: str, b: str) -> str:
    return _SAME.format(a=a, b=b)


# Spans of marked batches. The bounds of all together name the partitions.
MARKED_SPANS: Final = """
marked AS MATERIALIZED (
    SELECT * FROM unnest(
        %(projects)s::integer[], %(los)s::timestamptz[], %(his)s::timestamptz[], %(ats)s::timestamptz[]
    ) AS m (project_id, lo, hi, at)
), batch AS MATERIALIZED (
    SELECT DISTINCT r.project_id, s.trace_id, s.span_id, s.start_time
    FROM (SELECT DISTINCT project_id, lo, hi FROM marked) r CROSS JOIN LATERAL (
        SELECT s.trace_id, s.span_id, s.start_time, s.ingested_at FROM span s
        WHERE s.project_id = r.project_id AND s.start_time >= r.lo AND s.start_time < r.hi
            AND s.start_time >= %(lo)s AND s.start_time < %(hi)s
        OFFSET 0
    ) s
    WHERE (r.project_id, r.lo, r.hi, s.ingested_at) IN (SELECT project_id, lo, hi, at FROM marked WHERE at IS NOT NULL)
        OR (r.project_id, r.lo, r.hi) IN (SELECT project_id, lo, hi FROM marked WHERE at IS NULL)
)"""
_FILL = f"""
WITH {MARKED_SPANS}
INSERT INTO span_text AS x (project_id, trace_id, span_id, start_time, words)
SELECT c.project_id, c.trace_id, c.span_id, c.start_time, {indexed("c")}
FROM batch b JOIN span_content c ON {same_span("c", "b")} AND c.start_time >= %(lo)s AND c.start_time < %(hi)s
ON CONFLICT (trace_id, span_id, start_time, project_id) DO UPDATE SET words = excluded.words
WHERE x.words IS DISTINCT FROM excluded.words
"""
_EMPTY = f"""
WITH {MARKED_SPANS}
DELETE FROM span_text x USING batch b
WHERE {same_span("x", "b")} AND x.start_time >= %(lo)s AND x.start_time < %(hi)s
    AND NOT EXISTS (SELECT 1 FROM span_content c WHERE {same_span("c", "b")})
"""
_READ = "SELECT id, project_id, lo, hi, at, spans, replaced FROM text_mark ORDER BY id LIMIT %s"


@dataclass(slots=True)
class Indexed:
    """What a call did: marks taken, rows whose words were written, whether marks are left."""

    marks: int = 0
    rows: int = 0
    more: bool = False
    busy: bool = False


def index_texts(*, limit: timedelta = timedelta(seconds=50)) -> Indexed:
    """Read what writers marked; one call at a time is at work, another one returns at once with `busy`."""
    done, started = Indexed(more=True), time.monotonic()
    while done.more and not done.busy and time.monotonic() - started < limit.total_seconds():
        _one_pass(done)
    return done


def _one_pass(done: Indexed) -> None:
    try:
        _pass(done)
    except IntegrityError as error:
        # On plain PostgreSQL a day that nobody has prepared: a late span made the other tables' partitions alone.
        if not isinstance(error.__cause__, errors.CheckViolation):
            raise
        with transaction.atomic(), connection.cursor() as cursor:
            lock_maintenance(cursor)
            ensure_partitions(cursor, "span_text", list(partition_days(cursor, "span_content")))
        done.more = True


def _pass(done: Indexed) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, 3)", [LOCK_CLASS])
        if not cursor.fetchone()[0]:
            done.busy = True
            return
        cursor.execute(_READ, [MARKS_READ])
        rows = cursor.fetchall()
        taken = _some(rows)
        done.more = len(taken) < len(rows) or len(rows) == MARKS_READ
        if not taken:
            return
        # Marks of one pass share their transaction with nothing else; what is lost in a crash is marked still.
        cursor.execute("SET LOCAL synchronous_commit = off; SET LOCAL jit = off; SET LOCAL enable_seqscan = off")
        asked = batches(taken)
        cursor.execute(_FILL, asked)
        done.rows += cursor.rowcount
        if any(row[6] for row in taken):
            cursor.execute(_EMPTY, asked)
        cursor.execute("DELETE FROM text_mark WHERE id = ANY(%s)", [[row[0] for row in taken]])
        done.marks += len(taken)


def _some(rows: Sequence[Any]) -> list[Any]:
    """The oldest marks, as many as a pass can take on."""
    taken: list[Any] = []
    spans = 0
    for row in rows:
        if taken and spans + row[5] > SPANS_A_PASS:
            break
        taken.append(row)
        spans += row[5]
    return taken


def batches(rows: Sequence[Any]) -> dict[str, Any]:
    """Parameters of MARKED_SPANS."""
    return {
        "projects": [row[1] for row in rows],
        "los": [row[2] for row in rows],
        "his": [row[3] for row in rows],
        "ats": [row[4] for row in rows],
        "lo": min(row[2] for row in rows),
        "hi": max(row[3] for row in rows),
    }
