"""Rollup declarations to TimescaleDB: a hypertable of minute cells under a chain of continuous aggregates.

The minute cells are filled by the same SQL as on plain PostgreSQL, in the same transaction that folds traces, so what
a span takes over from its trace is decided in one place; 15 minutes, hours and days of usage are continuous
aggregates over them, each over the finer one. A continuous aggregate straight over `span` would need the join with
`trace`, whose changes TimescaleDB does not track, and would lose a project's frozen cells as soon as another project
with a longer raw retention had a late span in the same bucket: a refresh rewrites a bucket for all projects.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db.backends.utils import CursorWrapper

from apps.metrics.compile_postgres import WIDTH_SQL
from apps.metrics.ranges import Ranges, Span, moment_of
from apps.metrics.rollups import ROLLUPS, Rollup

AGGREGATES = ("usage_15m", "usage_1h", "usage_1d")
HYPERTABLES = frozenset({"usage_1m", *AGGREGATES})
# What is built in the first transaction cannot read aggregates that are refreshed after it.
SOURCES = {"usage_project_1h": "usage_1m"}
CHUNK = timedelta(days=7)
RANGES_A_CALL = 20


def in_use(cursor: CursorWrapper) -> bool:
    """Whether this database's usage cells are continuous aggregates (else they are ordinary tables)."""
    cursor.execute("SELECT relkind = 'v' FROM pg_class WHERE oid = to_regclass('usage_1h')")
    row = cursor.fetchone()
    return bool(row and row[0])


def create_aggregate(rollup: Rollup) -> str:
    keys = ", ".join(f"c.{name}" for name in rollup.key[1:])
    picked = ", ".join(f"{component.merged('c')} AS {component.name}" for component in rollup.components)
    positions = ", ".join(str(position + 1) for position in range(len(rollup.key)))
    return (
        f"CREATE MATERIALIZED VIEW {rollup.name} WITH (timescaledb.continuous, timescaledb.materialized_only = true, "
        f"timescaledb.create_group_indexes = false) AS\n"
        f"SELECT time_bucket('{WIDTH_SQL[rollup.level]}', c.bucket) AS bucket, {keys}, {picked}\n"
        f"FROM {rollup.source} c GROUP BY {positions} WITH NO DATA;\n"
        f"CREATE INDEX ON {rollup.name} (project_id, bucket);\n"
    )


def install_sql() -> str:
    """Ordinary, empty usage tables to the hypertable and its aggregates."""
    chunk = f"INTERVAL '{CHUNK.days} days'"
    return "\n".join(
        [
            f"DROP TABLE {', '.join(AGGREGATES)};",
            f"SELECT create_hypertable('usage_1m', by_range('bucket', {chunk}), create_default_indexes => false, "
            "migrate_data => true);",
            *(create_aggregate(ROLLUPS[name]) for name in AGGREGATES),
        ]
    )


def windows(ranges: Ranges) -> list[Span]:
    """The ranges of all projects together, joined across the smallest gaps until they are few enough to call."""
    joined = list(Ranges({0: [(lo, hi) for _, lo, hi in ranges.rows()]}).rows())
    spans = [(lo, hi) for _, lo, hi in joined]
    while len(spans) > RANGES_A_CALL:
        gaps = [(spans[n + 1][0] - spans[n][1], n) for n in range(len(spans) - 1)]
        _, at = min(gaps)
        spans[at : at + 2] = [(spans[at][0], spans[at + 1][1])]
    return spans


def refresh_calls(name: str, spans: Iterable[Span]) -> list[tuple[str, list[datetime]]]:
    """Statements that refresh an aggregate; each must run outside a transaction."""
    sql = f"CALL refresh_continuous_aggregate('{name}', %s::timestamptz, %s::timestamptz)"
    return [(sql, [moment_of(lo), moment_of(hi)]) for lo, hi in spans]


def drop_chunks(cursor: CursorWrapper, table: str, floor: datetime) -> int:
    """Drop the chunks that end before the floor; how many there were."""
    cursor.execute("SELECT count(*) FROM drop_chunks(%s, older_than => %s)", [table, floor])
    return int(cursor.fetchone()[0])
