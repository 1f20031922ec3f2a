"""The words of what spans say, and which batches wait to be read for them."""

from __future__ import annotations

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

from apps.traces.tiers import detect

# The words out of line: an index scan visits the rows for their keys only, sixty a page instead of eight.
TEXT = """
CREATE TABLE span_text (
    project_id integer NOT NULL,
    trace_id text NOT NULL,
    span_id text NOT NULL,
    start_time timestamptz NOT NULL,
    words tsvector NOT NULL
)
"""
INDEXES = (
    "CREATE UNIQUE INDEX span_text_identity ON span_text (trace_id, span_id, start_time, project_id)",
    "CREATE INDEX span_text_words ON span_text USING gin (words)",
)
HYPERTABLE = "SELECT create_hypertable('span_text', by_range('start_time', INTERVAL '1 day'), create_default_indexes => false)"
# `at` is the `ingested_at` of the spans that the batch wrote (NULL: all spans of the range); `replaced` says that some
# were there before. Lives for seconds, as span_mark does.
MARK = """
CREATE TABLE text_mark (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id integer NOT NULL,
    lo timestamptz NOT NULL,
    hi timestamptz NOT NULL,
    at timestamptz DEFAULT now(),
    spans integer NOT NULL,
    replaced boolean NOT NULL DEFAULT false,
    CONSTRAINT text_mark_range CHECK (lo < hi)
) WITH (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 20000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 5000
)
"""
# What is stored already, folded or not, is read by and by, newest first: marks are taken in the order of their numbers.
BACKLOG = """
WITH p AS (
    SELECT project_id, min(first) AS first, max(last) AS last FROM (
        SELECT project_id, min(first_start) AS first, max(last_start) AS last FROM trace GROUP BY project_id
        UNION ALL
        SELECT project_id, min(lo), max(hi) FROM span_mark GROUP BY project_id
    ) known GROUP BY project_id
)
INSERT INTO text_mark (project_id, lo, hi, at, spans)
SELECT p.project_id, d.lo, d.lo + interval '15 minutes', NULL, 25000
FROM p CROSS JOIN LATERAL (
    SELECT least(p.last, now() + interval '1 day') AS last, greatest(p.first, now() - interval '400 days') AS first
) b CROSS JOIN LATERAL generate_series(
    to_timestamp(floor(extract(epoch FROM b.last) / 900) * 900),
    to_timestamp(floor(extract(epoch FROM b.first) / 900) * 900),
    interval '-15 minutes'
) AS d (lo)
WHERE EXISTS (SELECT 1 FROM span s WHERE s.project_id = p.project_id AND s.start_time >= d.lo
    AND s.start_time < d.lo + interval '15 minutes')
ORDER BY d.lo DESC
"""


def create(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    hypertables = detect(editor.connection).hypertables
    if hypertables:
        editor.execute(f"{TEXT} WITH (toast_tuple_target = 128)")
        editor.execute(HYPERTABLE)
    else:
        editor.execute(f"{TEXT} PARTITION BY RANGE (start_time)")
    for sql in (*INDEXES, MARK, BACKLOG):
        editor.execute(sql)


def drop(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    editor.execute("DROP TABLE IF EXISTS text_mark, span_text")


class Migration(migrations.Migration):
    dependencies = [("traces", "0006_session")]

    operations = [migrations.RunPython(create, drop)]
