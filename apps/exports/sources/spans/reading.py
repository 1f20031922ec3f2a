"""Rows and lines of a statement, a few at a time: bounded in number and, where there are texts, in bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from apps.exports.sources.base import Cursor, Row
from apps.exports.sources.spans import statements

ROWS: Final = 2_000
# Rows with texts come one by one from the connection; so much is gathered of them before it is given on.
CONTENT_ROWS: Final = 500
CONTENT_BYTES: Final = 4_000_000
LINE_ROWS: Final = 10_000
LINE_BYTES: Final = 1_000_000


def rows(cursor: Cursor, sql: str, parameters: Mapping[str, Any], *, content: bool) -> Iterator[Sequence[Row]]:
    """All rows of a SELECT through a server-side cursor."""
    cursor.execute(f"{statements.DECLARE}{sql}".encode(), parameters, prepare=False)
    more = True
    while more:
        if content:
            read = 0
            for batch in _by_size(cursor):
                read += len(batch)
                yield batch
            more = read == CONTENT_ROWS
        else:
            fetch = statements.FETCH.format(rows=ROWS).encode()
            found = cursor.execute(fetch, prepare=False, binary=True).fetchall()
            more = len(found) == ROWS
            if found:
                yield found
    cursor.execute(statements.CLOSE.encode(), prepare=False)


def _by_size(cursor: Cursor) -> Iterator[Sequence[Row]]:
    """The next rows, in batches of a bounded size, however large a row is."""
    batch: list[Row] = []
    size = 0
    fetch = statements.FETCH.format(rows=CONTENT_ROWS).encode()
    for row in cursor.stream(fetch, binary=True):
        batch.append(row)
        size += sum([len(value) for value in row if type(value) is str])
        if size >= CONTENT_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def lines(cursor: Cursor, sql: str, parameters: Mapping[str, Any]) -> Iterator[tuple[list[bytes], bytes]]:
    """What COPY sends, in pieces: the prefixes of some rows, and their lines without them."""
    prefixes: list[bytes] = []
    kept: list[bytes] = []
    size = 0
    with cursor.copy(sql.encode(), parameters) as copy:
        for data in copy:
            prefix, _, line = bytes(data).partition(b",")
            prefixes.append(prefix)
            kept.append(line)
            size += len(line)
            if size >= LINE_BYTES or len(prefixes) >= LINE_ROWS:
                yield prefixes, b"".join(kept)
                prefixes, kept, size = [], [], 0
    if prefixes:
        yield prefixes, b"".join(kept)
