"""Scores: verdicts on traces, spans and sessions."""

from __future__ import annotations

from django.db import migrations

# An ordinary table on every storage tier: scores are few beside spans, and a later write may replace any of them.
SCORE = """
CREATE TABLE score (
    project_id integer NOT NULL,
    id text NOT NULL,
    name text NOT NULL,
    data_type text NOT NULL,
    value double precision,
    label text,
    trace_id text,
    span_id text,
    session_id text,
    source text NOT NULL,
    author text,
    comment text,
    metadata jsonb,
    environment text,
    timestamp timestamptz NOT NULL,
    derived boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project_id, id),
    CONSTRAINT score_data_type CHECK (data_type IN ('numeric', 'categorical', 'boolean')),
    CONSTRAINT score_source CHECK (source IN ('api', 'human', 'evaluator')),
    CONSTRAINT score_value CHECK ((data_type = 'categorical') = (value IS NULL)),
    CONSTRAINT score_label CHECK ((data_type = 'categorical') <= (label IS NOT NULL)),
    CONSTRAINT score_judged CHECK (trace_id IS NOT NULL OR (session_id IS NOT NULL AND span_id IS NULL))
)
"""
INDEXES = (
    # Names that occur, one name's series.
    "CREATE INDEX score_project_name_time ON score (project_id, name, timestamp)",
    # The list, newest first, and what retention removes.
    "CREATE INDEX score_project_time ON score (project_id, timestamp DESC, id DESC)",
    "CREATE INDEX score_trace ON score (project_id, trace_id) WHERE trace_id IS NOT NULL",
    "CREATE INDEX score_session ON score (project_id, session_id) WHERE session_id IS NOT NULL",
)


class Migration(migrations.Migration):
    dependencies = [("traces", "0003_retention_floor")]

    operations = [migrations.RunSQL([SCORE, *INDEXES], "DROP TABLE score")]
