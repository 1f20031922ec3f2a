"""An index of the values that traces are filtered by: a list of what is rare or not there reads few rows."""

from __future__ import annotations

from django.db import migrations

VALUES = """
CREATE INDEX trace_values ON trace USING gin (
    models, providers, kinds, tags, (ARRAY[root_name]), (ARRAY[coalesce(environment, 'default')])
)
"""


class Migration(migrations.Migration):
    dependencies = [("traces", "0010_session_cell")]

    operations = [migrations.RunSQL(VALUES, "DROP INDEX trace_values")]
