"""The dearest traces of a range, from the `trace` table as it is now."""

from __future__ import annotations

from typing import Any

import psycopg

from apps.metrics.finish import OUTPUTS
from apps.metrics.spec import QuerySpec
from apps.traces.current import current_traces, select
from apps.traces.shown import ENVIRONMENT, STATUS

TOP_TRACES = 10
# A trace is meant where it has the value, or one of its requests has.
_EQUAL = {
    "environment": ENVIRONMENT,
    "user_id": "t.user_id",
    "session_id": "t.session_id",
    "team": "t.team",
    "status": STATUS,
}
_HELD = {"provider": "t.providers", "model": "t.models", "kind": "t.kinds", "tag": "t.tags"}
_COLUMNS = ("t.project_id", "t.trace_id", "t.root_name", "t.first_start", "t.total_cost", "t.request_count")


def top_traces(cursor: psycopg.Cursor[Any], spec: QuerySpec) -> list[dict[str, Any]]:
    """The traces that begin in the range, dearest first; those without a cost are left out."""
    source = current_traces(cursor, spec.project_ids, within=(spec.start, spec.end))
    conditions = ["t.first_start >= %(range_start)s AND t.first_start < %(range_end)s AND t.total_cost IS NOT NULL"]
    values: dict[str, Any] = {"range_start": spec.start, "range_end": spec.end, "most": TOP_TRACES}
    for item in spec.filters:
        name = f"only_{item.field}"
        values[name] = list(item.values)
        column = _EQUAL.get(item.field)
        conditions.append(f"{column} = ANY(%({name})s)" if column else f"{_HELD[item.field]} && %({name})s::text[]")
    order = "t.total_cost DESC, t.first_start DESC, t.project_id DESC, t.trace_id DESC"
    sql = select(source, _COLUMNS, " AND ".join(conditions), order, "%(most)s")
    slugs = dict(spec.projects)
    return [
        {
            "project": slugs[project],
            "trace_id": trace_id,
            "name": name,
            "start_time": start,
            "total_cost_usd": OUTPUTS["usd"](cost / 10**12),
            "requests": requests,
        }
        for project, trace_id, name, start, cost, requests in cursor.execute(
            sql.encode(), {**source.parameters, **values}
        ).fetchall()
    ]
