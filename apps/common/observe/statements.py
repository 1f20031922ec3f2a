"""Every statement's time: into a histogram, and into the log where it is slow. Failures are counted by kind.

Django's cursors come here by an execute wrapper (analytics_hub.db), bare psycopg cursors by being a `MeteredCursor`.
A slow statement is told with its placeholders: no parameter, and no text that stands in quotes.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any, Self, TypeVar

import psycopg
from django.conf import settings
from django.db import Error as DjangoDatabaseError
from psycopg import sql as composed
from psycopg_pool import PoolTimeout

from apps.common.observe import telemetry

logger = logging.getLogger("hub.sql")
Row = TypeVar("Row", covariant=True)

LONGEST = 2_000
_OPERATIONS = frozenset({"select", "insert", "update", "delete", "copy", "merge", "refresh"})
_FIRST_WORD = re.compile(r"[\s(]*([A-Za-z]+)")
_IN_QUOTES = re.compile(r"'(?:[^']|'')*(?:'|$)")
_BLANKS = re.compile(r"\s+")
_KINDS = {"57014": "timeout", "55P03": "lock", "40001": "conflict", "40P01": "conflict"}


def operation_of(text: str) -> str:
    """The statement's first word, of a fixed list; what begins WITH reads, as nearly always."""
    found = _FIRST_WORD.match(text)
    word = found[1].lower() if found else ""
    if word == "with":
        return "select"
    return word if word in _OPERATIONS else "other"


def kind_of(error: BaseException) -> str:
    """Why a statement or a connection failed, of a fixed list."""
    cause = error.__cause__ if isinstance(error.__cause__, psycopg.Error) else error
    if isinstance(cause, PoolTimeout):
        return "pool"
    state = getattr(cause, "sqlstate", None) or ""
    if state in _KINDS:
        return _KINDS[state]
    if state.startswith("23"):
        return "constraint"
    lost = not state and isinstance(cause, (psycopg.OperationalError, psycopg.InterfaceError))
    return "connection" if lost or state.startswith(("08", "57P", "53")) else "other"


def shown(text: str) -> str:
    """A statement as the log has it: on one line, cut, and with `?` for whatever stands in quotes."""
    return _BLANKS.sub(" ", _IN_QUOTES.sub("?", text[: LONGEST * 2])).strip()[:LONGEST]


@contextmanager
def timed(statement: Any) -> Iterator[None]:
    """Time what a statement does."""
    begun = perf_counter()
    try:
        yield
    except (psycopg.Error, DjangoDatabaseError) as error:
        telemetry.database_failed(kind_of(error))
        raise
    finally:
        _done(statement, perf_counter() - begun)


def _done(statement: Any, seconds: float) -> None:
    text = _text(statement)
    operation = operation_of(text)
    telemetry.statement_done(operation, seconds)
    limit: int = settings.HUB.slow_query_ms
    if limit and seconds * 1000 >= limit:
        statement_shown, milliseconds = shown(text), round(seconds * 1000, 1)
        extra = {"operation": operation, "ms": milliseconds, "statement": statement_shown}
        logger.warning("slow statement, %s ms: %s", milliseconds, statement_shown, extra={"hub": extra})


def _text(statement: Any) -> str:
    if isinstance(statement, bytes):
        return statement.decode("utf-8", errors="replace")
    if isinstance(statement, composed.Composable):
        return statement.as_string(None)
    return str(statement)


def execute_wrapper(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
    """Django's hook around each statement of its cursors."""
    with timed(sql):
        return execute(sql, params, many, context)


class MeteredCursor(psycopg.Cursor[Row]):
    """A psycopg cursor whose statements are timed, for code that needs more than Django's cursors give."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> Self:
        with timed(query):
            super().execute(query, params, **options)
        return self

    def executemany(self, query: Any, params_seq: Any, **options: Any) -> None:
        with timed(query):
            super().executemany(query, params_seq, **options)
