"""Conversations by the hour in which they began: sums and histograms that add up over hours, projects, environments.

`session_cell` is made of the rows of `session` in the transaction that folds these. Lengths and costs are binned
(apps.common.bins), turns are counted value by value. The same aggregate serves whoever has a condition that cells do
not hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from apps.common.bins import bin_sql

Hour = tuple[int, datetime]


class Histogram(NamedTuple):
    """A histogram of a cell: its two columns, and the column of `r` that is counted."""

    values: str
    counts: str
    column: str


# Column and aggregate over `r`, one row a conversation.
SUMS: dict[str, str] = {
    "conversations": "count(*)",
    "turns": "sum(r.turns)",
    "error_turns": "sum(r.error_turns)",
    "failed": "count(*) FILTER (WHERE r.error_count > 0)",
    "last_errors": "count(*) FILTER (WHERE r.last_error)",
    "judged": "count(r.resolved)",
    "resolved": "count(*) FILTER (WHERE r.resolved)",
    "duration_us": "sum(r.duration_us)",
    "costed": "count(r.total_cost)",
    "total_cost": "coalesce(sum(r.total_cost), 0)",
    "tokened": "count(r.total_tokens)",
    "total_tokens": "coalesce(sum(r.total_tokens), 0)",
}
HISTOGRAMS: tuple[Histogram, ...] = (
    Histogram("turn_values", "turn_counts", "turns"),
    Histogram("duration_bins", "duration_counts", "duration_bin"),
    Histogram("cost_bins", "cost_counts", "cost_bin"),
)
COLUMNS: tuple[str, ...] = (*SUMS, *(name for one in HISTOGRAMS for name in (one.values, one.counts)))
_READ = ["turns", "error_turns", "error_count", "last_error", "resolved", "duration_us", "total_cost", "total_tokens"]
# The default is `attribution.DEFAULT_ENVIRONMENT`, whose module stands above this one.
ENVIRONMENT = "coalesce(x.environment, 'default')"
HOUR = "date_trunc('hour', x.first_start, 'UTC')"


def aggregate(rows: str, bucket: str, *, stored: bool = False) -> str:
    """A SELECT of cells: the key (the bucket; of stored ones project, bucket, environment), then `COLUMNS`.

    Args:
        rows: what goes after FROM, with conversations as `x`.
        bucket: an expression over `x`.
    """
    named = (
        {"project_id": "x.project_id", "bucket": bucket, "environment": ENVIRONMENT} if stored else {"bucket": bucket}
    )
    key = ", ".join(named)
    keys = ", ".join(f"{sql} AS {name}" for name, sql in named.items())
    arrays = "\n".join(
        f"LEFT JOIN (SELECT {key}, array_agg(v ORDER BY v) AS {one.values}, array_agg(n ORDER BY v) AS {one.counts}"
        f" FROM (SELECT {key}, {one.column} AS v, count(*) AS n FROM r WHERE {one.column} IS NOT NULL"
        f" GROUP BY {key}, {one.column}) q GROUP BY {key}) h{place} USING ({key})"
        for place, one in enumerate(HISTOGRAMS)
    )
    shown = ", ".join(f"coalesce({name}, '{{}}')" for one in HISTOGRAMS for name in (one.values, one.counts))
    return f"""\
WITH r AS MATERIALIZED (
    SELECT {keys}, {", ".join(f"x.{name}" for name in _READ)},
        {bin_sql("x.duration_us")} AS duration_bin,
        CASE WHEN x.total_cost IS NOT NULL THEN {bin_sql("x.total_cost")} END AS cost_bin
    FROM {rows}
)
SELECT {key}, {", ".join(f"s.{name}" for name in SUMS)}, {shown}
FROM (SELECT {key}, {", ".join(f"{sql} AS {name}" for name, sql in SUMS.items())} FROM r GROUP BY {key}) s
{arrays}"""


_HOURS = "unnest(%(projects)s::integer[], %(hours)s::timestamptz[]) AS h (project_id, hour)"
_DELETE = f"DELETE FROM session_cell c USING {_HOURS} WHERE c.project_id = h.project_id AND c.bucket = h.hour"
_ROWS = f"""{_HOURS} CROSS JOIN LATERAL (
        SELECT * FROM session x
        WHERE x.project_id = h.project_id AND x.first_start >= h.hour AND x.first_start < h.hour + interval '1 hour'
        OFFSET 0
    ) x"""
# A row that somebody else wrote meanwhile fails a refresh as any such row does: it comes again.
_INSERT = f"""
INSERT INTO session_cell (project_id, bucket, environment, {", ".join(COLUMNS)})
{aggregate(_ROWS, "h.hour", stored=True)}
ON CONFLICT (project_id, bucket, environment) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in COLUMNS)}
"""


def refresh_cells(cursor: Any, hours: Sequence[Hour]) -> None:
    """Make the cells of these hours anew from the rows of conversations."""
    if hours:
        given = {"projects": [project for project, _ in hours], "hours": [hour for _, hour in hours]}
        cursor.execute(_DELETE, given)
        cursor.execute(_INSERT, given)
