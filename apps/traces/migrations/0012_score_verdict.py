"""The verdicts about a session, latest first, by an index that no plan can do better without.

Before the table has statistics, a session's verdict was looked for along the times of all scores: minutes for a fold of
half a million sessions.
"""

from __future__ import annotations

from django.db import migrations

INDEX = """
CREATE INDEX score_verdict ON score (session_id, project_id, timestamp DESC, id DESC)
WHERE name = 'resolved' AND data_type = 'boolean' AND session_id IS NOT NULL
"""


class Migration(migrations.Migration):
    dependencies = [("traces", "0011_trace_values")]

    operations = [migrations.RunSQL(INDEX, "DROP INDEX score_verdict")]
