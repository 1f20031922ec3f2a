"""The traces that last long: a search asks how far behind a time the spans of traces may lie that began before it."""

from __future__ import annotations

from django.db import migrations

LONG = (
    "CREATE INDEX trace_long ON trace (project_id, first_start, last_start)"
    " WHERE last_start - first_start > interval '1 hour'"
)


class Migration(migrations.Migration):
    dependencies = [("traces", "0008_score_content")]

    operations = [migrations.RunSQL(LONG, "DROP INDEX trace_long")]
