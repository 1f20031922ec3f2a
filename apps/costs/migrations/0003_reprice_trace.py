"""What a repricing keeps of a trace, found when the trace is deleted."""

from __future__ import annotations

from django.db import migrations

INDEX = "CREATE INDEX reprice_change_trace ON reprice_change (trace_id, project_id)"


class Migration(migrations.Migration):
    dependencies = [("costs", "0002_price_book")]

    operations = [migrations.RunSQL(INDEX, "DROP INDEX reprice_change_trace")]
