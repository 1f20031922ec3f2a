"""Rollup declarations to SQL over ordinary tables: what fills cells from raw spans and from finer cells.

Every statement takes the same parameters: the arrays `projects`, `los`, `his` (ranges aligned to the buckets that
are built) and `lo`, `hi` (their outer bounds, which let the planner prune partitions before it starts).
"""

from __future__ import annotations

from apps.common.bins import bin_sql
from apps.metrics.components import UNPRICED_REASON
from apps.metrics.rollups import DIMENSIONS, Level, Rollup
from apps.metrics.tags import each_tag
from apps.traces.attribution import resolved_from

WIDTH_SQL: dict[Level, str] = {"1m": "1 minute", "15m": "15 minutes", "1h": "1 hour", "1d": "1 day"}
ORIGIN = "timestamptz '2000-01-01 00:00:00+00'"
RANGES = "unnest(%(projects)s::integer[], %(los)s::timestamptz[], %(his)s::timestamptz[]) AS d(project_id, lo, hi)"

# What a span does not say itself, its trace says; the refresh has brought the trace table up to date before.
_READ = resolved_from(dirty=False)
_MEASURED = (
    "duration_us, ttft_us, total_cost, prompt_cost, completion_cost, total_tokens, prompt_tokens, "
    "completion_tokens, cached_tokens, reasoning_tokens"
)
_KEPT = (
    *DIMENSIONS,
    "user_id",
    "session_id",
    "tags",
    "error_type",
    "error_message",
    "start_time",
    *_MEASURED.split(", "),
)


def bucket_sql(level: Level, column: str) -> str:
    return f"date_bin('{WIDTH_SQL[level]}', {column}, {ORIGIN})"


def resolved_spans(level: Level) -> str:
    """A SELECT of the billable spans in the ranges with their resolved dimensions and their bucket.

    `OFFSET 0` keeps the inner query whole: one index scan per range, whatever the planner thinks of arrays.
    """
    picked = ", ".join(f"{_READ.columns.get(name, f's.{name}')} AS {name}" for name in _KEPT)
    picked += f", {UNPRICED_REASON} AS unpriced_reason"
    return f"""\
SELECT {bucket_sql(level, "s.start_time")} AS bucket, {picked}
FROM {RANGES}
CROSS JOIN LATERAL (
    SELECT * FROM span s
    WHERE s.project_id = d.project_id AND s.start_time >= d.lo AND s.start_time < d.hi
      AND s.start_time >= %(lo)s AND s.start_time < %(hi)s AND s.billable
    OFFSET 0
) s
{_READ.joins}"""


def cells_in_ranges(rollup: Rollup) -> str:
    """A FROM item: the cells of a finer rollup in the ranges, alias `c`."""
    return f"""\
{RANGES}
CROSS JOIN LATERAL (
    SELECT * FROM {rollup.name} c
    WHERE c.project_id = d.project_id AND c.bucket >= d.lo AND c.bucket < d.hi
      AND c.bucket >= %(lo)s AND c.bucket < %(hi)s
    OFFSET 0
) c"""


def _keys(rollup: Rollup, alias: str, bucket: str) -> str:
    return ", ".join([f"{bucket} AS bucket", *(f"{alias}.{name}" for name in rollup.key[1:])])


def _positions(count: int) -> str:
    return ", ".join(str(position) for position in range(1, count + 1))


def _raw_filter(rollup: Rollup) -> str:
    return f" WHERE {rollup.where}" if rollup.where else ""


def aggregate_raw(rollup: Rollup, source: str) -> str:
    """A SELECT of whole cells from resolved spans, a FROM item whose alias is `s`."""
    if rollup.kind == "tags":
        return _by_tag(rollup, source)
    keys, where = _keys(rollup, "s", "s.bucket"), _raw_filter(rollup)
    if rollup.value is None:
        picked = ", ".join(f"{component.raw} AS {component.name}" for component in rollup.components)
        return f"SELECT {keys}, {picked} FROM {source}{where} GROUP BY {_positions(len(rollup.key))}"
    count = len(rollup.key)
    binned = f"SELECT {keys}, {bin_sql(f's.{rollup.value}')} AS bin, count(*) AS n FROM {source}{where}"
    return _arrays(rollup, f"{binned} GROUP BY {_positions(count + 1)}")


def _by_tag(rollup: Rollup, source: str) -> str:
    """Cells of each list of tags first, then of each tag: there are far fewer lists than spans."""
    shared = [name for name in rollup.key if name not in rollup.ids]
    grouped = [f"s.{name}" for name in (*shared, "tags")]
    held = ", ".join(f"{component.raw} AS {component.name}" for component in rollup.components)
    lists = f"SELECT {', '.join(grouped)}, {held} FROM {source} GROUP BY {_positions(len(grouped))}"
    keys = ", ".join([*(f"c.{name}" for name in shared), *(f"x.{name}" for name in rollup.ids)])
    picked = ", ".join(f"{component.merged('c')} AS {component.name}" for component in rollup.components)
    return (
        f"SELECT {keys}, {picked} FROM ({lists}) c CROSS JOIN LATERAL {each_tag('c.tags')} x "
        f"GROUP BY {_positions(len(rollup.key))}"
    )


