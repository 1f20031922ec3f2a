"""Scores as metrics: from a part of a plan, `score.<name>`, to SQL over the table of scores; and what scores there are.

A score counts at its own time. Its dimensions are those of what it judges: of a span, with what that takes over from
its trace; of a trace, where the provider, model, kind and status are what its billable spans agree on; of a session,
the session alone. What was written since the last refresh is seen: traces are read as they are now.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import psycopg

from apps.metrics.finish import TooManyRows
from apps.metrics.planner import Part, Plan
from apps.metrics.spec import QuerySpec
from apps.metrics.statement import (
    MAX_GROUPS_FETCHED,
    Context,
    Params,
    Statement,
    UnscopedQuery,
    condition,
    grouping,
    quoted,
)
from apps.traces.current import Source, current_traces
from apps.traces.scores_cells import (
    COLUMNS,
    DIMENSIONS,
    JUDGED_TRACE,
    Moments,
    of_trace,
    resolved,
    unsettled,
    with_trace,
)

# What the columns of the cells are called in questions.
_DIMENSIONS = {("name" if name == "span_name" else name): f"x.{name}" for name in ("project_id", *DIMENSIONS)}
_DIMENSIONS["project"] = _DIMENSIONS.pop("project_id")


@dataclass(frozen=True, slots=True)
class _Reading:
    """How the scores of a question are read.

    Args:
        head: what stands in front of SELECT.
        body: FROM and WHERE; a score is `x`.
    """

    head: str
    body: str
    context: Context


def _reading(cursor: psycopg.Cursor[Any], spec: QuerySpec, names: Sequence[str] | None) -> _Reading:
    if not spec.organization_id or not spec.project_ids:
        raise UnscopedQuery("a question about scores without an organization's projects")
    params = Params()
    where = [
        f"x.project_id = ANY({params.bind(list(spec.project_ids), 'integer[]')})",
        f"x.timestamp >= {params.bind(spec.start, 'timestamptz')}",
        f"x.timestamp < {params.bind(spec.end, 'timestamptz')}",
        *([f"x.name = ANY({params.bind(list(names), 'text[]')})"] if names is not None else []),
    ]
    conditions = [condition(params, _DIMENSIONS[item.field], item) for item in spec.filters]
    context = Context(spec, params, None)
    if spec.dimensions <= {"project"}:
        return _Reading("", f"FROM score x WHERE {' AND '.join(where)}", context)
    times = unsettled(cursor, spec.project_ids)
    if not times:
        return _Reading("", f"FROM score_cell x WHERE {' AND '.join([*where, *conditions])}", context)
    source = current_traces(cursor, spec.project_ids)
    params.values.update(source.parameters)
    body = f"FROM ({_corrected(source, spec, params, times, ' AND '.join(where))}) x"
    if conditions:
        body += f" WHERE {' AND '.join(conditions)}"
    return _Reading(f"WITH {source.ctes}\n" if source.dirty else "", body, context)


def compile_scores(cursor: psycopg.Cursor[Any], plan: Plan, part: Part) -> Statement:
    """The statement of a part of scores.

    Args:
        cursor: in the snapshot of the answer, to see what was written since the last refresh.

    Raises:
        UnscopedQuery: the question names no organization or no project.
    """
    spec = plan.spec
    read = _reading(cursor, spec, _names(part))
    params = read.context.params
    keys = [f"{read.context.bucket('x.timestamp')} AS bucket"] if spec.interval else []
    keys += [f"{_DIMENSIONS[name]} AS {name}" for name in spec.group_by]
    values = [
        f"{_aggregate(params, part, ref.formula.sql, ref.formula.id)} AS {quoted(ref.alias)}" for ref in part.references
    ]
    select = ", ".join([*keys, *values])
    sql = f"{read.head}SELECT {select} {read.body}{grouping(keys)} LIMIT {MAX_GROUPS_FETCHED + 1}"
    return Statement(sql, params.values, tuple(ref.alias for ref in part.references))


class Profile(NamedTuple):
    """Figures of the scores of one name and type: of all of them, of one bucket, or of one label."""

    name: str
    data_type: str
    part: Literal["all", "bucket", "label"]
    bucket: Any
    label: str | None
    size: int
    avg: float | None
    stddev: float | None
    min: float | None
    max: float | None


def profiles(cursor: psycopg.Cursor[Any], spec: QuerySpec, *, detailed: bool) -> list[Profile]:
    """Every name and type of scores in a question's range, projects and filters, in one pass.

    Args:
        detailed: by bucket and (categories) by label as well.

    Raises:
        TooManyRows: there are more figures than can be held.
    """
    read = _reading(cursor, spec, None)
    bucket = read.context.bucket("x.timestamp") if detailed else "NULL::timestamptz"
    sets = "(name, data_type), (name, data_type, bucket), (name, data_type, label)" if detailed else "(name, data_type)"
    parts = "CASE WHEN grouping(bucket) = 0 THEN 'bucket' WHEN grouping(label) = 0 THEN 'label' ELSE 'all' END, bucket"
    sql = f"""{read.head}SELECT name, data_type, {f"{parts}, label" if detailed else "'all', NULL, NULL"},
    count(*), avg(value), stddev_samp(value), min(value), max(value)
