"""The `trace` table: one row a trace, refreshed from the raw spans of traces that were touched.

A trace's user, session, environment, team and tags are those of its root, else of the first span that has them; its
tokens, costs and requests are sums over billable spans, its errors count its error spans.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from apps.traces.scores_cells import fold_scores
from apps.traces.sessions.fold import refresh_sessions

# What billable spans take over from their trace where they say nothing themselves.
INHERITED = ("user_id", "session_id", "environment", "team", "tags")
Range = tuple[int, datetime, datetime]

_ORDER = "ORDER BY s.start_time, s.span_id"
_ROOT = "s.parent_span_id IS NULL"
_END = "s.start_time + s.duration_us * interval '1 microsecond'"


def _of_root(expression: str) -> str:
    return f"(array_agg({expression} {_ORDER}) FILTER (WHERE {_ROOT}))[1]"


def inherited_sql(column: str) -> str:
    """The root's value, else the first one there is, as an aggregate over the spans of one trace."""
    # Tags through text, since arrays of different lengths do not aggregate into one array.
    inner, outer = ("::text", "::text[]") if column == "tags" else ("", "")
    first = f"(array_agg(s.{column}{inner} {_ORDER}) FILTER (WHERE s.{column} IS NOT NULL))[1]"
    return f"coalesce({_of_root(f's.{column}{inner}')}, {first}){outer}"


def _sum(column: str, cast: str = "") -> str:
    return f"(sum(s.{column}) FILTER (WHERE s.billable)){cast}"


def _names(column: str) -> str:
    present = f"s.billable AND s.{column} IS NOT NULL"
    return f"coalesce(array_agg(DISTINCT s.{column} ORDER BY s.{column}) FILTER (WHERE {present}), '{{}}')"


# Every column of `trace` but its key, as an aggregate over `span s`, the spans of one trace.
SUMMARY: Mapping[str, str] = {
    "first_start": "min(s.start_time)",
    "last_start": "max(s.start_time)",
    "end_time": f"max({_END})",
    "root_span_id": _of_root("s.span_id"),
    "root_name": _of_root("s.name"),
    "root_status": _of_root("s.status"),
    **{column: inherited_sql(column) for column in INHERITED},
    "span_count": "count(*)::integer",
    "request_count": "(count(*) FILTER (WHERE s.billable))::integer",
    "error_count": "(count(*) FILTER (WHERE s.status = 'error'))::integer",
    "duration_us": (
        f"(extract(epoch FROM max({_END}) - coalesce(min(s.start_time) FILTER (WHERE {_ROOT}), min(s.start_time)))"
        " * 1000000)::bigint"
    ),
    **{
        f"{kind}_tokens": _sum(f"{kind}_tokens", "::bigint")
        for kind in ("prompt", "completion", "total", "cached", "reasoning")
    },
    **{f"{kind}_cost": _sum(f"{kind}_cost") for kind in ("total", "prompt", "completion")},
    "models": _names("model"),
    "providers": _names("provider"),
    "kinds": "coalesce(array_agg(DISTINCT s.kind ORDER BY s.kind), '{}')",
}
TRACE_SUMMARY_SQL = ",\n    ".join(f"{sql} AS {name}" for name, sql in SUMMARY.items())
_COLUMNS = ", ".join(SUMMARY)

# The traces with a span in the ranges, and those that begin in them (all their spans may have been deleted), with
# bounds inside which all their spans lie: what is outside the ranges was there when the row was made.
_TOUCHED = f"""
CREATE TEMPORARY TABLE trace_touched ON COMMIT DROP AS
WITH dirty AS (SELECT * FROM unnest(%s::integer[], %s::timestamptz[], %s::timestamptz[]) AS d (project_id, lo, hi)),
seen AS (
    SELECT d.project_id, s.trace_id, s.start_time AS lo, s.start_time AS hi
    FROM dirty d CROSS JOIN LATERAL (
        SELECT s.trace_id, s.start_time FROM span s
        WHERE s.project_id = d.project_id AND s.start_time >= d.lo AND s.start_time < d.hi
            AND s.start_time >= %s AND s.start_time < %s
        OFFSET 0
    ) s
    UNION ALL
    SELECT t.project_id, t.trace_id, t.first_start, t.last_start
    FROM dirty d JOIN trace t ON t.project_id = d.project_id AND t.first_start >= d.lo AND t.first_start < d.hi
)
SELECT u.project_id, u.trace_id, least(u.lo, t.first_start) AS lo, greatest(u.hi, t.last_start) AS hi,
    t.trace_id IS NOT NULL AS known, {", ".join(f"t.{column}" for column in INHERITED)}
FROM (SELECT project_id, trace_id, min(lo) AS lo, max(hi) AS hi FROM seen GROUP BY project_id, trace_id) u
LEFT JOIN trace t ON t.project_id = u.project_id AND t.trace_id = u.trace_id
"""


