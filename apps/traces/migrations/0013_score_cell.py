"""What scores judge, kept beside them.

Scores that are there already get their cells by the next refreshes; until then answers look at them themselves.
"""

from __future__ import annotations

from django.db import migrations

CELL = """
CREATE TABLE score_cell (
    project_id integer NOT NULL,
    id text NOT NULL,
    timestamp timestamptz NOT NULL,
    name text NOT NULL,
    data_type text NOT NULL,
    value double precision,
    label text,
    trace_id text,
    user_id text,
    session_id text,
    environment text NOT NULL,
    team text,
    provider text,
    model text,
    span_name text,
    kind text,
    status text,
    PRIMARY KEY (project_id, id)
)
"""
INDEXES = (
    "CREATE INDEX score_cell_project_name_time ON score_cell (project_id, name, timestamp)",
    "CREATE INDEX score_cell_project_time ON score_cell (project_id, timestamp)",
)
MARK = """
CREATE TABLE score_mark (
    project_id integer NOT NULL PRIMARY KEY,
    lo timestamptz NOT NULL,
    hi timestamptz NOT NULL
)
"""
EARLIER = """
INSERT INTO score_mark (project_id, lo, hi)
SELECT project_id, date_trunc('day', min(timestamp), 'UTC'), date_trunc('day', max(timestamp), 'UTC') + interval '1 day'
FROM score GROUP BY project_id
"""


class Migration(migrations.Migration):
    dependencies = [("traces", "0012_score_verdict")]

    operations = [
        migrations.RunSQL([CELL, *INDEXES], "DROP TABLE score_cell"),
        migrations.RunSQL([MARK, EARLIER], "DROP TABLE score_mark"),
    ]
