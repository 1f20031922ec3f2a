"""CSV of PostgreSQL's COPY and of this house's writer, byte for byte: a file may be made of either."""

from __future__ import annotations

import io
import math
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.common.reads.spreadsheets import harmless_sql
from apps.exports.formats import writer_for
from apps.exports.formats.values import number_text
from apps.exports.spec import Column
from tests.exports.test_formats import AWKWARD, TEXTS, VALUES

pytestmark = pytest.mark.django_db
COLUMNS = (
    Column("name", "text"),
    Column("id", "text", risky=False),
    Column("tokens", "integer"),
    Column("ratio", "number"),
    Column("usd", "usd"),
    Column("at", "time"),
    Column("billable", "boolean"),
    Column("tags", "texts"),
)
# How a statement has to write each type; a division would round what is long.
SQL = (
    f"{harmless_sql('name')}, id, tokens, ratio, trim_scale(amount * 0.000000000001),"
    " to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), billable::text, to_json(tags)"
)
# What both write with the same digits.
SHORT = st.integers(-(10**15) + 1, 10**15 - 1).flatmap(
    lambda digits: st.integers(-20, 0).map(lambda exponent: float(f"{digits}e{exponent}"))
)
ROWS = st.lists(
    st.tuples(*(st.none() | (SHORT if c.type == "number" else VALUES[c.type]) for c in COLUMNS)), max_size=20
)
QUICK = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


TABLE = (
    "CREATE TEMP TABLE IF NOT EXISTS copied (n serial, name text, id text, tokens bigint, ratio float8, amount numeric,"
    " at timestamptz, billable boolean, tags text[]) ON COMMIT DROP"
)
INSERT = (
    "INSERT INTO copied (name, id, tokens, ratio, amount, at, billable, tags) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
)


def copied(rows: list[Any]) -> bytes:
    with connection.cursor() as cursor:
        cursor.execute(TABLE)
        cursor.execute("DELETE FROM copied")
        cursor.executemany(INSERT, [(*row[:4], row[4] and row[4].scaleb(12), *row[5:]) for row in rows])
        raw: Any = cursor.cursor
        with raw.copy(f"COPY (SELECT {SQL} FROM copied ORDER BY n) TO STDOUT (FORMAT csv)") as copy:
            return b"".join(bytes(block) for block in copy)


def ours(rows: list[Any]) -> bytes:
    out = io.BytesIO()
    writer = writer_for("csv", "none", COLUMNS, out)
    writer.write(rows)
    writer.close()
    return out.getvalue().split(b"\n", 1)[1]


@QUICK
@given(ROWS)
def test_rows_are_written_as_copy_writes_them(rows: list[Any]) -> None:
    assert ours(rows) == copied(rows)


def test_awkward_texts_are_written_as_copy_writes_them() -> None:
    rows = [(text, text, None, None, Decimal("1.50"), None, True, [text]) for text in AWKWARD]
    assert ours(rows) == copied(rows)


@QUICK
@given(st.lists(SHORT | st.sampled_from([math.nan, math.inf, -math.inf, -0.0]), min_size=1, max_size=100))
def test_numbers_are_written_as_the_database_writes_them(values: list[float]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT v::text FROM unnest(%s::float8[]) WITH ORDINALITY AS u (v, n) ORDER BY n", [values])
        assert [row[0] for row in cursor.fetchall()] == [number_text(value) for value in values]


@QUICK
@given(st.lists(st.none() | TEXTS, min_size=1, max_size=20))
def test_copy_reads_what_is_written(texts: list[str | None]) -> None:
    """The database's own reader tells an empty text from none."""
    out = io.BytesIO()
    writer = writer_for("csv", "none", [Column("n", "integer"), Column("t", "text", risky=False)], out)
    writer.write(list(enumerate(texts)))
    writer.close()
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE IF NOT EXISTS read (n integer, t text) ON COMMIT DROP")
        cursor.execute("DELETE FROM read")
        raw: Any = cursor.cursor
        with raw.copy("COPY read FROM STDIN (FORMAT csv, HEADER)") as copy:
            copy.write(out.getvalue())
        cursor.execute("SELECT t FROM read ORDER BY n")
        assert [row[0] for row in cursor.fetchall()] == texts
