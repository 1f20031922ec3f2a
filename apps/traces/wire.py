"""COPY of several tables and their statements in one message to the server.

A simple-protocol query of several statements is one transaction: `COPY span ...; COPY span_content ...; INSERT INTO
span_mark ...` begins, writes and commits in three round trips where statement by statement it takes seven. libpq can do
that, but psycopg's cursor expects one COPY a call; so this drives libpq through `psycopg.pq`.
"""

from __future__ import annotations

import select
from collections.abc import Sequence
from typing import TYPE_CHECKING

from psycopg import Connection, OperationalError
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn, PGresult

_CHUNK = 1 << 20


def _wait(pgconn: PGconn, events: int) -> None:
    poller = select.poll()
    poller.register(pgconn.socket, events)
    poller.poll()


def _flush(pgconn: PGconn) -> None:
    while pgconn.flush():
        # The server may be writing to us (a notice, an error) while we write: read, or both would wait.
        _wait(pgconn, select.POLLIN | select.POLLOUT)
        pgconn.consume_input()


def _next_result(pgconn: PGconn) -> PGresult | None:
    _flush(pgconn)
    while pgconn.is_busy():
        _wait(pgconn, select.POLLIN)
        pgconn.consume_input()
    return pgconn.get_result()


def _send(pgconn: PGconn, payload: bytes) -> None:
    for begin in range(0, len(payload), _CHUNK):
        pgconn.put_copy_data(payload[begin : begin + _CHUNK])
        _flush(pgconn)
    pgconn.put_copy_end()


def _exchange(pgconn: PGconn, sql: bytes, payloads: Sequence[bytes]) -> PGresult | None:
    """Send everything, read to the end; the first failed result, if any."""
    waiting = iter(payloads)
    failed: PGresult | None = None
    pgconn.send_query(sql)
    while (result := _next_result(pgconn)) is not None:
        if result.status == ExecStatus.COPY_IN:
            _send(pgconn, next(waiting))
        elif result.status not in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK) and failed is None:
            failed = result
    return failed


def run(connection: Connection, sql: str, payloads: Sequence[bytes]) -> None:
    """Execute a string of statements, feeding one payload to each COPY FROM STDIN in it.

    Raises:
        psycopg.Error: as the server gave it; nothing of the string has been applied then. A connection that failed
            half-way is closed, since nobody can know what it still expects.
    """
    pgconn = connection.pgconn
    with connection.lock:
        try:
            failed = _exchange(pgconn, sql.encode(), payloads)
        except BaseException:
            connection.close()
            raise
    if failed is not None:
        raise error_from_result(failed, encoding="utf-8")
    if connection.closed:
        raise OperationalError("the connection was lost")
