"""Cells of requests without a cost, as frozen SQL. What is stored already is marked, so that the refresh makes its cells anew."""

from __future__ import annotations

from pathlib import Path

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

SQL = Path(__file__).resolve().parent / "sql"
# Marked minutes are read from raw spans until the refresh has been there, two days a pass; buckets without a mark are
# empty, so these cells count as built up to now. Without the watermarks the first pass would build all hours at once.
_MARK = """
INSERT INTO span_mark (project_id, lo, hi)
SELECT project_id, date_trunc('day', min(start_time), 'UTC'), date_trunc('day', max(start_time), 'UTC') + interval '1 day'
FROM span GROUP BY project_id
"""
_BUILT = """
INSERT INTO rollup_state (rollup, watermark)
SELECT n.name, date_trunc(n.unit, now(), 'UTC') FROM (VALUES ('unpriced_1h', 'hour'), ('unpriced_1d', 'day')) AS n (name, unit)
WHERE EXISTS (SELECT FROM span)
ON CONFLICT DO NOTHING
"""


def create(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    editor.execute((SQL / "unpriced.sql").read_text(encoding="utf-8"), params=None)
    editor.execute(_MARK, params=None)
    editor.execute(_BUILT, params=None)


def drop(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    editor.execute("DROP TABLE IF EXISTS unpriced_1h, unpriced_1d", params=None)
    editor.execute("DELETE FROM rollup_state WHERE rollup IN ('unpriced_1h', 'unpriced_1d')", params=None)


class Migration(migrations.Migration):
    dependencies = [("metrics", "0003_tags")]

    operations = [migrations.RunPython(create, drop)]
