"""Span rows in the forms that PostgreSQL takes: binary COPY and JSON records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from operator import attrgetter
from typing import Any

import orjson
from psycopg import Connection, Copy, Cursor
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.copy import Writer
from psycopg.pq import Format

from apps.traces.columns import CONTENT_COLUMNS, IDENTITY, SPAN_COLUMNS, Column, SpanRow
from apps.traces.schema import EPOCH

# (trace_id, span_id, start_us, project_id), in the order of the identity index.
Key = tuple[str, str, int, int]
key_of: Callable[[SpanRow], Key] = attrgetter("trace_id", "span_id", "start_us", "project_id")

_POSTGRES_EPOCH_US = 946_684_800_000_000  # 2000-01-01, from which timestamps count on the wire
_WIRE_TYPES = {"timestamptz": "int8", "integer": "int4", "bigint": "int8", "boolean": "bool"}
_TYPE_OF = {column.name: column.type for column in (*SPAN_COLUMNS, *CONTENT_COLUMNS)}


def _ordered(columns: Sequence[Column]) -> tuple[str, ...]:
    return (*IDENTITY, *(column.name for column in columns if column.name not in IDENTITY))


# The identity comes first, so that its values are taken from the key and not read twice.
SPAN_NAMES = _ordered(SPAN_COLUMNS)
CONTENT_NAMES = _ordered(CONTENT_COLUMNS)
_span_rest: Callable[[SpanRow], tuple[Any, ...]] = attrgetter(*SPAN_NAMES[4:])
_content_rest: Callable[[SpanRow], tuple[Any, ...]] = attrgetter(*CONTENT_NAMES[4:])


def _wire_types(names: Iterable[str]) -> list[str]:
    return [_WIRE_TYPES.get(_TYPE_OF[name], _TYPE_OF[name]) for name in names]


_SPAN_TYPES = _wire_types(SPAN_NAMES)
_CONTENT_TYPES = _wire_types(CONTENT_NAMES)


class _JsonbBytes(Dumper):
    """JSON that is encoded already: version 1 of jsonb's binary form is a byte and the text."""

    format = Format.BINARY

    def dump(self, obj: bytes) -> Buffer:
        return b"\x01" + obj


class _Collect(Writer):
    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def write(self, data: Buffer) -> None:
        self.parts.append(bytes(data))


class CopyEncoder:
    """Encodes rows for one connection (whose type catalogue it uses)."""

    def __init__(self, connection: Connection[Any]) -> None:
        self._cursor: Cursor[Any] = connection.cursor()
        jsonb = connection.adapters.types["jsonb"].oid
        self._cursor.adapters.register_dumper(bytes, type("JsonbBytes", (_JsonbBytes,), {"oid": jsonb}))

    def _encode(self, types: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> bytes:
        collected = _Collect()
        with Copy(self._cursor, binary=True, writer=collected) as copy:
            copy.set_types(types)
            write_row = copy.write_row
            for row in rows:
                write_row(row)
        return b"".join(collected.parts)

    def spans(self, items: Sequence[tuple[Key, SpanRow]]) -> bytes:
        epoch = _POSTGRES_EPOCH_US
        return self._encode(_SPAN_TYPES, ((k[0], k[1], k[2] - epoch, k[3], *_span_rest(row)) for k, row in items))

    def contents(self, items: Sequence[tuple[Key, SpanRow]]) -> bytes:
        epoch = _POSTGRES_EPOCH_US
        return self._encode(_CONTENT_TYPES, ((k[0], k[1], k[2] - epoch, k[3], *_content_rest(row)) for k, row in items))


def _json_value(value: Any) -> Any:
    return orjson.Fragment(value) if isinstance(value, bytes) else value


def _record(names: Sequence[str], values: tuple[Any, ...]) -> dict[str, Any]:
    record = {name: _json_value(value) for name, value in zip(names, values, strict=True) if value is not None}
    record["start_time"] = (EPOCH + timedelta(microseconds=record["start_time"])).isoformat()
    return record


def span_records(items: Iterable[tuple[Key, SpanRow]]) -> str:
    """The rows as JSON for json_populate_recordset."""
    return orjson.dumps([_record(SPAN_NAMES, (*key, *_span_rest(row))) for key, row in items]).decode()


def content_records(items: Iterable[tuple[Key, SpanRow]]) -> str:
    return orjson.dumps([_record(CONTENT_NAMES, (*key, *_content_rest(row))) for key, row in items]).decode()
