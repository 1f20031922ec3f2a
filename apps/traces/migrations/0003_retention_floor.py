"""From which moment on each table is still whole; outlives changes of the retention settings."""

from __future__ import annotations

from django.db import migrations

# Project 0 stands for all projects.
FLOOR = """
CREATE TABLE retention_floor (
    relation text NOT NULL,
    project_id integer NOT NULL,
    floor timestamptz NOT NULL,
    PRIMARY KEY (relation, project_id)
)
"""


class Migration(migrations.Migration):
    dependencies = [("traces", "0002_models")]

    operations = [migrations.RunSQL(FLOOR, "DROP TABLE retention_floor")]
