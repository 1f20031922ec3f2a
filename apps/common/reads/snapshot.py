"""One state of the database for everything that an answer is made from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import psycopg
from django.db import connection, transaction

from apps.common.edge.deadline import TimedCursor


@contextmanager
def snapshot() -> Iterator[psycopg.Cursor[Any]]:
    """A cursor in one read-only snapshot whose statements end with the request's time.

    Inside a transaction that is already open (tests) its isolation is taken as it is.
    """
    nested = connection.in_atomic_block
    with transaction.atomic():
        raw = cast("psycopg.Connection[Any]", connection.connection)
        begin = "" if nested else "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY; "
        # Django's own cursors note broken connections; a bare one has to be watched for it.
        with connection.wrap_database_errors, TimedCursor(raw) as cursor:
            cursor.begin(begin)
            yield cursor
