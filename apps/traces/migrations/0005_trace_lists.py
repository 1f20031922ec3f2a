"""What lists of traces are sorted and found by, the kinds of a trace's spans, and what has been deleted."""

from __future__ import annotations

from django.db import migrations

KINDS = (
    "ALTER TABLE trace ADD COLUMN kinds text[] NOT NULL DEFAULT '{}'",
    """
    UPDATE trace t SET kinds = k.kinds
    FROM (
        SELECT s.project_id, s.trace_id, array_agg(DISTINCT s.kind ORDER BY s.kind) AS kinds
        FROM span s GROUP BY s.project_id, s.trace_id
    ) k
    WHERE k.project_id = t.project_id AND k.trace_id = t.trace_id
    """,
)
# By value and then by time: of a short range whose traces are spread over the values, the index alone says which are
# in it. What has no value comes last in either direction and is read by time.
INDEXES = {
    "trace_project_user": "(project_id, user_id, first_start DESC) WHERE user_id IS NOT NULL",
    "trace_project_session": "(project_id, session_id, first_start DESC) WHERE session_id IS NOT NULL",
    "trace_project_cost": "(project_id, total_cost, first_start) WHERE total_cost IS NOT NULL",
    "trace_project_duration": "(project_id, duration_us, first_start)",
    "trace_project_tokens": "(project_id, total_tokens, first_start) WHERE total_tokens IS NOT NULL",
}
# A transaction below `horizon` may not have seen the tombstone; NULL until it has stood for long enough.
TOMBSTONES = (
    """
    CREATE TABLE trace_tombstone (
        project_id integer NOT NULL,
        trace_id text NOT NULL,
        at timestamptz NOT NULL DEFAULT clock_timestamp(),
        horizon xid8,
        swept boolean NOT NULL DEFAULT false,
        PRIMARY KEY (project_id, trace_id)
    )
    """,
    "CREATE INDEX trace_tombstone_open ON trace_tombstone (at) WHERE NOT swept",
    """
    CREATE TABLE user_deletion (
        project_id integer NOT NULL,
        user_id text NOT NULL,
        at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (project_id, user_id)
    )
    """,
)
CREATE = [*KINDS, *(f"CREATE INDEX {name} ON trace {what}" for name, what in INDEXES.items()), *TOMBSTONES]
DROP = [
    "DROP TABLE user_deletion, trace_tombstone",
    f"DROP INDEX {', '.join(INDEXES)}",
    "ALTER TABLE trace DROP COLUMN kinds",
]


class Migration(migrations.Migration):
    dependencies = [("traces", "0004_score")]

    operations = [migrations.RunSQL(CREATE, DROP)]
