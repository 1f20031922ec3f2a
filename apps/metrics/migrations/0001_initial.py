"""The cells of the rollups and their ledger, as frozen SQL."""

from __future__ import annotations

from pathlib import Path

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

SQL = Path(__file__).resolve().parent / "sql"


def create(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    editor.execute((SQL / "cells.sql").read_text(encoding="utf-8"), params=None)


def drop(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    editor.execute((SQL / "drop.sql").read_text(encoding="utf-8"), params=None)


class Migration(migrations.Migration):
    initial = True

    dependencies = [("traces", "0001_initial"), ("orgs", "0001_initial")]

    operations = [migrations.RunPython(create, drop)]
