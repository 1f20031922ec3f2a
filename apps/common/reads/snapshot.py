"""One state of the database for everything that an answer is made from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import psycopg
from django.db import connection, transaction

from apps.common.edge.deadline import TimedCursor

# The workers of a parallel plan take some 10 ms to start, more on a busy machine. PostgreSQL thinks it next to nothing
# and starts them for statements of 20 ms.
_SEQUENTIAL = "SET LOCAL parallel_setup_cost = 30000; "


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
            cursor.begin(f"{begin}{_SEQUENTIAL}")
            yield cursor
