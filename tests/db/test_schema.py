"""The tables in the database are the declared ones."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.db import connection

from apps.traces.columns import CONTENT_COLUMNS, IDENTITY, SPAN_COLUMNS, Column
from apps.traces.models import Span, SpanContent, SpanMark, Trace
from apps.traces.summary import SUMMARY

pytestmark = pytest.mark.django_db


def _stored(table: str) -> list[Column]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT attname, format_type(atttypid, atttypmod), NOT attnotnull FROM pg_attribute"
            " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            [table],
        )
        short = {"timestamp with time zone": "timestamptz"}
        return [Column(name, short.get(kind, kind), null) for name, kind, null in cursor.fetchall()]


def test_the_span_table_has_the_declared_columns() -> None:
    assert _stored("span") == [*SPAN_COLUMNS, Column("ingested_at", "timestamptz", False)]


def test_the_content_table_has_the_declared_columns() -> None:
    assert _stored("span_content") == list(CONTENT_COLUMNS)


def test_the_trace_table_holds_exactly_what_the_summary_computes() -> None:
    assert [column.name for column in _stored("trace")] == ["project_id", "trace_id", *SUMMARY]


@pytest.mark.parametrize("model", [Span, SpanContent, SpanMark, Trace])
def test_the_models_read_every_column(model: type) -> None:
    meta = apps.get_model("traces", model.__name__)._meta
    fields = {field.column: field for field in meta.concrete_fields if field.column}
    stored = _stored(meta.db_table)
    assert set(fields) == {column.name for column in stored}
    assert {name for name, field in fields.items() if field.null} == {c.name for c in stored if c.null}


def _indexes(table: str) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = %s::regclass",
            [table],
        )
        return {row[0].partition(" USING ")[2] + (" unique" if " UNIQUE " in row[0] else "") for row in cursor}


def test_the_hot_table_has_two_indexes_and_no_more() -> None:
    identity = f"btree ({', '.join(IDENTITY)}) unique"
    assert _indexes("span") == {identity, "btree (project_id, start_time DESC)"}
    assert _indexes("span_content") == {identity}


def test_there_is_no_unmade_migration() -> None:
    from django.core.management import call_command

    call_command("makemigrations", "traces", check=True, dry_run=True, verbosity=0)
