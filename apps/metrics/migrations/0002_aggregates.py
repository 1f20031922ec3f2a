"""On TimescaleDB's community edition the coarser usage cells are continuous aggregates over the minute cells."""

from __future__ import annotations

from pathlib import Path

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

from apps.traces.tiers import Tier, detect

SQL = Path(__file__).resolve().parent / "sql"


def create(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    if detect(editor.connection) is Tier.TIMESCALE:
        for statement in (SQL / "timescale.sql").read_text(encoding="utf-8").split(";\n"):
            if statement.strip():
                editor.execute(statement, params=None)


def drop(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    """Without what they hold: the first migration's reverse drops the tables that are left."""
    if detect(editor.connection) is Tier.TIMESCALE:
        for name in ("usage_1d", "usage_1h", "usage_15m"):
            editor.execute(f"DROP MATERIALIZED VIEW {name}")


class Migration(migrations.Migration):
    dependencies = [("metrics", "0001_initial")]

    operations = [migrations.RunPython(create, drop)]
