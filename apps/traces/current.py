"""Traces as they are now: the `trace` table, corrected by what was written since its last refresh.

A trace with spans in marked minutes may say something else than its row; its row is then computed from its spans by
the same aggregates that the refresh uses. All other rows are read as they are, along the table's indexes.

    with snapshot() as cursor:
        source = current_traces(cursor, project_ids, within=(start, end))
        sql = select(source, ["t.trace_id", "t.total_cost"], "t.first_start >= %(start)s AND t.first_start < %(end)s",
                     order="t.first_start DESC, t.project_id, t.trace_id", limit="%(limit)s")
        cursor.execute(sql, {**source.parameters, "start": start, "end": end, "limit": 51})

In conditions, orders and columns a trace is `t`, with the columns of `trace`. Parameters are named ones; those of this
module begin with `current_`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings

from apps.traces.storage import day_floor
from apps.traces.summary import SUMMARY, TRACE_SUMMARY_SQL, spans_of

Bounds = tuple[datetime, datetime]
COLUMNS = ("project_id", "trace_id", *SUMMARY)
# The refresh leaves traces alone that began this close to the edge of what is kept: retention may run beside it.
MARGIN = timedelta(minutes=5)

# Marks overlap a lot (one a batch): joined first, so that no span is looked at twice.
_MARKED = """
SELECT m.project_id, lower(r.span), upper(r.span)
FROM (
    SELECT project_id, range_agg(tstzrange(lo, hi)) AS spans
    FROM (SELECT DISTINCT project_id, lo, hi FROM span_mark WHERE project_id = ANY(%(projects)s)) d GROUP BY project_id
) m, unnest(m.spans) AS r (span)
"""
_FLOORS = """
SELECT p.id, p.raw_retention_days,
    (SELECT max(f.floor) FROM retention_floor f WHERE f.relation = 'span' AND f.project_id IN (0, p.id))
FROM unnest(%(projects)s::integer[]) AS asked (id) JOIN orgs_project p ON p.id = asked.id
"""
_PICKED = ", ".join(f"t.{name}" for name in COLUMNS)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a statement reads current traces from.

    Args:
        ctes: what goes after WITH: empty where nothing was written since the last refresh.
        parameters: what the text of `ctes` and `select` refers to.
        several: more than one project is read.
    """

    ctes: str
    parameters: Mapping[str, Any]
    several: bool

    @property
    def dirty(self) -> bool:
        return bool(self.ctes)


def current_traces(
    cursor: Any,
    project_ids: Sequence[int],
    *,
    within: Bounds | None = None,
    trace_ids: Sequence[str] | None = None,
) -> Source:
    """Find out what was written since the last refresh; one statement while that is nothing.

    Args:
        cursor: in the snapshot in which the answer is read.
        within: the statement keeps only traces whose `first_start` lies in this range, by a condition of its own;
            rows of other traces are then not computed.
        trace_ids: the same for traces other than these.
    """
    projects = sorted(set(project_ids))
    parameters: dict[str, Any] = {"current_projects": projects}
    if len(projects) == 1:
        parameters["current_project"] = projects[0]
    cursor.execute(_MARKED, {"projects": projects})
    marked = cursor.fetchall()
    if marked:
        floors = raw_floors(cursor, projects)
        marked = [(project, max(lo, floors[project]), hi) for project, lo, hi in marked if hi > floors[project]]
    if not marked:
        return Source("", parameters, len(projects) > 1)
    parameters |= {
        "current_marked": [row[0] for row in marked],
        "current_los": [row[1] for row in marked],
        "current_his": [row[2] for row in marked],
        "current_lo": min(row[1] for row in marked),
        "current_hi": max(row[2] for row in marked),
        "current_floors": [floors[project] for project in projects],
    }
    if within is not None:
        parameters |= {"current_start": within[0], "current_end": within[1]}
    if trace_ids is not None:
        parameters["current_ids"] = list(trace_ids)
    return Source(_ctes(within is not None, trace_ids is not None), parameters, len(projects) > 1)


def select(source: Source, columns: Sequence[str], where: str = "", order: str = "", limit: str = "") -> str:
    """A whole SELECT of current traces.

    Args:
        columns: expressions over `t`, with their names.
        where: a condition over `t`. It is put to the table and to the computed rows, so that indexes serve it.
        order: what goes after ORDER BY.
        limit: a number or the placeholder of one. With an order each project is read only so far.
    """
    head = f"WITH {source.ctes}\n" if source.ctes else ""
    return f"{head}SELECT {', '.join(columns)} FROM {relation(source, where, order, limit)} t{_ending(order, limit)}"


