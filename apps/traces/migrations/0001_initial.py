"""The span tables, the marks and the trace summaries, as frozen SQL for each storage tier."""

from __future__ import annotations

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

from apps.traces.tiers import install_extension

SPAN = """
CREATE TABLE span (
    project_id integer NOT NULL,
    trace_id text NOT NULL,
    span_id text NOT NULL,
    start_time timestamptz NOT NULL,
    duration_us bigint NOT NULL,
    parent_span_id text,
    name text NOT NULL,
    kind text NOT NULL,
    billable boolean NOT NULL,
    status text NOT NULL,
    provider text,
    model text,
    request_model text,
    environment text,
    team text,
    user_id text,
    session_id text,
    error_type text,
    error_message text,
    ttft_us bigint,
    prompt_tokens bigint,
    completion_tokens bigint,
    total_tokens bigint,
    cached_tokens bigint,
    cache_write_tokens bigint,
    reasoning_tokens bigint,
    prompt_cost bigint,
    completion_cost bigint,
    total_cost bigint,
    client_cost bigint,
    computed_cost bigint,
    cost_source text NOT NULL,
    unpriced_reason text,
    price_version_id text,
    usage jsonb,
    tags text[],
    labels jsonb,
    flags integer NOT NULL,
    attribute_count integer NOT NULL,
    content_hash bigint NOT NULL,
    ingested_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT span_duration CHECK (duration_us >= 0)
)
"""
CONTENT = """
CREATE TABLE span_content (
    project_id integer NOT NULL,
    trace_id text NOT NULL,
    span_id text NOT NULL,
    start_time timestamptz NOT NULL,
    input text,
    output text,
    attributes jsonb,
    events jsonb
)
"""
INDEXES = (
    "CREATE UNIQUE INDEX span_identity ON span (trace_id, span_id, start_time, project_id)",
    "CREATE INDEX span_project_time ON span (project_id, start_time DESC)",
    "CREATE UNIQUE INDEX span_content_identity ON span_content (trace_id, span_id, start_time, project_id)",
)
HYPERTABLE = (
    "SELECT create_hypertable(%s::regclass, by_range('start_time', INTERVAL '1 day'), create_default_indexes => false)"
)
# Marks live for seconds and go in bulk: vacuum by count, not by share of the table.
MARK = """
CREATE TABLE span_mark (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id integer NOT NULL,
    lo timestamptz NOT NULL,
    hi timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT span_mark_range CHECK (lo < hi)
) WITH (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 20000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 5000
)
"""
# A trace's row is rewritten while its spans come in: room on the page keeps those updates off the indexes.
TRACE = """
CREATE TABLE trace (
    project_id integer NOT NULL,
    trace_id text NOT NULL,
    first_start timestamptz NOT NULL,
    last_start timestamptz NOT NULL,
    end_time timestamptz NOT NULL,
    root_span_id text,
    root_name text,
    root_status text,
    user_id text,
    session_id text,
    environment text,
    team text,
    tags text[],
    span_count integer NOT NULL,
    request_count integer NOT NULL,
    error_count integer NOT NULL,
    duration_us bigint NOT NULL,
    prompt_tokens bigint,
    completion_tokens bigint,
    total_tokens bigint,
    cached_tokens bigint,
    reasoning_tokens bigint,
    total_cost numeric,
    prompt_cost numeric,
    completion_cost numeric,
    models text[] NOT NULL,
    providers text[] NOT NULL,
    PRIMARY KEY (project_id, trace_id)
) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05)
"""
TRACE_INDEX = "CREATE INDEX trace_project_start ON trace (project_id, first_start DESC)"


def create(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    tier = install_extension(editor.connection)
    for table, sql in (("span", SPAN), ("span_content", CONTENT)):
        editor.execute(sql if tier.hypertables else f"{sql} PARTITION BY RANGE (start_time)")
        if tier.hypertables:
            editor.execute(HYPERTABLE, [table])
    for sql in (*INDEXES, MARK, TRACE, TRACE_INDEX):
        editor.execute(sql)


def drop(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    editor.execute("DROP TABLE IF EXISTS trace, span_mark, span_content, span")


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.RunPython(create, drop),
    ]
