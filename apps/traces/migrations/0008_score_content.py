"""Scores with content, in the order in which it expires."""

from __future__ import annotations

from django.db import migrations

INDEX = """
CREATE INDEX score_content ON score (project_id, timestamp) WHERE comment IS NOT NULL OR metadata IS NOT NULL
"""


class Migration(migrations.Migration):
    dependencies = [("traces", "0007_span_text")]

    operations = [migrations.RunSQL(INDEX, "DROP INDEX score_content")]
