"""Scores that come by themselves: stored, replaced and deleted, each with its marks in the same transaction.

A mark lies at the minute of the score and at the first minute of its trace, before and after a change, so that no kept
answer that shows or counts the score counts as current.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
from django.db import InterfaceError, OperationalError, connection, transaction

from apps.traces import tombstones
from apps.traces.scores import UPSERT, Score, records
from apps.traces.writer import WriteUnavailable, mark_ranges, marks_sql, us_of

# Locked in the order of their keys, as every writer does.
_STORED = """
SELECT c.project_id, c.timestamp, c.trace_id FROM score c
JOIN unnest(%(projects)s::integer[], %(ids)s::text[]) AS n (project_id, id)
    ON n.project_id = c.project_id AND n.id = c.id
ORDER BY c.project_id, c.id FOR UPDATE OF c
"""
# A trace without a row has its spans in marked minutes: nothing else has to be looked through.
_BEGINNINGS = """
SELECT n.project_id, coalesce(t.first_start, s.first_start)
FROM (SELECT DISTINCT * FROM unnest(%(projects)s::integer[], %(traces)s::text[])) AS n (project_id, trace_id)
LEFT JOIN trace t ON t.project_id = n.project_id AND t.trace_id = n.trace_id
LEFT JOIN LATERAL (
    SELECT min(s.start_time) AS first_start FROM span s
    WHERE t.trace_id IS NULL AND s.trace_id = n.trace_id AND s.project_id + 0 = n.project_id
        AND s.start_time >= (SELECT min(m.lo) FROM span_mark m WHERE m.project_id = ANY(%(projects)s::integer[]))
        AND s.start_time < (SELECT max(m.hi) FROM span_mark m WHERE m.project_id = ANY(%(projects)s::integer[]))
) s ON true
WHERE coalesce(t.first_start, s.first_start) IS NOT NULL
"""
_DELETE = "DELETE FROM score c WHERE c.project_id = %s AND c.id = %s RETURNING c.project_id, c.timestamp, c.trace_id"

Where = tuple[int, datetime, str | None]  # project, time and trace of a score


class Written(NamedTuple):
    """The keys (project, id) of scores that were not there before; all others were replaced or already so."""

    new: frozenset[tuple[int, str]]


def write_scores(scores: Sequence[Score]) -> Written:
    """Store scores; durable on return. Of several with one id the last stays, and it replaces what is stored.

    Those of deleted traces are left away: a sender who repeats one is told that it is there, as it once was.

    Raises:
        WriteUnavailable: nothing is stored, and they may be sent again.
    """
    last = {(score.project_id, score.id): score for score in scores}
    if not last:
        return Written(frozenset())
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            return _write(cursor, _of_the_living(last.values()))
    except (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise WriteUnavailable("the database cannot take scores now") from error


def _of_the_living(scores: Iterable[Score]) -> list[Score]:
    every = list(scores)
    dead = tombstones.buried(connection, {(score.project_id, score.trace_id) for score in every if score.trace_id})
    return [score for score in every if (score.project_id, score.trace_id) not in dead]


def _write(cursor: Any, scores: list[Score]) -> Written:
    if not scores:
        return Written(frozenset())
    keys = {"projects": [score.project_id for score in scores], "ids": [score.id for score in scores]}
    cursor.execute(_STORED, keys)
    before: list[Where] = cursor.fetchall()
    cursor.execute(UPSERT, [records(scores)])
    changed = cursor.fetchall()
    if changed:
        now: list[Where] = [(score.project_id, score.timestamp, score.trace_id) for score in scores]
        _mark(cursor, [*before, *now])
    return Written(frozenset((project, key) for project, key, new in changed if new))


def delete_score(project_id: int, score_id: str) -> bool:
    """Delete one score; whether it was there."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_DELETE, [project_id, score_id])
        gone = cursor.fetchall()
        if gone:
            _mark(cursor, gone)
    return bool(gone)


def _mark(cursor: Any, places: Sequence[Where]) -> None:
    moments = [(project, moment) for project, moment, _ in places]
    judged = [(project, trace_id) for project, _, trace_id in places if trace_id is not None]
    if judged:
        arrays = {"projects": [project for project, _ in judged], "traces": [trace_id for _, trace_id in judged]}
        cursor.execute(_BEGINNINGS, arrays)
        moments += cursor.fetchall()
    ranges = mark_ranges(("", "", us_of(moment), project) for project, moment in moments)
    cursor.execute(marks_sql(ranges, inherited=False))
