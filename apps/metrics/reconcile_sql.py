"""The statements of reconcile: stored rows beside rows from raw, and only what is not alike."""

from __future__ import annotations

from apps.metrics.compile_postgres import RANGES, aggregate_raw, cells_in_ranges, resolved_spans
from apps.metrics.rollups import Rollup
from apps.traces.summary import SUMMARY, TRACE_SUMMARY_SQL, spans_of

TRACE_COLUMNS = tuple(SUMMARY)

# Projects with a raw span or a cell on that day, hopped through by the indexes that lead with the project.
PROJECTS = """\
WITH RECURSIVE r(id) AS (
    SELECT (SELECT min(project_id) FROM span WHERE start_time >= %(lo)s AND start_time < %(hi)s)
    UNION ALL
    SELECT (SELECT min(s.project_id) FROM span s
            WHERE s.project_id > r.id AND s.start_time >= %(lo)s AND s.start_time < %(hi)s)
    FROM r WHERE r.id IS NOT NULL
), c(id) AS (
    SELECT (SELECT min(project_id) FROM usage_1m)
    UNION ALL
    SELECT (SELECT min(u.project_id) FROM usage_1m u WHERE u.project_id > c.id) FROM c WHERE c.id IS NOT NULL
), d(id) AS (
    SELECT (SELECT min(project_id) FROM usage_project_1d)
    UNION ALL
    SELECT (SELECT min(u.project_id) FROM usage_project_1d u WHERE u.project_id > d.id) FROM d WHERE d.id IS NOT NULL
)
SELECT id FROM (SELECT id FROM r UNION SELECT id FROM c UNION SELECT id FROM d) p WHERE id IS NOT NULL ORDER BY id"""


def held(rollup: Rollup) -> list[str]:
    """What a cell holds beside its key."""
    return ["bins", "counts"] if rollup.value else [component.name for component in rollup.components]


def _sides(columns: str) -> str:
    """Both differences; EXCEPT takes NULL for equal to NULL, as cells do."""
    return f"""\
SELECT 'expected', x.* FROM (SELECT {columns} FROM e EXCEPT ALL SELECT {columns} FROM c) x
UNION ALL
SELECT 'stored', x.* FROM (SELECT {columns} FROM c EXCEPT ALL SELECT {columns} FROM e) x
LIMIT %(most)s"""


def compare(rollup: Rollup) -> str:
    """Cells in the ranges that are stored otherwise than raw spans say."""
    columns = ", ".join([*rollup.key, *held(rollup)])
    expected = aggregate_raw(rollup, f"({resolved_spans(rollup.level)}) s")
    stored = f"SELECT {', '.join(f'c.{name}' for name in [*rollup.key, *held(rollup)])} FROM {cells_in_ranges(rollup)}"
    return f"WITH e AS MATERIALIZED ({expected}), c AS MATERIALIZED ({stored}) {_sides(columns)}"


_KNOWN = ", ".join(f"t.{name}" for name in TRACE_COLUMNS)

# A trace's spans lie between the bounds of its row, or where the row misses one, that one's day finds it.
TRACES = f"""\
WITH touched AS MATERIALIZED (
    SELECT u.project_id, u.trace_id, least(min(u.lo), min(t.first_start)) AS lo,
        greatest(max(u.hi), max(t.last_start)) AS hi
    FROM (
        SELECT s.project_id, s.trace_id, s.start_time AS lo, s.start_time AS hi
        FROM {RANGES} CROSS JOIN LATERAL (
            SELECT s.project_id, s.trace_id, s.start_time FROM span s
            WHERE s.project_id = d.project_id AND s.start_time >= d.lo AND s.start_time < d.hi
              AND s.start_time >= %(lo)s AND s.start_time < %(hi)s
            OFFSET 0
        ) s
        UNION ALL
        SELECT t.project_id, t.trace_id, t.first_start, t.last_start
        FROM {RANGES} JOIN trace t ON t.project_id = d.project_id AND t.first_start >= d.lo AND t.first_start < d.hi
    ) u
    LEFT JOIN trace t ON t.project_id = u.project_id AND t.trace_id = u.trace_id
    GROUP BY u.project_id, u.trace_id
), settled AS MATERIALIZED (
    SELECT * FROM touched u
    WHERE u.lo >= coalesce(
        (SELECT f.floor FROM unnest(%(floor_projects)s::integer[], %(floors)s::timestamptz[]) AS f (project_id, floor)
         WHERE f.project_id = u.project_id), %(floor)s
    ) AND NOT EXISTS (
        SELECT FROM unnest(%(dirty_projects)s::integer[], %(dirty_los)s::timestamptz[], %(dirty_his)s::timestamptz[])
            AS m (project_id, lo, hi)
        WHERE m.project_id = u.project_id AND m.lo <= u.hi AND m.hi > u.lo
    ) AND NOT EXISTS (
        SELECT FROM unnest(%(dirty_projects)s::integer[], %(dirty_los)s::timestamptz[], %(dirty_his)s::timestamptz[])
            AS m (project_id, lo, hi)
        JOIN span s ON s.trace_id = u.trace_id AND s.project_id + 0 = u.project_id
            AND s.start_time >= m.lo AND s.start_time < m.hi
        WHERE m.project_id = u.project_id
    )
), e AS MATERIALIZED (
    SELECT u.project_id, u.trace_id, x.* FROM settled u CROSS JOIN LATERAL (
        SELECT {TRACE_SUMMARY_SQL}
        FROM span s
        WHERE {spans_of("u")}
    ) x
    WHERE x.span_count > 0
), c AS MATERIALIZED (
    SELECT t.project_id, t.trace_id, {_KNOWN} FROM settled u
    JOIN trace t ON t.project_id = u.project_id AND t.trace_id = u.trace_id
)
{_sides(", ".join(("project_id", "trace_id", *TRACE_COLUMNS)))}"""
