"""What scores judge, kept beside them: a row of `score_cell` a score, with its dimensions as of the last refresh.

The same refresh that folds traces makes the cells: of the scores that stand in marked minutes, and of the scores of
every trace that was touched. So until a mark is folded its minute's scores, and the scores of traces with spans there,
have to be looked at themselves (apps/metrics/scores.py); all other cells say what a look would find. Only the refresh
writes cells, so whoever sends scores never waits for it, nor it for them.

Scores from before there were cells lie in ranges of `score_mark`, which refreshes work off from the newest on.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

# `attribution.DEFAULT_ENVIRONMENT`, whose module stands above this one.
DEFAULT_ENVIRONMENT = "default"
Range = tuple[int, datetime, datetime]
Moments = list[tuple[datetime, datetime]]
# How much of what lies in `score_mark` one pass of the refresh takes on.
SLICE = timedelta(days=7)
OF_SCORE = ("id", "timestamp", "name", "data_type", "value", "label")
_OF_TRACE = (
    "first_start",
    "last_start",
    "user_id",
    "session_id",
    "environment",
    "team",
    "providers",
    "models",
    "root_name",
)
# Dimensions for which a trace has to be looked at span by span.
AGREED = ("kind", "status")
_AGREEMENT = ", ".join(f"CASE WHEN min(s.{name}) = max(s.{name}) THEN min(s.{name}) END AS {name}" for name in AGREED)


def _dimensions() -> dict[str, str]:
    """Every dimension over a score `x` with its trace, its span `s` and what the spans of its trace agree on, `b`."""

    def only(column: str) -> str:
        return f"CASE WHEN cardinality(x.t_{column}) = 1 THEN x.t_{column}[1] END"

    def of_span(name: str, otherwise: str) -> str:
        return f"CASE WHEN x.span_id IS NOT NULL THEN s.{name} ELSE {otherwise} END"

    return {
        "user_id": "coalesce(s.user_id, x.t_user_id)",
        "session_id": "coalesce(x.session_id, s.session_id, x.t_session_id)",
        "environment": f"coalesce(x.environment, s.environment, x.t_environment, '{DEFAULT_ENVIRONMENT}')",
        "team": "coalesce(s.team, x.t_team)",
        "provider": of_span("provider", only("providers")),
        "model": of_span("model", only("models")),
        "span_name": of_span("name", "x.t_root_name"),
        **{name: of_span(name, f"b.{name}") for name in AGREED},
    }


DIMENSIONS = _dimensions()
# A score that names a session is of the session alone, whichever trace brought it.
JUDGED_TRACE = "CASE WHEN x.session_id IS NULL THEN x.trace_id END"
COLUMNS = ("project_id", *OF_SCORE, "trace_id", *DIMENSIONS)


def of_trace(alias: str) -> str:
    """What of a trace is needed to resolve its scores, as columns."""
    return ", ".join(f"{alias}.{column} AS t_{column}" for column in _OF_TRACE)


def with_trace(scores: str, trace: str = "trace") -> str:
    """Scores, a relation with all columns of `score`, with what they need of their traces in this relation."""
    return (
        f"SELECT x.*, {of_trace('t')} FROM {scores} x LEFT JOIN {trace} t"
        " ON t.project_id = x.project_id AND t.trace_id = x.trace_id AND x.session_id IS NULL"
    )


def resolved(scores: str, wanted: Collection[str] = tuple(DIMENSIONS)) -> str:
    """Cells computed from what is stored.

    Args:
        scores: a SELECT as `with_trace` makes it.
        wanted: the dimensions that are read; others may come out as NULL.
    """
    # As in apps.traces.summary.spans_of: the identity index, and its partitions by the trace's bounds. What names no
    # span ends before a partition is looked for.
    spans = (
        "s.trace_id = x.trace_id AND s.project_id + 0 = x.project_id"
        " AND s.start_time >= x.t_first_start AND s.start_time <= x.t_last_start"
    )
    agreed = not set(AGREED).isdisjoint(wanted)
    of_spans = (
        f" LEFT JOIN LATERAL (SELECT {_AGREEMENT} FROM span s WHERE {spans} AND s.billable"
        " AND x.span_id IS NULL AND x.session_id IS NULL) b ON true"
    )
    picked = [f"x.{column}" for column in ("project_id", *OF_SCORE)]
    picked += [f"{JUDGED_TRACE} AS trace_id"]
    picked += [f"{sql if agreed or name not in AGREED else 'NULL::text'} AS {name}" for name, sql in DIMENSIONS.items()]
    return (
        f"SELECT {', '.join(picked)} FROM ({scores}) x"
        f" LEFT JOIN LATERAL (SELECT s.* FROM span s WHERE x.span_id IS NOT NULL AND {spans} AND s.span_id = x.span_id"
        f" ORDER BY s.start_time LIMIT 1) s ON true{of_spans if agreed else ''}"
    )


_UNSETTLED = """
SELECT lower(r), upper(r) FROM (
    SELECT unnest(range_agg(tstzrange(lo, hi))) AS r FROM (
        SELECT lo, hi FROM span_mark WHERE project_id = ANY(%(projects)s)
        UNION SELECT lo, hi FROM score_mark WHERE project_id = ANY(%(projects)s)
    ) m
) d ORDER BY 1
"""


def unsettled(cursor: Any, project_ids: Sequence[int]) -> Moments:
    """The times, in any of these projects, whose cells may not be what a look at their scores finds."""
    cursor.execute(_UNSETTLED, {"projects": list(project_ids)})
    rows: Moments = cursor.fetchall()
    return rows


# -- the refresh --------------------------------------------------------------------------------------------------

_RANGES = "unnest(%(projects)s::integer[], %(los)s::timestamptz[], %(his)s::timestamptz[]) AS r (project_id, lo, hi)"
_TOUCHED = f"""
CREATE TEMPORARY TABLE score_touched ON COMMIT DROP AS
SELECT x.project_id, x.id FROM {_RANGES} CROSS JOIN LATERAL (
    SELECT x.project_id, x.id FROM score x
    WHERE x.project_id = r.project_id AND x.timestamp >= r.lo AND x.timestamp < r.hi OFFSET 0
) x
"""
_OF_TOUCHED_TRACES = """
UNION SELECT x.project_id, x.id FROM trace_touched d
JOIN score x ON x.project_id = d.project_id AND x.trace_id = d.trace_id AND x.session_id IS NULL
"""
_GONE = f"""
DELETE FROM score_cell c USING {_RANGES}
WHERE c.project_id = r.project_id AND c.timestamp >= r.lo AND c.timestamp < r.hi AND NOT EXISTS (
    SELECT 1 FROM score x WHERE x.project_id = c.project_id AND x.id = c.id AND x.timestamp = c.timestamp
)
"""
_SCORES = "(SELECT x.* FROM score_touched k JOIN score x ON x.project_id = k.project_id AND x.id = k.id)"
_KEPT = [column for column in COLUMNS if column not in ("project_id", "id")]
_MAKE = f"""
INSERT INTO score_cell AS c ({", ".join(COLUMNS)})
{resolved(with_trace(_SCORES))}
ON CONFLICT (project_id, id) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in _KEPT)}
WHERE ({", ".join(f"c.{name}" for name in _KEPT)}) IS DISTINCT FROM ({", ".join(f"excluded.{name}" for name in _KEPT)})
"""


def fold_scores(cursor: Any, ranges: Sequence[Range], *, traces: bool) -> None:
    """Make the cells of the scores that stand in these ranges anew; rows of `trace` are up to date.

    Args:
        ranges: (project, from, to), half-open, of the scores' own time.
        traces: those of the traces in `trace_touched` too.
    """
    if not ranges and not traces:
        return
    arrays = dict(zip(("projects", "los", "his"), ([row[n] for row in ranges] for n in range(3)), strict=True))
    cursor.execute("DROP TABLE IF EXISTS pg_temp.score_touched")
    cursor.execute(_TOUCHED + (_OF_TOUCHED_TRACES if traces else ""), arrays)
    cursor.execute("ANALYZE score_touched")
    cursor.execute(_GONE, arrays)
    cursor.execute(_MAKE)
    cursor.execute("DROP TABLE pg_temp.score_touched")


_NEWEST = "SELECT project_id, lo, hi FROM score_mark ORDER BY hi DESC, project_id LIMIT 1"
_SHORTEN = "UPDATE score_mark SET hi = %(edge)s WHERE project_id = %(project)s AND lo < %(edge)s"
_DROP = "DELETE FROM score_mark WHERE project_id = %(project)s AND lo >= %(edge)s"


def take_slice(cursor: Any) -> list[Range]:
    """The next part of what has no cells yet, which the caller folds in this transaction."""
    cursor.execute(_NEWEST)
    row = cursor.fetchone()
    if row is None:
        return []
    project, lo, hi = row
    edge = max(lo, hi - SLICE)
    for statement in (_DROP, _SHORTEN):
        cursor.execute(statement, {"project": project, "edge": edge})
    return [(project, edge, hi)]


_FORGET = """
UPDATE score_cell c SET user_id = NULL WHERE c.project_id = %s AND c.user_id = %s
    AND NOT EXISTS (SELECT 1 FROM trace t WHERE t.project_id = c.project_id AND t.trace_id = c.trace_id)
"""


def forget_user(cursor: Any, project_id: int, user_id: str) -> None:
    """Drop a user's name where the trace that it is from is no longer kept; no refresh looks there again."""
    cursor.execute(_FORGET, [project_id, user_id])
