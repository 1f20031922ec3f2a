"""Empties the database after a test that committed, in milliseconds.

Django's flush gives each of its tables and their indexes new files by TRUNCATE, makes all permissions anew and has the
storage look at every partition: several hundred milliseconds, seven hundred times. Here the rows are deleted instead,
in one transaction that knows no order of tables, and what migrations made (permissions, content types) stays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import connection
from django.db.utils import ProgrammingError
from django.test import TransactionTestCase
from psycopg import sql

KEPT = frozenset({"auth_permission", "django_content_type"})
PARTS = "SELECT count(*) FROM pg_inherits"
_parts: list[int] = []


def install() -> None:
    """For every test that is not in a transaction of its own; where rows cannot be deleted so, Django's flush."""
    flush: Callable[[Any], None] = TransactionTestCase._fixture_teardown  # type: ignore[attr-defined]

    def teardown(case: Any) -> None:
        if not emptied():
            flush(case)

    TransactionTestCase._fixture_teardown = teardown  # type: ignore[attr-defined]


def emptied() -> bool:
    """Delete the rows; False where that is refused, or where partitions have come or gone, which the flush mends."""
    tables = sorted(set(connection.introspection.django_table_names(only_existing=True, include_views=False)) - KEPT)
    with connection.cursor() as cursor:
        cursor.execute(PARTS)
        parts: int = cursor.fetchone()[0]
        if _parts != [parts]:
            _parts[:] = [parts]
            return False
        deletes = [sql.SQL("DELETE FROM {}").format(sql.Identifier(table)) for table in tables]
        # As a replica: foreign keys and the audit log's own guard ask nothing. Needs a superuser.
        steps = ["BEGIN", "SET LOCAL session_replication_role = replica", *deletes, "COMMIT"]
        try:
            cursor.execute(sql.SQL("; ").join(sql.SQL(step) if isinstance(step, str) else step for step in steps))
        except ProgrammingError:
            connection.close()
            return False
    return True
