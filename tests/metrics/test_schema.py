"""The declarations, the frozen SQL and the database agree; expired cells go and nothing else does."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from apps.metrics import compile_timescale, retention, schema
from apps.metrics.refresh import refresh
from apps.metrics.rollups import ROLLUPS
from apps.traces.writer import write
from tests.support.cells import all_cells
from tests.support.spans import T0, T0_US, span_row


def test_the_frozen_sql_is_what_is_declared() -> None:
    call_command("makerollups", "--check")


def test_drift_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "create_sql", lambda: "CREATE TABLE other ();")
    with pytest.raises(CommandError, match="add a migration"):
        call_command("makerollups", "--check")


@pytest.mark.django_db
@pytest.mark.parametrize("name", list(ROLLUPS))
def test_tables_have_the_declared_columns(name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute "
            "WHERE attrelid = to_regclass(%s) AND attnum > 0 ORDER BY attnum",
            [name],
        )
        found = [
            (column, kind.replace("timestamp with time zone", "timestamptz")) for column, kind in cursor.fetchall()
        ]
    assert found == [(column, kind) for column, kind, _ in schema.columns(ROLLUPS[name])]


@pytest.mark.usefixtures("empty_cells")
def test_cells_go_by_their_own_retention_and_mark_nothing() -> None:
    write([span_row(user_id="u", start_us=T0_US - n * 86_400_000_000) for n in (0, 1)])
    refresh(T0 + timedelta(days=2))
    before = all_cells()
    assert retention.expire_cells(T0 + timedelta(days=30)) == {}
    retention.expire_cells(T0 + timedelta(days=96))
    after = all_cells()
    short = {"usage_1m", "users_1h", "users_project_1h", "sessions_1h", "sessions_project_1h", "tags_1h"}
    assert {name for name in before if after[name] != before[name]} == short
    retention.expire_cells(T0 + timedelta(days=1095, hours=10))
    with connection.cursor() as cursor:
        aggregates = compile_timescale.in_use(cursor)
    # An aggregate loses whole chunks, each of ten of the minutes' weeks.
    assert len(all_cells()["usage_1d"]) == (2 if aggregates else 1)
    retention.expire_cells(T0 + timedelta(days=1095 + 70))
    assert all_cells()["usage_1d"] == []
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM span_mark")
        assert cursor.fetchone() == (0,)