def relation(source: Source, where: str = "", order: str = "", limit: str = "") -> str:
    """What goes after FROM, in brackets and without an alias: the rows of `select`, where `ctes` stand in front."""
    condition = f" AND ({where})" if where else ""
    if not source.dirty:
        return f"({_clean(source, condition, _ending(order, limit))})"
    ending = _ending(order, limit)
    # Two arrays of unknown length look small to the planner: it keeps them in a hash, whatever it thinks of the rest.
    clean = f"""{condition} AND (t.project_id, t.trace_id) NOT IN (
        SELECT * FROM unnest(
            ARRAY(SELECT d.project_id FROM current_touched d), ARRAY(SELECT d.trace_id FROM current_touched d)
        ) AS d (project_id, trace_id)
    )"""
    computed = f"SELECT {_PICKED} FROM current_dirty t WHERE true{condition}{ending}"
    return f"(({_clean(source, clean, ending)})\nUNION ALL\n({computed}))"


def _clean(source: Source, condition: str, ending: str) -> str:
    if not source.several:
        return f"SELECT {_PICKED} FROM trace t WHERE t.project_id = %(current_project)s{condition}{ending}"
    if not ending:
        return f"SELECT {_PICKED} FROM trace t WHERE t.project_id = ANY(%(current_projects)s){condition}"
    # Project by project, since no index gives several of them in one order.
    return (
        f"SELECT {_PICKED} FROM unnest(%(current_projects)s::integer[]) AS p (project_id) CROSS JOIN LATERAL"
        f" (SELECT {_PICKED} FROM trace t WHERE t.project_id = p.project_id{condition}{ending}) t"
    )


def _ending(order: str, limit: str) -> str:
    return (f" ORDER BY {order}" if order else "") + (f" LIMIT {limit}" if limit else "")


def raw_floors(cursor: Any, projects: Sequence[int]) -> dict[int, datetime]:
    """From when on each project's raw spans are whole, as the refresh sees it."""
    moment = datetime.now(UTC) + MARGIN
    longest: int = settings.HUB.raw_retention_days
    floors = dict.fromkeys(projects, day_floor(moment, longest))
    cursor.execute(_FLOORS, {"projects": list(projects)})
    for project, days, reached in cursor.fetchall():
        kept = day_floor(moment, longest if days is None else min(days, longest))
        floors[project] = max(kept, reached) if reached else kept
    return floors


def _ctes(within: bool, chosen: bool) -> str:
    """The touched traces, and the rows of those that have spans (a trace without any is deleted).

    As in the refresh, a trace that begins in a marked minute is touched too, for all its spans may be gone; one that
    began before what is kept stays as its row says.
    """
    in_range = " WHERE b.lo < %(current_end)s AND b.hi >= %(current_start)s" if within else ""
    of_span = " AND s.trace_id = ANY(%(current_ids)s)" if chosen else ""
    of_row = " AND t.trace_id = ANY(%(current_ids)s)" if chosen else ""
    return f"""\
current_seen AS (
    SELECT d.project_id, s.trace_id, s.start_time AS lo, s.start_time AS hi
    FROM unnest(%(current_marked)s::integer[], %(current_los)s::timestamptz[], %(current_his)s::timestamptz[])
        AS d (project_id, lo, hi)
    CROSS JOIN LATERAL (
        SELECT s.trace_id, s.start_time FROM span s
        WHERE s.project_id = d.project_id AND s.start_time >= d.lo AND s.start_time < d.hi
            AND s.start_time >= %(current_lo)s AND s.start_time < %(current_hi)s{of_span}
        OFFSET 0
    ) s
    UNION ALL
    SELECT t.project_id, t.trace_id, t.first_start, t.last_start
    FROM unnest(%(current_marked)s::integer[], %(current_los)s::timestamptz[], %(current_his)s::timestamptz[])
        AS d (project_id, lo, hi)
    JOIN trace t ON t.project_id = d.project_id AND t.first_start >= d.lo AND t.first_start < d.hi{of_row}
), current_touched AS MATERIALIZED (
    SELECT u.project_id, u.trace_id, least(u.lo, t.first_start) AS lo, greatest(u.hi, t.last_start) AS hi
    FROM (SELECT project_id, trace_id, min(lo) AS lo, max(hi) AS hi FROM current_seen GROUP BY project_id, trace_id) u
    JOIN unnest(%(current_projects)s::integer[], %(current_floors)s::timestamptz[]) AS f (project_id, floor)
        ON f.project_id = u.project_id
    LEFT JOIN trace t ON t.project_id = u.project_id AND t.trace_id = u.trace_id
    WHERE t.trace_id IS NULL OR least(u.lo, t.first_start) >= f.floor
), current_dirty AS MATERIALIZED (
    SELECT b.project_id, b.trace_id, a.*
    FROM current_touched b CROSS JOIN LATERAL (
        SELECT {TRACE_SUMMARY_SQL}
        FROM span s
        WHERE {spans_of("b")}
    ) a{in_range}{" AND" if within else " WHERE"} a.span_count > 0
)"""
