"""Conversations as they are now: the `session` table, corrected by what was written since its last refresh.

A conversation is made anew when a trace with spans in marked minutes belongs to it, or did, or when a verdict about it
lies in them; all other rows are read as they are, along the table's indexes. In conditions, orders and columns a
conversation is `x`, with the columns of `session`. Parameters are named ones that begin with `current_`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from apps.traces.current import Source, current_traces
from apps.traces.sessions.fold import COLUMNS, SESSION_SQL, VERDICT, verdict_of

# What the aggregates of a conversation read of its turns.
_OF_TURN = (
    *("project_id", "session_id", "trace_id", "first_start", "end_time", "root_status", "user_id", "environment"),
    *("request_count", "error_count", "total_cost", "prompt_cost", "completion_cost"),
    *(f"{kind}_tokens" for kind in ("prompt", "completion", "total", "cached", "reasoning")),
)
_TURN = ", ".join(f"t.{name}" for name in _OF_TURN)
_PICKED = ", ".join(f"x.{name}" for name in COLUMNS)
_MARKED = (
    "unnest(%(current_marked)s::integer[], %(current_los)s::timestamptz[], %(current_his)s::timestamptz[])"
    " AS d (project_id, lo, hi)"
)


def not_among(alias: str, key: str, table: str) -> str:
    """A condition: not one of the rows of a small common table expression.

    Two arrays of unknown length look small to the planner: it keeps them in a hash, whatever it thinks of the rest.
    """
    return f"""({alias}.project_id, {alias}.{key}) NOT IN (
        SELECT * FROM unnest(ARRAY(SELECT d.project_id FROM {table} d), ARRAY(SELECT d.{key} FROM {table} d))
            AS d (project_id, {key})
    )"""


_CTES = f"""\
session_touched AS MATERIALIZED (
    SELECT c.project_id, c.session_id FROM current_dirty c WHERE c.session_id IS NOT NULL
    UNION
    SELECT t.project_id, t.session_id
    FROM current_touched d JOIN trace t ON t.project_id = d.project_id AND t.trace_id = d.trace_id
    WHERE t.session_id IS NOT NULL
    UNION
    SELECT d.project_id, v.session_id FROM {_MARKED}
    JOIN score v ON v.project_id = d.project_id AND v.name = '{VERDICT}'
        AND v.timestamp >= d.lo AND v.timestamp < d.hi AND v.session_id IS NOT NULL
    UNION
    SELECT d.project_id, x.session_id FROM {_MARKED}
    JOIN session x ON x.project_id = d.project_id AND x.resolved_at >= d.lo AND x.resolved_at < d.hi
), session_turn AS (
    SELECT t.* FROM session_touched x CROSS JOIN LATERAL (
        SELECT {_TURN} FROM trace t WHERE t.project_id = x.project_id AND t.session_id = x.session_id OFFSET 0
    ) t
    WHERE {not_among("t", "trace_id", "current_touched")}
    UNION ALL
    SELECT {_TURN} FROM current_dirty t WHERE t.session_id IS NOT NULL
), session_dirty AS MATERIALIZED (
    SELECT a.*, v.* FROM (
        SELECT t.project_id, t.session_id, {SESSION_SQL}
        FROM session_turn t GROUP BY t.project_id, t.session_id
    ) a LEFT JOIN LATERAL ({verdict_of("a")}) v ON true
)"""


@dataclass(frozen=True, slots=True)
class SessionSource:
    """Where a statement reads current conversations from.

    Args:
        traces: where their turns are read from; its parameters are all that `ctes` and `select` refer to.
        ctes: what goes after WITH: empty where nothing was written since the last refresh. The traces' own are in it.
    """

    traces: Source
    ctes: str

    @property
    def dirty(self) -> bool:
        return bool(self.ctes)

    @property
    def parameters(self) -> dict[str, Any]:
        return dict(self.traces.parameters)


def current_sessions(cursor: Any, project_ids: Sequence[int]) -> SessionSource:
    """Find out what was written since the last refresh; one statement while that is nothing."""
    traces = current_traces(cursor, project_ids)
    ctes = f"{traces.ctes}, {_CTES}" if traces.dirty else ""
    return SessionSource(traces, ctes)


def select(source: SessionSource, columns: Sequence[str], where: str = "", order: str = "", limit: str = "") -> str:
    """A whole SELECT of current conversations.

    Args:
        columns: expressions over `x`, with their names.
        where: a condition over `x`, put to the table and to the computed rows, so that indexes serve it.
        order: what goes after ORDER BY.
        limit: a number or the placeholder of one. With an order each project is read only so far.
    """
    head = f"WITH {source.ctes}\n" if source.ctes else ""
    return f"{head}SELECT {', '.join(columns)} FROM {relation(source, where, order, limit)} x{_ending(order, limit)}"


def relation(source: SessionSource, where: str = "", order: str = "", limit: str = "") -> str:
    """What goes after FROM, in brackets and without an alias: the rows of `select`, where `ctes` stand in front."""
    condition, ending = f" AND ({where})" if where else "", _ending(order, limit)
    if not source.dirty:
        return f"({_clean(source, condition, ending)})"
    clean = f"{condition} AND {not_among('x', 'session_id', 'session_touched')}"
    computed = f"SELECT {_PICKED} FROM session_dirty x WHERE true{condition}{ending}"
    return f"(({_clean(source, clean, ending)})\nUNION ALL\n({computed}))"


def _clean(source: SessionSource, condition: str, ending: str) -> str:
    if not source.traces.several:
        return f"SELECT {_PICKED} FROM session x WHERE x.project_id = %(current_project)s{condition}{ending}"
    if not ending:
        return f"SELECT {_PICKED} FROM session x WHERE x.project_id = ANY(%(current_projects)s){condition}"
    # Project by project, since no index gives several of them in one order.
    return (
        f"SELECT {_PICKED} FROM unnest(%(current_projects)s::integer[]) AS p (project_id) CROSS JOIN LATERAL"
        f" (SELECT {_PICKED} FROM session x WHERE x.project_id = p.project_id{condition}{ending}) x"
    )


def _ending(order: str, limit: str) -> str:
    return (f" ORDER BY {order}" if order else "") + (f" LIMIT {limit}" if limit else "")
