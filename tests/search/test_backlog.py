"""What the migration leaves for the index of words to read: all that is stored, folded or not."""

from __future__ import annotations

import importlib
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from apps.traces.writer import write
from tests.support.spans import span_row, us

migration = importlib.import_module("apps.traces.migrations.0007_span_text")


@pytest.mark.django_db
def test_spans_that_no_refresh_has_folded_are_read_too() -> None:
    recent = datetime.now(UTC) - timedelta(hours=3)
    write([span_row(project_id=7, start_us=us(recent), input="hello")])
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM text_mark")
        cursor.execute(migration.BACKLOG)
        cursor.execute("SELECT project_id, lo <= %s AND hi > %s FROM text_mark", [recent, recent])
        assert cursor.fetchall() == [(7, True)]
