"""Sums and histograms of the conversations that began in an hour."""

from __future__ import annotations

from django.db import migrations

CELL = """
CREATE TABLE session_cell (
    project_id integer NOT NULL,
    bucket timestamptz NOT NULL,
    environment text NOT NULL,
    conversations bigint NOT NULL,
    turns bigint NOT NULL,
    error_turns bigint NOT NULL,
    failed bigint NOT NULL,
    last_errors bigint NOT NULL,
    judged bigint NOT NULL,
    resolved bigint NOT NULL,
    duration_us numeric NOT NULL,
    costed bigint NOT NULL,
    total_cost numeric NOT NULL,
    tokened bigint NOT NULL,
    total_tokens numeric NOT NULL,
    turn_values integer[] NOT NULL,
    turn_counts bigint[] NOT NULL,
    duration_bins integer[] NOT NULL,
    duration_counts bigint[] NOT NULL,
    cost_bins integer[] NOT NULL,
    cost_counts bigint[] NOT NULL,
    PRIMARY KEY (project_id, bucket, environment)
) WITH (autovacuum_vacuum_scale_factor = 0.02)
"""
# Conversations that were there before: their minutes are folded anew, and their cells with them.
MARK = """
INSERT INTO span_mark (project_id, lo, hi)
SELECT project_id, date_trunc('minute', min(first_start), 'UTC'),
    date_trunc('minute', max(last_start), 'UTC') + interval '1 minute'
FROM session GROUP BY project_id
"""


class Migration(migrations.Migration):
    dependencies = [("traces", "0009_trace_long")]

    operations = [migrations.RunSQL([CELL, MARK], "DROP TABLE session_cell")]
