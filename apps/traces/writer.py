"""The one way in which spans reach the database.

A batch is written by binary COPY in one transaction together with its marks. Only when that meets a span that is
there already does the batch go the careful way: look at what is stored, leave out what is equal or lesser, and upsert
the rest under the rank rule. So a client's retry costs one failed COPY and one look-up.
"""

from __future__ import annotations

import time
from collections.abc import Container, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import psycopg
from django.conf import settings
from django.db import InterfaceError, OperationalError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import errors, sql

from apps.common.observe.statements import MeteredCursor, timed
from apps.traces import encode, schema, scores, tombstones, wire
from apps.traces.columns import IDENTITY, SpanRow
from apps.traces.encode import CONTENT_NAMES, SPAN_NAMES, Key

MAX_MARKS = 1_000
ATTEMPTS = 3
HOMELESS_ATTEMPTS = 5
_SQL_SPAN = f"COPY span ({', '.join(SPAN_NAMES)}) FROM STDIN (FORMAT binary)"
_SQL_CONTENT = f"COPY span_content ({', '.join(CONTENT_NAMES)}) FROM STDIN (FORMAT binary)"
_IDENTITY = ", ".join(IDENTITY)
_KEY = "s.trace_id, s.span_id, (extract(epoch FROM s.start_time) * 1000000)::bigint, s.project_id"
_FIND = """
SELECT s.trace_id, s.span_id, n.us, s.project_id, s.duration_us, s.attribute_count, s.content_hash
FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::integer[]) AS n (trace_id, span_id, us, project_id)
JOIN span s ON s.trace_id = n.trace_id AND s.span_id = n.span_id AND s.project_id = n.project_id
    AND s.start_time = timestamptz 'epoch' + n.us * interval '1 microsecond'
WHERE s.start_time >= %s AND s.start_time <= %s
"""


def _upsert_sql(table: str, names: Sequence[str], rule: str) -> str:
    columns = ", ".join(names)
    rest = [name for name in names if name not in IDENTITY]
    changes = ", ".join(f"{name} = excluded.{name}" for name in rest)
    return (
        f"INSERT INTO {table} AS s ({columns}) SELECT {columns} FROM json_populate_recordset(NULL::{table}, %s::json)"
        f" ON CONFLICT ({_IDENTITY}) DO UPDATE SET {changes}{rule}"
    )


_UPSERT_SPAN = _upsert_sql(
    "span",
    SPAN_NAMES,
    ", ingested_at = excluded.ingested_at"
    " WHERE (excluded.duration_us, excluded.attribute_count, excluded.content_hash)"
    f" > (s.duration_us, s.attribute_count, s.content_hash) RETURNING {_KEY}",
)
_UPSERT_CONTENT = _upsert_sql("span_content", CONTENT_NAMES, "")
_DELETE_CONTENT = """
DELETE FROM span_content s USING unnest(%s::text[], %s::text[], %s::bigint[], %s::integer[]) AS n (t, sp, us, p)
WHERE s.trace_id = n.t AND s.span_id = n.sp AND s.project_id = n.p
    AND s.start_time = timestamptz 'epoch' + n.us * interval '1 microsecond'
    AND s.start_time >= %s AND s.start_time <= %s
"""

Items = Sequence[tuple[Key, SpanRow]]
Range = tuple[int, int, int]  # project, from minute, to minute (minutes since the Unix epoch, half-open)


class WriteResult(NamedTuple):
    """How many of the batch's distinct spans were new, replaced a lesser one, or were there already (or deleted)."""

    inserted: int
    replaced: int
    unchanged: int


class WriteUnavailable(Exception):
    """The database cannot take the batch now; the same batch may be sent again."""

    def __init__(self, message: str, retry_after: int = 5) -> None:
        super().__init__(message)
        self.retry_after = retry_after


