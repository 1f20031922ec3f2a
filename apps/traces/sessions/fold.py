"""The `session` table: one row a conversation, folded from the rows of its traces.

A turn is one trace of a session (`trace.session_id`); turns are ordered by (first start, trace id). A turn ended in
error when its root's status is `error`; without a root, when any of its spans is one. A conversation's user and
environment are those of its first turn that has one.

A row is made anew from the rows of all its traces whenever one of them changed, joined it or left it, and when a
verdict about it was written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from apps.traces.sessions.cells import refresh_cells

Range = tuple[int, datetime, datetime]
VERDICT = "resolved"  # the name of the score that says whether a conversation reached its aim

_FORTH = "ORDER BY t.first_start, t.trace_id"
_BACK = "ORDER BY t.first_start DESC, t.trace_id DESC"
TURN_ERROR = "coalesce(t.root_status = 'error', t.error_count > 0)"


def _first(column: str) -> str:
    return f"(array_agg(t.{column} {_FORTH}) FILTER (WHERE t.{column} IS NOT NULL))[1]"


# Every column of `session` but its key and its verdict, as an aggregate over `trace t`, the turns of one conversation.
SESSION: Mapping[str, str] = {
    "first_start": "min(t.first_start)",
    "last_start": "max(t.first_start)",
    "last_end": f"(array_agg(t.end_time {_BACK}))[1]",
    "last_error": f"(array_agg({TURN_ERROR} {_BACK}))[1]",
    "end_time": "max(t.end_time)",
    "duration_us": "(extract(epoch FROM max(t.end_time) - min(t.first_start)) * 1000000)::bigint",
    "turns": "count(*)::integer",
    "error_turns": f"(count(*) FILTER (WHERE {TURN_ERROR}))::integer",
    "request_count": "sum(t.request_count)",
    "error_count": "sum(t.error_count)",
    "user_id": _first("user_id"),
    "users": "count(DISTINCT t.user_id)::integer",
    "environment": _first("environment"),
    **{
        f"{kind}_tokens": f"sum(t.{kind}_tokens)::bigint"
        for kind in ("prompt", "completion", "total", "cached", "reasoning")
    },
    **{f"{kind}_cost": f"sum(t.{kind}_cost)" for kind in ("total", "prompt", "completion")},
}
SESSION_SQL = ",\n    ".join(f"{sql} AS {name}" for name, sql in SESSION.items())
VERDICT_COLUMNS = ("resolved", "resolved_at")
COLUMNS = ("project_id", "session_id", *SESSION, *VERDICT_COLUMNS)
_FILLED = (*SESSION, *VERDICT_COLUMNS)


def verdict_of(session: str) -> str:
    """The latest verdict about a session (an alias), as a subquery of at most one row."""
    return f"""\
SELECT v.value = 1 AS resolved, v.timestamp AS resolved_at FROM score v
WHERE v.project_id = {session}.project_id AND v.session_id = {session}.session_id
    AND v.name = '{VERDICT}' AND v.data_type = 'boolean'
ORDER BY v.timestamp DESC, v.id DESC LIMIT 1"""


def _fold(touched: str) -> str:
    """Make the rows of the sessions that a subquery names anew; those without turns go.

    Returns the hours in which one began, before or now: their cells are to be made anew.
    """
    return f"""
WITH touched AS MATERIALIZED ({touched}), n AS MATERIALIZED (
    SELECT x.project_id, x.session_id, a.*, v.*
    FROM touched x CROSS JOIN LATERAL (
        SELECT {SESSION_SQL}
        FROM trace t WHERE t.project_id = x.project_id AND t.session_id = x.session_id
    ) a LEFT JOIN LATERAL ({verdict_of("x")}) v ON true
), gone AS (
    DELETE FROM session s USING n
    WHERE n.turns = 0 AND s.project_id = n.project_id AND s.session_id = n.session_id
), made AS (
    INSERT INTO session AS s ({", ".join(COLUMNS)})
    SELECT {", ".join(COLUMNS)} FROM n WHERE turns > 0
    ON CONFLICT (project_id, session_id) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in _FILLED)}
    WHERE ({", ".join(f"s.{name}" for name in _FILLED)})
        IS DISTINCT FROM ({", ".join(f"excluded.{name}" for name in _FILLED)})
)
SELECT DISTINCT q.project_id, date_trunc('hour', q.first_start, 'UTC')
FROM (
    SELECT n.project_id, n.first_start FROM n WHERE n.turns > 0
    UNION ALL
    SELECT s.project_id, s.first_start FROM n CROSS JOIN LATERAL (
        SELECT * FROM session s WHERE s.project_id = n.project_id AND s.session_id = n.session_id OFFSET 0
    ) s
) q
"""


# Sessions that touched traces belong to now, those that they belonged to before, those with a verdict from the ranges,
# and those whose verdict was from there (it may be gone).
_TOUCHED = f"""
    SELECT d.project_id, d.session_id FROM trace_touched d WHERE d.session_id IS NOT NULL
    UNION
    SELECT t.project_id, t.session_id
    FROM trace_touched d JOIN trace t ON t.project_id = d.project_id AND t.trace_id = d.trace_id
    WHERE t.session_id IS NOT NULL
    UNION
    SELECT d.project_id, v.session_id
    FROM unnest(%(projects)s::integer[], %(los)s::timestamptz[], %(his)s::timestamptz[]) AS d (project_id, lo, hi)
    JOIN score v ON v.project_id = d.project_id AND v.name = '{VERDICT}'
        AND v.timestamp >= d.lo AND v.timestamp < d.hi AND v.session_id IS NOT NULL
    UNION
    SELECT d.project_id, s.session_id
    FROM unnest(%(projects)s::integer[], %(los)s::timestamptz[], %(his)s::timestamptz[]) AS d (project_id, lo, hi)
    JOIN session s ON s.project_id = d.project_id AND s.resolved_at >= d.lo AND s.resolved_at < d.hi
"""
_REFRESH = _fold(_TOUCHED)
_REMAKE = _fold("SELECT * FROM unnest(%s::integer[], %s::text[]) AS x (project_id, session_id)")


def refresh_sessions(cursor: Any, ranges: Sequence[Range]) -> None:
    """Fold the sessions of touched traces and of verdicts in these ranges; part of the refresh of traces.

    `trace_touched` is its temporary table: the touched traces with the session that their row said before.
    """
    projects, starts, ends = ([row[column] for row in ranges] for column in range(3))
    cursor.execute(_REFRESH, {"projects": projects, "los": starts, "his": ends})
    refresh_cells(cursor, cursor.fetchall())


def remake_sessions(cursor: Any, keys: Sequence[tuple[int, str]]) -> None:
    """Make these sessions' rows anew from the traces that are there; the caller's transaction decides."""
    cursor.execute(_REMAKE, [[project for project, _ in keys], [session for _, session in keys]])
    refresh_cells(cursor, cursor.fetchall())