def aggregate_cells(rollup: Rollup, source: str) -> str:
    """A SELECT of whole cells from finer cells, a FROM item whose alias is `c`."""
    keys, count = _keys(rollup, "c", bucket_sql(rollup.level, "c.bucket")), len(rollup.key)
    if rollup.value is None:
        picked = ", ".join(f"{component.merged('c')} AS {component.name}" for component in rollup.components)
        return f"SELECT {keys}, {picked} FROM {source} GROUP BY {_positions(count)}"
    merged = f"SELECT {keys}, u.bin, sum(u.n)::bigint AS n FROM {source}, unnest(c.bins, c.counts) AS u(bin, n)"
    return _arrays(rollup, f"{merged} GROUP BY {_positions(count + 1)}")


def _arrays(rollup: Rollup, binned: str) -> str:
    keys = ", ".join(f"b.{name}" for name in rollup.key)
    return (
        f"SELECT {keys}, array_agg(b.bin ORDER BY b.bin) AS bins, array_agg(b.n ORDER BY b.bin) AS counts "
        f"FROM ({binned}) b GROUP BY {_positions(len(rollup.key))}"
    )


def delete_cells(rollup: Rollup) -> str:
    return (
        f"DELETE FROM {rollup.name} c USING {RANGES} WHERE c.project_id = d.project_id "
        "AND c.bucket >= d.lo AND c.bucket < d.hi AND c.bucket >= %(lo)s AND c.bucket < %(hi)s"
    )


def _target(rollup: Rollup) -> str:
    held = ["bins", "counts"] if rollup.value else [component.name for component in rollup.components]
    return f"{rollup.name} ({', '.join([*rollup.key, *held])})"


def insert_from_cells(rollup: Rollup, finer: Rollup) -> str:
    return f"INSERT INTO {_target(rollup)} {aggregate_cells(rollup, cells_in_ranges(finer))}"


def insert_from_raw(rollups: list[Rollup]) -> str:
    """Cells of several rollups of one level in one pass over the raw spans; answers (spans, cells)."""
    (level,) = {rollup.level for rollup in rollups}
    if len(rollups) == 1 and rollups[0].kind == "usage":
        made = aggregate_raw(rollups[0], f"({resolved_spans(level)}) s")
        insert = f"INSERT INTO {_target(rollups[0])} {made} RETURNING requests"
        return f"WITH i AS ({insert}) SELECT coalesce(sum(requests), 0)::bigint, count(*) FROM i"
    steps = [f"r AS MATERIALIZED ({resolved_spans(level)})"]
    for rollup in rollups:
        made = aggregate_raw(rollup, "r s")
        steps.append(f"i_{rollup.name} AS (INSERT INTO {_target(rollup)} {made} RETURNING 1)")
    cells = " + ".join(f"(SELECT count(*) FROM i_{rollup.name})" for rollup in rollups)
    return f"WITH {', '.join(steps)} SELECT (SELECT count(*) FROM r), {cells}"


def _hop(name: str) -> str:
    """The projects that have cells, hopped through by the index that leads with the project."""
    return f"""\
WITH RECURSIVE p(project_id) AS (
    SELECT (SELECT project_id FROM {name} ORDER BY project_id LIMIT 1)
    UNION ALL
    SELECT (SELECT c.project_id FROM {name} c WHERE c.project_id > p.project_id ORDER BY c.project_id LIMIT 1)
    FROM p WHERE p.project_id IS NOT NULL
)"""


def projects_with_cells(rollup: Rollup, level: Level) -> str:
    """(project, bucket of `level`) of the cells with `lo` <= bucket < `hi`, without reading other buckets."""
    return f"""\
{_hop(rollup.name)}
SELECT p.project_id, b.bucket FROM p CROSS JOIN LATERAL (
    SELECT DISTINCT {bucket_sql(level, "c.bucket")} AS bucket FROM {rollup.name} c
    WHERE c.project_id = p.project_id AND c.bucket >= %(lo)s AND c.bucket < %(hi)s
    OFFSET 0
) b"""


def requests_between(rollup: Rollup) -> str:
    """The requests of all projects in the buckets with `lo` <= bucket < `hi`."""
    return f"""\
{_hop(rollup.name)}
SELECT coalesce(sum(b.requests), 0) FROM p CROSS JOIN LATERAL (
    SELECT sum(c.requests) AS requests FROM {rollup.name} c
    WHERE c.project_id = p.project_id AND c.bucket >= %(lo)s AND c.bucket < %(hi)s
    OFFSET 0
) b"""
