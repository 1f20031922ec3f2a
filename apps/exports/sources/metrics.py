"""Exports of metrics: what POST /metrics/query answers, without its limits on rows and on the range."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from apps.common.reads import reading
from apps.common.reads.reading import Problems, bad
from apps.common.reads.snapshot import snapshot
from apps.exports.asking import READERS, Asked, Reader
from apps.exports.failures import ExportFailed
from apps.exports.sources import SOURCES
from apps.exports.sources.base import Source
from apps.exports.sources.questions import QuestionSource
from apps.exports.sources.windows import check_whole
from apps.exports.spec import Column, ColumnType, ExportSpec
from apps.metrics import params, parse
from apps.metrics.catalog import Output, find
from apps.metrics.planner import plan
from apps.metrics.runner import check_kept
from apps.metrics.spec import Fill, Filter, MetricRef, QuerySpec
from apps.metrics.state import read_state
from apps.orgs.scopes import Scope

KEYS: Final = (
    "metrics",
    "interval",
    "granularity",
    "group_by",
    "filters",
    "timezone",
    "fill",
    "include_percentiles",
)
TYPES: Final[Mapping[Output, ColumnType]] = {
    "integer": "integer",
    "number": "number",
    "ms": "number",
    "rate": "number",
    "score": "number",
    "usd": "usd",
    "text": "text",
    "time": "time",
}
TIMESTAMP: Final = Column("timestamp", "time", "Where the bucket begins.", risky=False)


def read(body: Mapping[str, Any], scope: Scope, bounds: tuple[datetime, datetime], problems: Problems) -> Asked:
    """The question of a body, by the rules of POST /metrics/query."""
    take = problems.take
    metrics = take(lambda: parse.listed(body.get("metrics")), ())
    if take(lambda: reading.flag(body.get("include_percentiles"), "include_percentiles"), False):
        metrics = params.with_percentiles(metrics)
    groups = take(lambda: params.group_by(names_in(body.get("group_by"))), ())
    take(lambda: parse.distinct_names(tuple(ref.alias for ref in metrics), groups), None)
    filters = take(lambda: params.filters_from_body(body.get("filters")), ())
    fill: Fill = take(lambda: params.fill(body.get("fill")), "none")
    interval = take(lambda: params.interval_of(body, None), None)
    zone = take(lambda: reading.zone(body.get("timezone")), "UTC")
    query = QuerySpec(
        organization_id=scope.organization_id,
        project_ids=(),
        start=bounds[0],
        end=bounds[1],
        metrics=metrics,
        interval=interval,
        tz=zone,
        group_by=groups,
        filters=filters,
        fill=fill,
    )
    question = checked(query, scope, problems)
    found = columns(query)
    return Asked(found, tuple(column.name for column in found), question)


def names_in(value: Any) -> list[Any]:
    """A list, or a text with commas in it."""
    if isinstance(value, str):
        return [name for name in value.split(",") if name]
    return value if isinstance(value, list) else [] if value is None else [value]


def checked(query: QuerySpec, scope: Scope, problems: Problems) -> dict[str, Any]:
    """The question as it is kept, if what it asks for is kept as well."""
    if not problems.found:
        problems.take(lambda: _check(query, scope), None)
    return to_json(query)


def _check(query: QuerySpec, scope: Scope) -> None:
    projects, filters = parse.projects_and_filters(scope, query.filters)
    asked = _narrowed(query, tuple(sorted((number, slug) for slug, number in projects.items())), filters)
    check_kept(asked)
    with snapshot() as cursor:
        state = read_state(cursor, asked)
        try:
            check_whole(plan(asked, state), state)
        except ExportFailed as failed:
            raise bad("start_time", str(failed), 1204) from None


def columns(query: QuerySpec) -> tuple[Column, ...]:
    """Of a question's rows."""
    made = [TIMESTAMP] if query.interval else []
    made += [Column(name, "text") for name in query.group_by]
    return (*made, *(_column(ref) for ref in query.metrics))


def _column(ref: MetricRef) -> Column:
    entry = find(ref.metric)
    described = f"{ref.aggregation} of {ref.metric}: {entry.description}" if entry else ""
    return Column(ref.alias, TYPES[ref.formula.output], described, risky=False)


def to_json(query: QuerySpec) -> dict[str, Any]:
    """A question as an export keeps it."""
    return {
        "metrics": [
            {"metric": ref.metric, "aggregation": ref.aggregation, "alias": ref.alias} for ref in query.metrics
        ],
        "interval": query.interval,
        "timezone": query.tz,
        "group_by": list(query.group_by),
        "filters": [{"field": item.field, "operator": item.op, "value": list(item.values)} for item in query.filters],
        "fill": query.fill,
    }


def query_of(spec: ExportSpec, question: Mapping[str, Any] | None = None) -> QuerySpec:
    """The engine's question of an export."""
    kept = spec.question if question is None else question
    query = QuerySpec(
        organization_id=spec.organization_id,
        project_ids=(),
        start=spec.start,
        end=spec.end,
        metrics=tuple(MetricRef(item["metric"], item["aggregation"], item["alias"]) for item in kept["metrics"]),
        interval=kept["interval"],
        tz=kept["timezone"],
        group_by=tuple(kept["group_by"]),
        filters=tuple(Filter(item["field"], item["operator"], tuple(item["value"])) for item in kept["filters"]),
        fill=kept["fill"],
    )
    scope = Scope(spec.organization_id, {slug: number for number, slug in spec.projects})
    projects, filters = parse.projects_and_filters(scope, query.filters)
    return _narrowed(query, tuple(sorted((number, slug) for slug, number in projects.items())), filters)


def _narrowed(query: QuerySpec, projects: Sequence[tuple[int, str]], filters: tuple[Filter, ...]) -> QuerySpec:
    """The question about these projects, to which filters on the project have been applied."""
    return replace(
        query, project_ids=tuple(number for number, _ in projects), projects=tuple(projects), filters=filters
    )


def source(spec: ExportSpec) -> Source:
    """The rows of an export of metrics."""
    query = query_of(spec)
    return QuestionSource(spec, query, columns(query))


READERS["metrics"] = Reader(KEYS, read)
SOURCES["metrics"] = source
