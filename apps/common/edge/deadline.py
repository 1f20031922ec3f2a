"""The end of a request's time, and statements that end with it.

`EdgeMiddleware` notes when the request's REQUEST_TIMEOUT_SECONDS are over. Whatever a request asks of the database is
given what remains: PostgreSQL cancels the statement itself, also when this process has gone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import ContextVar, Token
from typing import Any, Self

import psycopg
from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper

from apps.common.errors import ApiError
from apps.common.observe.statements import MeteredCursor

_end: ContextVar[float | None] = ContextVar("deadline", default=None)
SLACK_SECONDS = 0.5


def start() -> Token[float | None]:
    """A request begins; the token is for `end`."""
    return _end.set(time.monotonic() + settings.HUB.request_timeout_seconds)


def end(token: Token[float | None]) -> None:
    _end.reset(token)


def remaining() -> float:
    """Seconds that the request still has; outside of a request as many as one has from its start."""
    end = _end.get()
    return float(settings.HUB.request_timeout_seconds) if end is None else end - time.monotonic()


def check() -> float:
    """The seconds that remain.

    Raises:
        ApiError: 1800 where none do.
    """
    left = remaining()
    if left <= 0:
        raise ApiError(1800, "The request ran into the time limit. Ask for a shorter range or fewer groups.")
    return left


class TimedCursor(MeteredCursor[Any]):
    """A cursor inside a transaction whose statements all together end with the request.

    PostgreSQL counts its limit from each statement's start: the later one starts, the less it may take. A limit is
    set again where the old one would let a statement run half a second too long, so short statements pay nothing.

    Attributes:
        notes: what has been read of the snapshot that the cursor stands for, by whoever reads it more than once.
    """

    _granted: float | None = None

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        super().__init__(connection)
        self.notes: dict[Any, Any] = {}

    def beside(self) -> TimedCursor:
        """Another cursor in the same transaction, whose limit stands already."""
        made = TimedCursor(self.connection)
        made._granted = self._granted
        return made

    def execute(self, *args: Any, **options: Any) -> Self:
        left = check()
        if self._granted is None or self._granted > left + SLACK_SECONDS:
            super().execute(limit_sql(left).encode())
            self._granted = left
        return super().execute(*args, **options)

    def begin(self, sql: str) -> None:
        """Execute what a transaction begins with, the limit with it in the same round trip."""
        self._granted = check()
        super().execute(f"{sql}{limit_sql(self._granted)}".encode())


def limit_sql(seconds: float) -> str:
    return f"SET LOCAL statement_timeout = {max(1, int(seconds * 1000))}"


def guard_statement(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
    """Begin no ORM statement after the request's end; the connection's own limit ends one that is under way."""
    if _end.get() is not None:
        check()
    return execute(sql, params, many, context)


def guard_connection(connection: BaseDatabaseWrapper, **_: Any) -> None:
    """For the signal `connection_created`."""
    if guard_statement not in connection.execute_wrappers:
        connection.execute_wrappers.append(guard_statement)