# Conditions of the server that pass: shutting down, starting up, full, read-only (a standby), out of disk or memory.
_UNAVAILABLE = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    OperationalError,
    InterfaceError,
    errors.ReadOnlySqlTransaction,
    errors.InsufficientResources,
)
# Not LockNotAvailable: after lock_timeout the wait has been long enough, and has held a thread of a web process.
_CONTENDED = (errors.DeadlockDetected, errors.SerializationFailure)


def distinct(rows: Iterable[SpanRow]) -> list[tuple[Key, SpanRow]]:
    """One row a key, the greatest rank, in the order of keys: all writers then lock in the same order."""
    best: dict[Key, SpanRow] = {}
    for row in rows:
        key = encode.key_of(row)
        other = best.get(key)
        if other is None or row.rank > other.rank:
            best[key] = row
    return sorted(best.items(), key=_first)


def _first(item: tuple[Key, SpanRow]) -> Key:
    return item[0]


def mark_ranges(keys: Iterable[Key]) -> list[Range]:
    """The minutes these spans start in, adjacent ones joined; hours or days where the minutes are too many."""
    minutes = {(key[3], key[2] // 60_000_000) for key in keys}
    for width in (1, 60, 1440, 43_200):
        ranges = _join(sorted({(project, minute // width * width) for project, minute in minutes}), width)
        if len(ranges) <= MAX_MARKS:
            break
    return ranges


def _join(starts: Sequence[tuple[int, int]], width: int) -> list[Range]:
    ranges: list[Range] = []
    for project, minute in starts:
        if ranges and ranges[-1][0] == project and ranges[-1][2] == minute:
            ranges[-1] = (project, ranges[-1][1], minute + width)
        else:
            ranges.append((project, minute, minute + width))
    return ranges


def marks_sql(ranges: Sequence[Range], *, inherited: bool = True) -> str:
    """An INSERT of marks; integers only, so no parameters are needed.

    Args:
        inherited: what spans take over from their traces may have changed. Where only costs or scores did, readers
            need not work that out anew.
    """
    values = ", ".join(f"({p}, to_timestamp({lo * 60}), to_timestamp({hi * 60}))" for p, lo, hi in ranges)
    if inherited:
        return f"INSERT INTO span_mark (project_id, lo, hi) VALUES {values}"
    return f"INSERT INTO span_mark (project_id, lo, hi, inherited) SELECT v.*, false FROM (VALUES {values}) v"


def text_marks_sql(keys: Sequence[Key], *, replaced: bool = False) -> str:
    """An INSERT of marks for the index of words; the time of the transaction tells the batch's spans from others."""
    flag = "true" if replaced else "false"
    values = ", ".join(
        f"({p}, to_timestamp({lo * 60}), to_timestamp({hi * 60}), {len(keys)}, {flag})"
        for p, lo, hi in mark_ranges(keys)
    )
    return f"INSERT INTO text_mark (project_id, lo, hi, spans, replaced) VALUES {values}"


def write(
    rows: Sequence[SpanRow], *, connection: BaseDatabaseWrapper | None = None, within_transaction: bool = False
) -> WriteResult:
    """Store spans; they are durable on return.

    Args:
        rows: the batch; of several rows with one identity the greatest rank is stored.
        connection: the database, `default` if not given.
        within_transaction: allow a surrounding transaction, whose end then decides whether anything is kept.

    Raises:
        WriteUnavailable: nothing is stored, and the batch may be sent again.
        RuntimeError: inside a transaction without `within_transaction`: the caller would acknowledge before the commit.
    """
    database = connection or connections["default"]
    _refuse_outer_transaction(database, within_transaction)
    items = distinct(rows)
    if not items:
        return WriteResult(0, 0, 0)
    try:
        living = _living(database, items)
        made = _attempts(database, living) if living else WriteResult(0, 0, 0)
        return made._replace(unchanged=made.unchanged + len(items) - len(living))
    except _UNAVAILABLE as error:
        _forget_broken(database)
        raise WriteUnavailable("the database cannot take spans now") from error


def _living(database: BaseDatabaseWrapper, items: Items) -> Items:
    """Without the spans of deleted traces: a sender that repeats one is told that it is stored, as it once was."""
    try:
        return _without_dead(database, items)
    except (OperationalError, InterfaceError):
        # As for the write itself: a connection kept open may be dead since the server's restart.
        if database.in_atomic_block or not _lost(database):
            raise
        database.close()
        return _without_dead(database, items)


def _without_dead(database: BaseDatabaseWrapper, items: Items) -> Items:
    if not tombstones.standing(database):
        return items
    dead = tombstones.buried(database, {(key[3], key[0]) for key, _ in items})
    return [item for item in items if (item[0][3], item[0][0]) not in dead] if dead else items


def _refuse_outer_transaction(database: BaseDatabaseWrapper, allowed: bool) -> None:
    # Django marks the blocks that its test cases open: those are not transactions of the program.
    blocks = database.atomic_blocks
    if not allowed and blocks and not blocks[-1]._from_testcase:  # type: ignore[attr-defined]
        raise RuntimeError("write() inside a transaction: its rows would be acknowledged before they are committed")


def _forget_broken(database: BaseDatabaseWrapper) -> None:
    if not database.in_atomic_block and database.connection is not None and not database.is_usable():
        database.close()


def _attempts(database: BaseDatabaseWrapper, items: Items) -> WriteResult:
    careful = getattr(settings, "WRITER_SINK", "copy") != "copy"
    lost = contended = homeless = 0
    while True:
        try:
            return _upsert(database, items) if careful else _copy(database, items)
        except errors.UniqueViolation:
            careful = True
        except _CONTENDED:
            contended += 1
            if contended >= ATTEMPTS:
                raise
            time.sleep(0.01 * 4**contended)
        except errors.CheckViolation as error:
            homeless += 1
            if error.diag.constraint_name or homeless > HOMELESS_ATTEMPTS:
                raise
            _make_missing(database, items)
            if homeless > 1:  # seen once among four writers in a test, cause unknown: give the others time
                time.sleep(0.02 * 2**homeless)
        except errors.ConfigurationLimitExceeded:
            if careful:
                raise
            careful = True  # old compressed chunks: the careful way lifts TimescaleDB's limit
        except psycopg.OperationalError:
            # A connection kept open may be dead since the server's restart: once, try a new one.
            lost += 1
            if lost > 1 or database.in_atomic_block or not _lost(database):
                raise
            database.close()


def _lost(database: BaseDatabaseWrapper) -> bool:
    return database.connection is not None and bool(database.connection.closed)


def _make_missing(database: BaseDatabaseWrapper, items: Items) -> None:
    """Make the day partitions that these spans need, unless somebody else has made them meanwhile."""
    days = sorted({schema.day_of_us(key[2]) for key, _ in items})
    with transaction.atomic(using=database.alias), database.cursor() as cursor:
        schema.lock_maintenance(cursor)
        for table in schema.SPAN_TABLES:
            schema.ensure_partitions(cursor, table, days)


def _content_items(items: Items) -> list[tuple[Key, SpanRow]]:
    """Those with content, but for content so old that it has expired already."""
    floor = (time.time_ns() // 1000 // schema.DAY_US - settings.HUB.content_retention_days) * schema.DAY_US
    return [item for item in items if item[1].has_content and item[0][2] >= floor]


def _copy(database: BaseDatabaseWrapper, items: Items) -> WriteResult:
    database.ensure_connection()
    assert database.connection is not None
    encoder = encode.CopyEncoder(database.connection)
    statements, payloads = [_SQL_SPAN], [encoder.spans(items)]
    if with_content := _content_items(items):
        statements.append(_SQL_CONTENT)
        payloads.append(encoder.contents(with_content))
        statements.append(text_marks_sql([key for key, _ in with_content]))
    verdicts = [score for _, row in items for score in row.scores]
    if verdicts:  # a value of many statements in one message has to stand in its text
        literal = sql.Literal(scores.records(verdicts)).as_string(database.connection)
        statements.append(scores.UPSERT.replace("%s", literal))
    statements.append(marks_sql(mark_ranges([*(key for key, _ in items), *_places(verdicts)])))
    message = "; ".join(statements)
    if database.in_atomic_block:
        with transaction.atomic(using=database.alias):
            _send(database.connection, message, payloads)
    else:
        _send(database.connection, message, payloads)
    return WriteResult(len(items), 0, 0)


def _places(verdicts: Iterable[scores.Score]) -> list[Key]:
    """Where scores stand, in the form in which spans say it."""
    return [("", "", us_of(score.timestamp), score.project_id) for score in verdicts]


def us_of(moment: datetime) -> int:
    """Microseconds since the Unix epoch."""
    return int(moment.timestamp()) * 1_000_000 + moment.microsecond


def _send(connection: psycopg.Connection[Any], sql: str, payloads: Sequence[bytes]) -> None:
    with timed(sql):
        wire.run(connection, sql, payloads)


def _key_arrays(keys: Sequence[Key]) -> list[Any]:
    """Parameters of _FIND and _DELETE_CONTENT: the keys by column and the bounds that prune partitions."""
    starts = [key[2] for key in keys]
    bounds = [schema.EPOCH + timedelta(microseconds=us) for us in (min(starts), max(starts))]
    return [[key[0] for key in keys], [key[1] for key in keys], starts, [key[3] for key in keys], *bounds]


def _upsert(database: BaseDatabaseWrapper, items: Items) -> WriteResult:
    """The careful way: write only what is new or greater than what is stored, mark only what was written."""
    with transaction.atomic(using=database.alias):
        assert database.connection is not None
        with MeteredCursor(database.connection) as cursor:
            # Only TimescaleDB reads it: an upsert may have to open compressed chunks.
            cursor.execute("SELECT set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', true)")
            cursor.execute(_FIND, _key_arrays([key for key, _ in items]))
            stored: dict[Key, tuple[int, ...]] = {(r[0], r[1], r[2], r[3]): r[4:] for r in cursor.fetchall()}
            greater = [(key, row) for key, row in items if key not in stored or row.rank > stored[key]]
            won = _write_greater(cursor, greater, stored) if greater else set()
    replaced = len(won & stored.keys())
    return WriteResult(len(won) - replaced, replaced, len(items) - len(won))


def _write_greater(cursor: Any, greater: Items, stored: Container[Key]) -> set[Key]:
    """Upsert; the keys that were written. What another writer made greater meanwhile is left alone."""
    cursor.execute(_UPSERT_SPAN, [encode.span_records(greater)])
    won: set[Key] = {tuple(key) for key in cursor.fetchall()}
    if not won:
        return won
    winners = [item for item in greater if item[0] in won]
    if with_content := _content_items(winners):
        cursor.execute(_UPSERT_CONTENT, [encode.content_records(with_content)])
    if bare := [key for key, row in winners if key in stored and not row.has_content]:
        cursor.execute(_DELETE_CONTENT, _key_arrays(bare))
    if with_content or bare:
        keys = [*(key for key, _ in with_content), *bare]
        cursor.execute(text_marks_sql(keys, replaced=any(key in stored for key in keys)))
    places = _write_scores(cursor, winners, stored)
    cursor.execute(marks_sql(mark_ranges([*won, *places])))
    return won


def _write_scores(cursor: Any, winners: Items, stored: Container[Key]) -> list[Key]:
    """What the spans that were written say of scores; where scores changed. Those that a replaced one said go."""
    verdicts = [score for _, row in winners for score in row.scores]
    places = _places(verdicts)
    if replaced := [key for key, _ in winners if key in stored]:
        prefixes = [scores.derived_prefix(key[0], key[1]) for key in replaced]
        spans = [[key[3] for key in replaced], [key[0] for key in replaced], prefixes]
        cursor.execute(scores.STALE, [*spans, [score.id for score in verdicts]])
        places += [("", "", us_of(moment), project) for project, moment in cursor.fetchall()]
    if verdicts:
        cursor.execute(scores.UPSERT, [scores.records(verdicts)])
    return places
