"""From native partitions to hypertables in place, after the TimescaleDB extension has come to the server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from apps.traces import encode, schema, storage, tiers
from apps.traces.columns import IDENTITY

# What other apps add to the status, by name: they register it when they are loaded.
further_status: dict[str, Callable[[BaseDatabaseWrapper], Any]] = {}
_OLD = "_plain"
_INDEXES = {
    "span": ("span_identity", "span_project_time"),
    "span_content": ("span_content_identity",),
    "span_text": ("span_text_identity", "span_text_words"),
}
_NAMES = {
    "span": (*encode.SPAN_NAMES, "ingested_at"),
    "span_content": encode.CONTENT_NAMES,
    "span_text": (*IDENTITY, "words"),
}


class UpgradeRefused(Exception):
    """Why nothing was done."""


def upgrade(
    report: Callable[[str], None] = print, *, force: bool = False, connection: BaseDatabaseWrapper | None = None
) -> int:
    """Turn the span tables into hypertables and move their rows, a partition a transaction, newest first.

    Cut short at any point it goes on where it was when it is called again. Until it is done answers lack what has not
    moved yet, so it refuses while other processes of the hub are connected. Where one may have refreshed the rollups
    meanwhile all the same, from days that were not there, the days that move now are marked to be done again.

    Returns:
        how many partitions were moved.
    """
    database = connection or connections["default"]
    if not tiers.install_extension(database).hypertables:
        raise UpgradeRefused("this server does not offer the timescaledb extension (or this user may not create it)")
    others = _others(database)
    if others and not force:
        raise UpgradeRefused(f"{others} other connections of the hub are open: stop it first")
    with transaction.atomic(using=database.alias):
        swapped = [_swap(database, table) for table in schema.SPAN_TABLES]
    marks = others > 0 or not all(swapped)
    return sum(_move(database, table, report, marks=marks) for table in schema.SPAN_TABLES)


def _others(database: BaseDatabaseWrapper) -> int:
    with database.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name LIKE 'analytics-hub%%' AND pid <> pg_backend_pid()"
        )
        return int(cursor.fetchone()[0])


def _kind(cursor: Any, table: str) -> str | None:
    cursor.execute("SELECT relkind::text FROM pg_class WHERE oid = to_regclass(%s)", [table])
    row = cursor.fetchone()
    return row[0] if row else None


def _swap(database: BaseDatabaseWrapper, table: str) -> bool:
    """Put an empty hypertable of the same shape in the place of a partitioned table, which stays beside it.

    Returns:
        whether it was done now, and not by an earlier call.
    """
    with database.cursor() as cursor:
        if _kind(cursor, table) != "p":
            return False
        old = table + _OLD
        cursor.execute(f"ALTER TABLE {table} RENAME TO {old}")
        cursor.execute(
            f"CREATE TABLE {table} (LIKE {old} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"
            + schema.OPTIONS.get(table, "")
        )
        cursor.execute(
            f"SELECT create_hypertable('{table}', by_range('start_time', INTERVAL '1 day'),"
            " create_default_indexes => false)"
        )
        for index in _INDEXES[table]:
            cursor.execute(f"ALTER INDEX {index} RENAME TO {index}{_OLD}")
        for index in _definitions(cursor, old, table):
            cursor.execute(index)
    return True


def _definitions(cursor: Any, old: str, table: str) -> list[str]:
    cursor.execute("SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = to_regclass(%s)", [old])
    return [
        text.replace(f"{_OLD} ON ONLY ", " ON ")
        .replace(f"{old} USING", f"{table} USING")
        .replace(f".{old} ", f".{table} ")
        for (text,) in cursor.fetchall()
    ]


def _move(database: BaseDatabaseWrapper, table: str, report: Callable[[str], None], *, marks: bool) -> int:
    old = table + _OLD
    with database.cursor() as cursor:
        if _kind(cursor, old) is None:
            return 0
        partitions = sorted(schema.partition_days(cursor, old).items(), reverse=True)
    for number, (day, name) in enumerate(partitions, 1):
        with transaction.atomic(using=database.alias), database.cursor() as cursor:
            cursor.execute(_move_sql(table, name, _NAMES[table]))
            rows = cursor.rowcount
            if marks and table == "span":
                cursor.execute(_mark_sql(name), {"day": day.isoformat()})
            cursor.execute(f"DROP TABLE {name}")
        report(f"{table}: {name} moved, {rows} rows ({number}/{len(partitions)})")
    with database.cursor() as cursor:
        cursor.execute(f"DROP TABLE {old}")
    return len(partitions)


def _mark_sql(partition: str) -> str:
    midnight = "%(day)s::date::timestamp AT TIME ZONE 'UTC'"
    return (
        "INSERT INTO span_mark (project_id, lo, hi)"
        f" SELECT DISTINCT project_id, {midnight}, {midnight} + interval '24 hours' FROM {partition}"
    )


def _move_sql(table: str, partition: str, names: Sequence[str]) -> str:
    """A span that was sent again meanwhile is in both: the rank rule decides, as it does on writing."""
    columns = ", ".join(names)
    if table == "span":
        changes = ", ".join(f"{name} = excluded.{name}" for name in names if name not in IDENTITY)
        rank = "({0}.duration_us, {0}.attribute_count, {0}.content_hash)"
        rule = f"DO UPDATE SET {changes} WHERE {rank.format('excluded')} > {rank.format('s')}"
    else:
        rule = "DO NOTHING"
    return (
        f"INSERT INTO {table} AS s ({columns}) SELECT {columns} FROM {partition}"
        f" ON CONFLICT ({', '.join(IDENTITY)}) {rule}"
    )


def status(connection: BaseDatabaseWrapper | None = None) -> dict[str, Any]:
    """The tier, the versions, and of each table its size, its partitions or chunks and the days they cover."""
    database = connection or connections["default"]
    with database.cursor() as cursor:
        server, extension = versions(cursor)
        still = unfinished(cursor)
    return {
        "tier": str(storage.tier(database)),
        "postgresql": server,
        "timescaledb": extension,
        "tables": tables(database),
        "upgrade_unfinished": still,
        **{name: tell(database) for name, tell in further_status.items()},
    }


def versions(cursor: Any) -> tuple[str, str | None]:
    """Of PostgreSQL, and of TimescaleDB where it is installed."""
    cursor.execute(
        "SELECT current_setting('server_version'), (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb')"
    )
    server, extension = cursor.fetchone()
    return server, extension


def unfinished(cursor: Any) -> list[str]:
    """The tables of which an upgrade has left a part where it was."""
    return [table for table in schema.SPAN_TABLES if _kind(cursor, table + _OLD)]


def tables(database: BaseDatabaseWrapper) -> dict[str, dict[str, Any]]:
    """Of each table its size, its partitions or chunks and the days they cover."""
    part = _chunks if storage.tier(database).hypertables else _partitions
    with database.cursor() as cursor:
        found = {table: part(cursor, table) for table in schema.SPAN_TABLES}
        for table in ("span_mark", "text_mark", "trace", "session"):
            cursor.execute(
                "SELECT pg_total_relation_size(oid), greatest(reltuples, 0)::bigint FROM pg_class"
                " WHERE oid = to_regclass(%s)",
                [table],
            )
            size, rows = cursor.fetchone()
            found[table] = {"bytes": size, "rows_estimate": rows}
    return found


def _partitions(cursor: Any, table: str) -> dict[str, Any]:
    days = schema.partition_days(cursor, table)
    cursor.execute(
        "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint,"
        " coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint,"
        " array_agg(c.relname::text) FILTER (WHERE pg_relation_size(c.oid) > 0)"
        " FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = to_regclass(%s)",
        [table],
    )
    size, rows, filled = cursor.fetchone()
    found = sorted(day for name in filled or [] if (day := schema.partition_day(name)))
    return {
        "bytes": size,
        "rows_estimate": rows,
        "partitions": len(days),
        "first_day": min(days).isoformat() if days else None,
        "last_day": max(days).isoformat() if days else None,
        "oldest_data_day": found[0].isoformat() if found else None,
        "newest_data_day": found[-1].isoformat() if found else None,
    }


def _chunks(cursor: Any, table: str) -> dict[str, Any]:
    cursor.execute(
        "SELECT count(*), count(*) FILTER (WHERE is_compressed), min(range_start), max(range_start)"
        " FROM timescaledb_information.chunks WHERE hypertable_name = %s",
        [table],
    )
    chunks, columnar, first, last = cursor.fetchone()
    cursor.execute("SELECT hypertable_size(%s::regclass), approximate_row_count(%s::regclass)", [table, table])
    size, rows = cursor.fetchone()
    edges = {
        "first_day": first and schema.day_of(first).isoformat(),
        "last_day": last and schema.day_of(last).isoformat(),
    }
    return {
        "bytes": size,
        "rows_estimate": rows,
        "partitions": chunks,
        "columnar": columnar,
        **edges,
        "oldest_data_day": edges["first_day"],
        "newest_data_day": edges["last_day"],
    }
