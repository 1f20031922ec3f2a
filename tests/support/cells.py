"""Cells in tests: an empty start, what is stored, and what raw spans say should be stored."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from django.db import connection

from apps.metrics import compile_timescale, schema
from apps.metrics.rollups import ROLLUPS
from tests.support.spans import clear_spans


def clear_cells() -> None:
    """Empty the spans and everything made from them, the ledger's memory included."""
    clear_spans()
    with connection.cursor() as cursor:
        aggregates = compile_timescale.AGGREGATES if compile_timescale.in_use(cursor) else ()
        # A few rows are deleted faster than two dozen tables are truncated.
        cursor.execute("; ".join(f"DELETE FROM {name}" for name in schema.tables() if name not in aggregates))
        for name in aggregates:
            cursor.execute(f"TRUNCATE {name}")


def skip_aggregate(name: str) -> None:
    """Skip a test that writes to cells which are a continuous aggregate here."""
    with connection.cursor() as cursor:
        if name in compile_timescale.AGGREGATES and compile_timescale.in_use(cursor):
            pytest.skip("a continuous aggregate cannot be written to")


def cells(name: str) -> list[tuple[Any, ...]]:
    """A rollup's cells, in an order of their own."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {name} c ORDER BY c::text")
        return list(cursor.fetchall())


def all_cells() -> dict[str, list[tuple[Any, ...]]]:
    return {name: cells(name) for name in ROLLUPS}


def marks() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM span_mark")
        return int(cursor.fetchone()[0])


def watermark(name: str) -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT watermark FROM rollup_state WHERE rollup = %s", [name])
        found: datetime = cursor.fetchone()[0]
        return found