FROM (
    SELECT x.name, x.data_type, x.value, {bucket} AS bucket,
        CASE WHEN x.data_type = 'categorical' THEN x.label END AS label
    {read.body}
) v GROUP BY GROUPING SETS ({sets}) LIMIT {MAX_GROUPS_FETCHED + 1}"""
    rows = cursor.execute(sql.encode(), read.context.params.values, prepare=False, binary=True).fetchall()
    if len(rows) > MAX_GROUPS_FETCHED:
        raise TooManyRows
    return [Profile(*row) for row in rows]


def _names(part: Part) -> list[str]:
    return sorted({ref.formula.id for ref in part.references})


def _aggregate(params: Params, part: Part, sql: str, name: str) -> str:
    if len(_names(part)) == 1:
        return sql
    return f"{sql} FILTER (WHERE x.name = {params.bind(name, 'text')})"


# Two arrays of unknown length look small to the planner: it keeps them in a hash, whatever it thinks of the rest.
_TOUCHED = """(
    SELECT * FROM unnest(
        ARRAY(SELECT d.project_id FROM current_touched d), ARRAY(SELECT d.trace_id FROM current_touched d)
    ) AS d (project_id, trace_id)
)"""
_JUDGES = "x.project_id = d.project_id AND x.trace_id = d.trace_id AND x.session_id IS NULL"
_EMPTIED = (
    "SELECT k.project_id, k.trace_id FROM current_touched k EXCEPT SELECT k.project_id, k.trace_id FROM current_dirty k"
)


def _corrected(source: Source, spec: QuerySpec, params: Params, times: Moments, where: str) -> str:
    """Cells as they are now: kept ones, and those made here of scores that have to be looked at themselves.

    Those are the scores of unsettled times and the scores of traces with spans there: each kind is read from its own
    side, so that no plan meets them row by row.
    """
    inside = [(max(lo, spec.start), min(hi, spec.end)) for lo, hi in times if lo < spec.end and hi > spec.start]
    ranges = (
        f"unnest({params.bind([lo for lo, _ in inside], 'timestamptz[]')},"
        f" {params.bind([hi for _, hi in inside], 'timestamptz[]')}) AS r (lo, hi)"
    )
    kept, late, looked_at = [where], ["true"], []
    if inside:
        kept.append(f"NOT x.timestamp <@ (SELECT range_agg(tstzrange(r.lo, r.hi)) FROM {ranges})")
    if source.dirty:
        kept.append(f"(x.trace_id IS NULL OR (x.project_id, x.trace_id) NOT IN {_TOUCHED})")
        late.append(f"({JUDGED_TRACE} IS NULL OR (x.project_id, x.trace_id) NOT IN {_TOUCHED})")
        of_dirty = f"SELECT x.*, {of_trace('d')} FROM current_dirty d JOIN score x ON {_JUDGES} WHERE {where}"
        of_emptied = f"(SELECT x.* FROM ({_EMPTIED}) d JOIN score x ON {_JUDGES} WHERE {where})"
        looked_at += [of_dirty, with_trace(of_emptied, "(SELECT t.* FROM trace t WHERE false)")]
    if inside:
        here = f"SELECT x.* FROM score x WHERE {where} AND x.timestamp >= r.lo AND x.timestamp < r.hi OFFSET 0"
        looked_at.append(
            with_trace(f"(SELECT x.* FROM {ranges} CROSS JOIN LATERAL ({here}) x WHERE {' AND '.join(late)})")
        )
    cells = f"SELECT {', '.join(f'x.{name}' for name in COLUMNS)} FROM score_cell x WHERE {' AND '.join(kept)}"
    if not looked_at:
        return cells
    wanted = {"span_name" if name == "name" else name for name in spec.dimensions}
    return f"{cells}\nUNION ALL\n{resolved(' UNION ALL '.join(looked_at), wanted)}"
