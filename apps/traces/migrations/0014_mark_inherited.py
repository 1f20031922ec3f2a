"""Marks say whether what spans take over from their traces may have changed: by new costs or scores it has not."""

from __future__ import annotations

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("traces", "0013_score_cell")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE span_mark ADD COLUMN inherited boolean NOT NULL DEFAULT true",
            "ALTER TABLE span_mark DROP COLUMN inherited",
        )
    ]
