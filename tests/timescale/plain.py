"""Tables as they are where the TimescaleDB extension came to the server after them."""

from __future__ import annotations

import importlib
from pathlib import Path

from django.db import connection

from apps.metrics import compile_timescale, schema
from apps.metrics.rollups import ROLLUPS

frozen = importlib.import_module("apps.traces.migrations.0001_initial")
words = importlib.import_module("apps.traces.migrations.0007_span_text")


def plain_spans() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE span; DROP TABLE span_content; DROP TABLE span_text")
        for sql in (frozen.SPAN, frozen.CONTENT, words.TEXT):
            cursor.execute(f"{sql} PARTITION BY RANGE (start_time)")
        for sql in (*frozen.INDEXES, *words.INDEXES):
            cursor.execute(sql)


def plain_cells() -> bool:
    """Whether these were continuous aggregates, so that `aggregates` has to bring them back."""
    with connection.cursor() as cursor:
        if not compile_timescale.in_use(cursor):
            return False
        for name in reversed(compile_timescale.AGGREGATES):
            cursor.execute(f"DROP MATERIALIZED VIEW {name}")
        cursor.execute("DROP TABLE usage_1m")
        for name in sorted(compile_timescale.HYPERTABLES):
            _each(schema.create_table(ROLLUPS[name]))
    return True


def aggregates() -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE usage_1m")
    _each(Path(schema.FROZEN, "timescale.sql").read_text(encoding="utf-8"))


def _each(script: str) -> None:
    with connection.cursor() as cursor:
        for statement in script.split(";\n"):
            if statement.strip():
                cursor.execute(statement)
