"""What is past its retention goes, without anybody having to wait for it.

Whole days go as partitions or chunks: detached beside readers and writers, then dropped, each step with a lock timeout
of two seconds, since whoever waits for a lock makes all others wait behind. What cannot go now goes at the next run.
Projects that keep less lose their rows in small batches. Nothing here marks anything dirty: the cells stay as they are.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import OperationalError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import errors

from apps.traces import schema, storage
from apps.traces.scores_retention import expire_scores
from apps.traces.sessions.fold import remake_sessions
from apps.traces.tiers import Tier

LOCK_TIMEOUT = "2s"
RETRIES = 3
PAUSE_SECONDS = 1.0
BATCH = 5_000
PARTIAL = 8  # of a chunk's status: late spans or new prices lie beside its columns


@dataclass(slots=True)
class Expired:
    """What one run removed, and the partitions it had to leave for the next one."""

    partitions: list[str] = field(default_factory=list)
    postponed: list[str] = field(default_factory=list)
    rows: int = 0
    traces: int = 0
    scores: int = 0


def drop_expired(now: datetime | None = None, *, connection: BaseDatabaseWrapper | None = None) -> Expired:
    """Remove spans, content, scores and the rows of traces and conversations that are past their retention.

    One process at a time does so; a second one returns at once.
    """
    database = connection or connections["default"]
    moment = now or datetime.now(UTC)
    report = Expired()
    with _alone(database) as first:
        if not first:
            return report
        tier = storage.tier(database)
        for table in reversed(schema.SPAN_TABLES):
            _remember_floor(database, table, 0, storage.kept_from(table, moment))
            expire = _drop_chunks if tier.hypertables else _drop_partitions
            expire(database, table, moment, report)
            for project, floor in storage.project_floors(table, moment).items():
                report.rows += _delete_project(database, tier, table, project, floor)
        report.traces = _delete_traces(database, storage.raw_floor(moment))
        _shorten_sessions(database, storage.raw_floor(moment))
        report.scores = expire_scores(database, moment)
    return report


@contextmanager
def _alone(database: BaseDatabaseWrapper) -> Iterator[bool]:
    with database.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, 2)", [schema.LOCK_CLASS])
        first = bool(cursor.fetchone()[0])
        try:
            yield first
        finally:
            if first:
                cursor.execute("SELECT pg_advisory_unlock(%s, 2)", [schema.LOCK_CLASS])


def _remember_floor(database: BaseDatabaseWrapper, table: str, project: int, floor: datetime) -> None:
    """Before anything goes, so that a run cut short leaves no gap that looks whole."""
    with database.cursor() as cursor:
        cursor.execute(
            "INSERT INTO retention_floor AS f (relation, project_id, floor) VALUES (%s, %s, %s)"
            " ON CONFLICT (relation, project_id) DO UPDATE SET floor = excluded.floor WHERE excluded.floor > f.floor",
            [table, project, floor],
        )


def _drop_partitions(database: BaseDatabaseWrapper, table: str, now: datetime, report: Expired) -> None:
    """Detach and drop, oldest first; a table has room for one unfinished detaching, so the first delay ends the run."""
    waiting = _old_partitions(database, table, schema.day_of(storage.kept_from(table, now)))
    while waiting and _patiently(database, _detach, table, waiting[0]):
        name = waiting.pop(0)
        gone = _patiently(database, _drop, name)
        (report.partitions if gone else report.postponed).append(name)
    report.postponed += waiting


def _old_partitions(database: BaseDatabaseWrapper, table: str, floor: date) -> list[str]:
    """Partitions before `floor`, also those detached but not dropped; one whose detaching was cut short comes first."""
    with database.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid"
            " WHERE c.relkind = 'r' AND c.relname ~ %s"
            " AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass(%s))"
            " ORDER BY i.inhdetachpending IS NOT TRUE, c.relname",
            [rf"^{table}_p\d{{8}}$", table],
        )
        found = [(name, schema.partition_day(name)) for (name,) in cursor.fetchall()]
    return [name for name, day in found if day is not None and day < floor]


def _patiently(database: BaseDatabaseWrapper, step: Any, *arguments: str) -> bool:
    """Try a step a few times; False if somebody was in its way each time."""
    for attempt in range(RETRIES):
        try:
            with database.cursor() as cursor:
                cursor.execute("SELECT set_config('lock_timeout', %s, %s)", [LOCK_TIMEOUT, database.in_atomic_block])
                try:
                    step(cursor, database.in_atomic_block, *arguments)
                    return True
                finally:
                    if not database.in_atomic_block:
                        cursor.execute("RESET lock_timeout")
        except OperationalError as error:
            if not isinstance(error.__cause__, errors.LockNotAvailable | errors.DeadlockDetected):
                raise
        if attempt + 1 < RETRIES:
            time.sleep(PAUSE_SECONDS)
    return False


def _detach(cursor: Any, in_transaction: bool, table: str, name: str) -> None:
    cursor.execute("SELECT inhdetachpending FROM pg_inherits WHERE inhrelid = to_regclass(%s)", [name])
    row = cursor.fetchone()
    if row is None:
        return  # detached by a run that came no further
    # A try that ran into the timeout leaves the partition pending; it is finished, not begun again.
    how = "FINALIZE" if row[0] else "" if in_transaction else "CONCURRENTLY"
    cursor.execute(f"ALTER TABLE {table} DETACH PARTITION {name} {how}")


def _drop(cursor: Any, in_transaction: bool, name: str) -> None:
    cursor.execute(f"DROP TABLE IF EXISTS {name}")


def _drop_chunks(database: BaseDatabaseWrapper, table: str, now: datetime, report: Expired) -> None:
    floor = storage.kept_from(table, now)
    with database.cursor() as cursor:
        cursor.execute(
            "SELECT chunk_schema, chunk_name, range_end FROM timescaledb_information.chunks"
            " WHERE hypertable_name = %s AND range_end <= %s ORDER BY range_end",
            [table, floor],
        )
        chunks = cursor.fetchall()
    for schema_name, chunk, end in chunks:
        done = _patiently(database, _drop_chunk, table, end.isoformat())
        (report.partitions if done else report.postponed).append(f"{schema_name}.{chunk}")


def _drop_chunk(cursor: Any, in_transaction: bool, table: str, older_than: str) -> None:
    cursor.execute("SELECT drop_chunks(%s::regclass, older_than => %s::timestamptz)", [table, older_than])


def _delete_project(database: BaseDatabaseWrapper, tier: Tier, table: str, project: int, floor: datetime) -> int:
    """Delete what one project no longer keeps, from where the last run ended."""
    with database.cursor() as cursor:
        cursor.execute("SELECT floor FROM retention_floor WHERE relation = %s AND project_id = %s", [table, project])
        row = cursor.fetchone()
        if table == "span":
            _remember_floor(database, table, project, floor)
        cursor.execute("SELECT min(start_time) FROM span WHERE project_id = %s", [project])
        oldest = cursor.fetchone()[0]
    begin = max(oldest or floor, row[0]) if row and table != "span" else oldest
    deleted = 0
    if begin is not None and begin < floor:
        for day in schema.days_between(schema.day_of(begin), schema.day_of(floor - timedelta(microseconds=1))):
            deleted += _delete_day(database, tier, table, project, day)
    if table != "span":
        _remember_floor(database, table, project, floor)
    return deleted


def _delete_day(database: BaseDatabaseWrapper, tier: Tier, table: str, project: int, day: date) -> int:
    span: list[Any] = [project, schema.midnight(day), schema.midnight(day + schema.DAY)]
    where = "project_id = %s AND start_time >= %s AND start_time < %s"
    if tier.hypertables:
        with transaction.atomic(using=database.alias), database.cursor() as cursor:
            cursor.execute("SELECT set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', true)")
            cursor.execute(f"DELETE FROM {table} WHERE {where}", span)
            return int(cursor.rowcount)
    some = f"SELECT ctid FROM {table} WHERE {where} LIMIT {BATCH}"
    return _in_batches(database, f"DELETE FROM {table} WHERE {where} AND ctid = ANY (ARRAY({some}))", [*span, *span])


def _in_batches(database: BaseDatabaseWrapper, statement: str, parameters: list[Any]) -> int:
    """Repeat a DELETE of at most BATCH rows, each in a transaction of its own, until one finds fewer."""
    deleted = 0
    while True:
        with database.cursor() as cursor:
            cursor.execute(statement, parameters)
            rows: int = cursor.rowcount
        deleted += rows
        if rows < BATCH:
            return deleted


def _delete_traces(database: BaseDatabaseWrapper, floor: datetime) -> int:
    """Trace rows whose last span is gone, project by project along the index."""
    statement = f"""
        WITH RECURSIVE p (project_id) AS (
            SELECT (SELECT project_id FROM trace ORDER BY project_id LIMIT 1)
            UNION ALL
            SELECT (SELECT t.project_id FROM trace t WHERE t.project_id > p.project_id ORDER BY t.project_id LIMIT 1)
            FROM p WHERE p.project_id IS NOT NULL
        ), old AS (
            SELECT t.project_id, t.trace_id FROM p JOIN trace t ON t.project_id = p.project_id
            LEFT JOIN retention_floor f ON f.relation = 'span' AND f.project_id = p.project_id
            WHERE t.first_start < greatest(%s, f.floor) AND t.last_start < greatest(%s, f.floor) LIMIT {BATCH}
        )
        DELETE FROM trace t USING old WHERE t.project_id = old.project_id AND t.trace_id = old.trace_id
    """
    return _in_batches(database, statement, [floor, floor])


def _shorten_sessions(database: BaseDatabaseWrapper, floor: datetime) -> None:
    """Conversations that began before what is kept are made of the turns that are left; those without any go."""
    statement = """
        SELECT s.project_id, s.session_id
        FROM session s LEFT JOIN retention_floor f ON f.relation = 'span' AND f.project_id = s.project_id
        WHERE s.first_start < greatest(%s, f.floor) AND (s.project_id, s.session_id) > (%s, %s)
        ORDER BY s.project_id, s.session_id LIMIT %s
    """
    last, keys = (0, ""), [(0, "")]
    while keys:
        with transaction.atomic(using=database.alias), database.cursor() as cursor:
            cursor.execute(statement, [floor, *last, BATCH])
            keys = cursor.fetchall()
            if keys:
                remake_sessions(cursor, keys)
                last = keys[-1]


def compress(now: datetime | None = None, *, connection: BaseDatabaseWrapper | None = None) -> list[str]:
    """Turn span chunks that are old enough into columns (TimescaleDB's community edition); the chunks' names."""
    database = connection or connections["default"]
    days: int = settings.HUB.columnstore_after_days
    if not days or storage.tier(database) is not Tier.TIMESCALE:
        return []
    limit = storage.day_floor(now or datetime.now(UTC), days)
    with database.cursor() as cursor:
        _enable_columnstore(cursor)
        cursor.execute(
            "SELECT name FROM (SELECT *, format('%%I.%%I', chunk_schema, chunk_name) AS name"
            " FROM timescaledb_information.chunks WHERE hypertable_name = 'span' AND range_end <= %s) c"
            " WHERE NOT is_compressed OR _timescaledb_functions.chunk_status(name::regclass) & %s > 0"
            " ORDER BY range_end",
            [limit, PARTIAL],
        )
        chunks = [row[0] for row in cursor.fetchall()]
    return [chunk for chunk in chunks if _patiently(database, _compress_chunk, chunk)]


def _enable_columnstore(cursor: Any) -> None:
    cursor.execute(
        "SELECT 1 FROM timescaledb_information.hypertables WHERE hypertable_name = 'span' AND compression_enabled"
    )
    if cursor.fetchone() is None:
        cursor.execute(
            "ALTER TABLE span SET (timescaledb.compress, timescaledb.compress_segmentby = 'project_id',"
            " timescaledb.compress_orderby = 'start_time DESC')"
        )


def _compress_chunk(cursor: Any, in_transaction: bool, chunk: str) -> None:
    cursor.execute("SELECT compress_chunk(%s::regclass, if_not_compressed => true)", [chunk])
