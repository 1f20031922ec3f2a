"""Indexes that find the cells of one user, as frozen SQL."""

from __future__ import annotations

from pathlib import Path

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

SQL = Path(__file__).resolve().parent / "sql"
_NAMES = "users_1h_user, users_1d_user, users_project_1h_user, users_project_1d_user"


def create(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    editor.execute((SQL / "users.sql").read_text(encoding="utf-8"), params=None)


def drop(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    editor.execute(f"DROP INDEX IF EXISTS {_NAMES}", params=None)


class Migration(migrations.Migration):
    dependencies = [("metrics", "0004_unpriced")]

    operations = [migrations.RunPython(create, drop)]
