"""One row a conversation, folded from the rows of its traces."""

from __future__ import annotations

from django.db import migrations

# As in `trace`, room on the page keeps the updates of a conversation under way off the indexes that do not change.
SESSION = """
CREATE TABLE session (
    project_id integer NOT NULL,
    session_id text NOT NULL,
    first_start timestamptz NOT NULL,
    last_start timestamptz NOT NULL,
    last_end timestamptz NOT NULL,
    last_error boolean NOT NULL,
    end_time timestamptz NOT NULL,
    duration_us bigint NOT NULL,
    turns integer NOT NULL,
    error_turns integer NOT NULL,
    request_count bigint NOT NULL,
    error_count bigint NOT NULL,
    user_id text,
    users integer NOT NULL,
    environment text,
    prompt_tokens bigint,
    completion_tokens bigint,
    total_tokens bigint,
    cached_tokens bigint,
    reasoning_tokens bigint,
    total_cost numeric,
    prompt_cost numeric,
    completion_cost numeric,
    resolved boolean,
    resolved_at timestamptz,
    PRIMARY KEY (project_id, session_id)
) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05)
"""
FILL = """
INSERT INTO session (
    project_id, session_id, first_start, last_start, last_end, last_error, end_time, duration_us, turns, error_turns,
    request_count, error_count, user_id, users, environment, prompt_tokens, completion_tokens, total_tokens,
    cached_tokens, reasoning_tokens, total_cost, prompt_cost, completion_cost
)
SELECT t.project_id, t.session_id, min(t.first_start), max(t.first_start),
    (array_agg(t.end_time ORDER BY t.first_start DESC, t.trace_id DESC))[1],
    (array_agg(coalesce(t.root_status = 'error', t.error_count > 0) ORDER BY t.first_start DESC, t.trace_id DESC))[1],
    max(t.end_time), (extract(epoch FROM max(t.end_time) - min(t.first_start)) * 1000000)::bigint,
    count(*)::integer, (count(*) FILTER (WHERE coalesce(t.root_status = 'error', t.error_count > 0)))::integer,
    sum(t.request_count), sum(t.error_count),
    (array_agg(t.user_id ORDER BY t.first_start, t.trace_id) FILTER (WHERE t.user_id IS NOT NULL))[1],
    count(DISTINCT t.user_id)::integer,
    (array_agg(t.environment ORDER BY t.first_start, t.trace_id) FILTER (WHERE t.environment IS NOT NULL))[1],
    sum(t.prompt_tokens)::bigint, sum(t.completion_tokens)::bigint, sum(t.total_tokens)::bigint,
    sum(t.cached_tokens)::bigint, sum(t.reasoning_tokens)::bigint,
    sum(t.total_cost), sum(t.prompt_cost), sum(t.completion_cost)
FROM trace t WHERE t.session_id IS NOT NULL
GROUP BY t.project_id, t.session_id
"""
INDEXES = (
    "CREATE INDEX session_project_start ON session (project_id, first_start DESC)",
    "CREATE INDEX session_project_end ON session (project_id, end_time DESC)",
    "CREATE INDEX session_project_user ON session (project_id, user_id, first_start DESC) WHERE user_id IS NOT NULL",
    # Conversations whose verdict was given in a minute that changed.
    "CREATE INDEX session_resolved ON session (project_id, resolved_at) WHERE resolved_at IS NOT NULL",
)


class Migration(migrations.Migration):
    dependencies = [("traces", "0005_trace_lists")]

    operations = [
        migrations.RunSQL(
            [SESSION, FILL, *INDEXES],
            "DROP TABLE session",
        )
    ]
