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
from apps.traces.attribution import DEFAULT_ENVIRONMENT
from apps.traces.current import Source, current_traces

_JOIN = "{0}.project_id = x.project_id AND {0}.trace_id = x.trace_id AND x.session_id IS NULL"
_OF_TRACE = (
    "first_start",
    "last_start",
    "user_id",
    "session_id",
    "environment",
    "team",
    "providers",
    "models",
    "root_name",
)
# Dimensions for which a trace has to be looked at span by span.
_AGREED = ("kind", "status")
_AGREEMENT = ", ".join(f"CASE WHEN min(s.{name}) = max(s.{name}) THEN min(s.{name}) END AS {name}" for name in _AGREED)


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
    judged = spec.dimensions - {"project"}
    source = current_traces(cursor, spec.project_ids) if judged else None
    params = Params(dict(source.parameters) if source is not None else {})
    where = [
        f"x.project_id = ANY({params.bind(list(spec.project_ids), 'integer[]')})",
        f"x.timestamp >= {params.bind(spec.start, 'timestamptz')}",
        f"x.timestamp < {params.bind(spec.end, 'timestamptz')}",
        *([f"x.name = ANY({params.bind(list(names), 'text[]')})"] if names is not None else []),
    ]
    conditions = [condition(params, _DIMENSIONS[item.field], item) for item in spec.filters]
    if source is None:  # filters name dimensions, so there are none
        return _Reading("", f"FROM score x WHERE {' AND '.join(where)}", Context(spec, params, None))
    head = f"WITH {source.ctes}\n" if source.dirty else ""
    body = f"FROM ({_with_traces(source, ' AND '.join(where))}) x{_joins(judged)}"
    if conditions:
        body += f" WHERE {' AND '.join(conditions)}"
    return _Reading(head, body, Context(spec, params, None))


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


def _dimensions() -> dict[str, str]:
    """Every dimension over a score `x` with its trace, its span `s` and what the spans of its trace agree on, `b`."""

    def only(column: str) -> str:
        return f"CASE WHEN cardinality(x.t_{column}) = 1 THEN x.t_{column}[1] END"

    def of_span(name: str, otherwise: str) -> str:
        return f"CASE WHEN x.span_id IS NOT NULL THEN s.{name} ELSE {otherwise} END"

    return {
        "project": "x.project_id",
        "user_id": "coalesce(s.user_id, x.t_user_id)",
        "session_id": "coalesce(x.session_id, s.session_id, x.t_session_id)",
        "environment": f"coalesce(x.environment, s.environment, x.t_environment, '{DEFAULT_ENVIRONMENT}')",
        "team": "coalesce(s.team, x.t_team)",
        "provider": of_span("provider", only("providers")),
        "model": of_span("model", only("models")),
        "name": of_span("name", "x.t_root_name"),
        **{name: of_span(name, f"b.{name}") for name in _AGREED},
    }


_DIMENSIONS = _dimensions()


def _with_traces(source: Source, where: str) -> str:
    """Scores with their traces as these are now.

    Where something was written since the last refresh the two kinds of traces are read apart: rows of `trace`, less the
    touched ones by a hash, whatever the planner thinks of their number; and the touched ones from their side.
    """

    def picked(alias: str) -> str:
        return ", ".join(f"{alias}.{column} AS t_{column}" for column in _OF_TRACE)

    clean = f"SELECT x.*, {picked('t')} FROM score x LEFT JOIN trace t ON {_JOIN.format('t')} WHERE {where}"
    if not source.dirty:
        return clean
    return f"""
    {clean} AND (x.session_id IS NOT NULL OR x.trace_id IS NULL OR (x.project_id, x.trace_id) NOT IN (
        SELECT * FROM unnest(
            ARRAY(SELECT d.project_id FROM current_dirty d), ARRAY(SELECT d.trace_id FROM current_dirty d)
        ) AS d (project_id, trace_id)
    ))
    UNION ALL
    SELECT x.*, {picked("d")} FROM current_dirty d JOIN score x ON {_JOIN.format("d")} WHERE {where}
"""


def _joins(judged: frozenset[str]) -> str:
    # As in apps.traces.summary.spans_of: the identity index, and its partitions by the trace's bounds. What names no
    # span ends before a partition is looked for.
    spans = (
        "s.trace_id = x.trace_id AND s.project_id + 0 = x.project_id"
        " AND s.start_time >= x.t_first_start AND s.start_time <= x.t_last_start"
    )
    made = (
        f" LEFT JOIN LATERAL (SELECT s.* FROM span s WHERE x.span_id IS NOT NULL AND {spans} AND s.span_id = x.span_id"
        " ORDER BY s.start_time LIMIT 1) s ON true"
    )
    if not judged.isdisjoint(_AGREED):
        made += (
            f" LEFT JOIN LATERAL (SELECT {_AGREEMENT} FROM span s WHERE {spans} AND s.billable"
            " AND x.span_id IS NULL AND x.session_id IS NULL) b ON true"
        )
    return made