def spans_of(trace: str) -> str:
    """A condition: the spans `s` of one trace, given under this alias with bounds `lo` and `hi`.

    `+ 0` leaves the planner one index, that of the identity. The bounds look like very few rows to it, but where many
    spans begin at one moment (a file that holds only dates), every trace would read all of them by the other index.
    """
    return (
        f"s.trace_id = {trace}.trace_id AND s.project_id + 0 = {trace}.project_id"
        f" AND s.start_time >= {trace}.lo AND s.start_time <= {trace}.hi"
    )


# Whole days: they name the partitions and nothing more. Exact bounds of a moment look like very few rows to a planner
# whose statistics end before them, and it would read all spans of the moment again for each of their traces.
_BOUNDS = """
SELECT date_trunc('day', min(lo), 'UTC'),
    date_trunc('day', max(hi), 'UTC') + interval '1 day' - interval '1 microsecond'
FROM trace_touched
"""
# A billable span without a value of its own counts for the trace's: where that changed, its minute is dirty.
_CHANGED = " OR ".join(f"(n.lacks_{column} AND n.{column} IS DISTINCT FROM n.old_{column})" for column in INHERITED)
_LACKING = f"s.billable AND ({' OR '.join(f's.{column} IS NULL' for column in INHERITED)})"
_LACKS = ",\n        ".join(f"bool_or(s.billable AND s.{column} IS NULL) AS lacks_{column}" for column in INHERITED)
_FOLD = f"""
WITH n AS MATERIALIZED (
    SELECT d.project_id, d.trace_id, d.known, {", ".join(f"d.{column} AS old_{column}" for column in INHERITED)}, s.*
    FROM trace_touched d CROSS JOIN LATERAL (
        SELECT {TRACE_SUMMARY_SQL},
        {_LACKS},
        min(s.start_time) FILTER (WHERE {_LACKING}) AS lacking_from,
        max(s.start_time) FILTER (WHERE {_LACKING}) AS lacking_to
        FROM span s
        WHERE {spans_of("d")} AND s.start_time >= %s AND s.start_time <= %s
    ) s
), gone AS (
    DELETE FROM trace t USING n
    WHERE n.span_count = 0 AND t.project_id = n.project_id AND t.trace_id = n.trace_id
), made AS (
    INSERT INTO trace AS t (project_id, trace_id, {_COLUMNS})
    SELECT project_id, trace_id, {_COLUMNS} FROM n WHERE span_count > 0
    ON CONFLICT (project_id, trace_id) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in SUMMARY)}
    WHERE ({", ".join(f"t.{name}" for name in SUMMARY)})
        IS DISTINCT FROM ({", ".join(f"excluded.{name}" for name in SUMMARY)})
)
SELECT n.project_id, date_trunc('minute', n.lacking_from, 'UTC'),
    date_trunc('minute', n.lacking_to, 'UTC') + interval '1 minute'
FROM n WHERE n.known AND ({_CHANGED})
"""


def refresh_traces(
    cursor: Any,
    ranges: Sequence[Range],
    *,
    floors: Mapping[int | None, datetime] | None = None,
    scores: Sequence[Range] | None = None,
) -> list[Range]:
    """Recompute the rows of all traces that have a span in these ranges; the caller's transaction decides.

    Whoever deletes spans marks from the first to the last start of their traces, since a span that is gone cannot be
    found by its minute.

    Args:
        ranges: (project, from, to), half-open.
        floors: from when on a project's raw spans are kept, under None for all other projects; a trace that began
            before is left as it is, for its first spans are gone.
        scores: where scores stand whose cells are made anew, beside those of the touched traces; `ranges` if not given.

    Returns:
        further ranges that are dirty now: minutes of billable spans that take over something that changed.
    """
    judged = ranges if scores is None else scores
    if not ranges:
        fold_scores(cursor, judged, traces=False)
        return []
    projects, starts, ends = ([row[column] for row in ranges] for column in range(3))
    cursor.execute("DROP TABLE IF EXISTS pg_temp.trace_touched")
    cursor.execute(_TOUCHED, [projects, starts, ends, min(starts), max(ends)])
    _leave_frozen(cursor, floors or {})
    cursor.execute("ANALYZE trace_touched")
    cursor.execute(_BOUNDS)
    bounds = cursor.fetchone()
    changed: list[Range] = []
    if bounds[0] is not None:
        cursor.execute(_FOLD, bounds)
        changed = cursor.fetchall()
    fold_scores(cursor, judged, traces=True)
    refresh_sessions(cursor, ranges)
    cursor.execute("DROP TABLE pg_temp.trace_touched")
    return changed


def _leave_frozen(cursor: Any, floors: Mapping[int | None, datetime]) -> None:
    special = {project: floor for project, floor in floors.items() if project is not None}
    if None in floors:
        cursor.execute(
            "DELETE FROM trace_touched WHERE known AND lo < %s AND project_id <> ALL(%s)", [floors[None], [*special]]
        )
    for project, floor in special.items():
        cursor.execute("DELETE FROM trace_touched WHERE known AND lo < %s AND project_id = %s", [floor, project])
