"""Exports of costs: what requests cost by time and groups, the rows of which add up to the totals of GET /costs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from apps.common.reads import reading
from apps.common.reads.reading import Problems, bad, choice
from apps.costs.reports.question import FILTERS
from apps.exports.asking import READERS, Asked, Reader
from apps.exports.sources import SOURCES
from apps.exports.sources.base import Source
from apps.exports.sources.metrics import TIMESTAMP, checked, names_in, query_of
from apps.exports.sources.questions import QuestionSource
from apps.exports.spec import Column, ExportSpec
from apps.metrics import params
from apps.metrics.finish import Row
from apps.metrics.spec import Filter, MetricRef, QuerySpec
from apps.orgs.scopes import Scope

INTERVALS: Final = ("1hour", "6hour", "1day", "1week", "1month", "none")
GROUPS: Final = ("project", "provider", "model", "environment", "user_id", "session_id", "team", "kind", "status")
DEFAULT_GROUPS: Final = ("project", "provider", "model")
KEYS: Final = ("interval", "granularity", "group_by", "timezone", *FILTERS, "tag")
TOKENS: Final = ("prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "reasoning_tokens")
METRICS: Final = (
    MetricRef("request_count", "sum", "request_count"),
    MetricRef("total_cost", "count", "priced_requests"),
    *(MetricRef(name, "sum", f"{name}_usd") for name in ("prompt_cost", "completion_cost", "total_cost")),
    *(MetricRef(name, "sum", name) for name in TOKENS),
)
COLUMNS: Final = (
    Column("request_count", "integer", "Requests: billable spans.", risky=False),
    Column("priced_requests", "integer", "Of them, those whose cost is known.", risky=False),
    Column("unpriced_requests", "integer", "Of them, those whose cost nobody knows.", risky=False),
    Column("prompt_cost_usd", "usd", "What prompts cost; null where no request is priced.", risky=False),
    Column("completion_cost_usd", "usd", "What completions cost; null where no request is priced.", risky=False),
    Column("total_cost_usd", "usd", "What the requests cost; null where none is priced.", risky=False),
    *(Column(name, "integer", "Null where no request says it.", risky=False) for name in TOKENS),
)


def read(body: Mapping[str, Any], scope: Scope, bounds: tuple[datetime, datetime], problems: Problems) -> Asked:
    """The question of a body, by the names of GET /costs."""
    take = problems.take
    interval = take(lambda: _interval(body), "1day")
    groups = take(lambda: _groups(body.get("group_by")), DEFAULT_GROUPS)
    filters = tuple(item for name in (*FILTERS, "tag") for item in take(lambda name=name: _filter(body, name), ()))  # type: ignore[misc]
    query = QuerySpec(
        organization_id=scope.organization_id,
        project_ids=(),
        start=bounds[0],
        end=bounds[1],
        metrics=METRICS,
        interval=interval,
        tz=take(lambda: reading.zone(body.get("timezone")), "UTC"),
        group_by=groups,
        filters=filters,
    )
    question = checked(query, scope, problems)
    del question["metrics"]
    found = columns(query)
    return Asked(found, tuple(column.name for column in found), question)


def _interval(body: Mapping[str, Any]) -> str | None:
    given = [body[name] for name in ("interval", "granularity") if body.get(name) is not None]
    if len(set(map(str, given))) > 1:
        raise bad("granularity", "interval and granularity differ; granularity is another name for interval.")
    found = choice(given[0], INTERVALS, "interval") if given else "1day"
    return None if found == "none" else found


def _groups(value: Any) -> tuple[str, ...]:
    if value is None:
        return DEFAULT_GROUPS
    return tuple(dict.fromkeys(choice(name, GROUPS, "group_by") for name in names_in(value)))


def _filter(body: Mapping[str, Any], name: str) -> tuple[Filter, ...]:
    """One value or a list of them; one tag, since a span with two would count twice."""
    value = body.get(name)
    if value is None:
        return ()
    if name == "tag":
        if not isinstance(value, str) or not value:
            raise bad("tag", "tag must be one tag.", 1203)
        return (Filter("tag", "eq", params.values(value, "eq", "tag")),)
    return (Filter(name, "in", params.values(value if isinstance(value, list) else [value], "in", name)),)


def columns(query: QuerySpec) -> tuple[Column, ...]:
    """Of an export of costs."""
    made = [TIMESTAMP] if query.interval else []
    return (*made, *(Column(name, "text") for name in query.group_by), *COLUMNS)


def _made(row: Row) -> Row:
    return row | {"unpriced_requests": row["request_count"] - row["priced_requests"]}


def source(spec: ExportSpec) -> Source:
    """The rows of an export of costs."""
    metrics = [{"metric": ref.metric, "aggregation": ref.aggregation, "alias": ref.alias} for ref in METRICS]
    query = query_of(spec, {**spec.question, "metrics": metrics})
    return QuestionSource(spec, query, columns(query), _made)


READERS["costs"] = Reader(KEYS, read)
SOURCES["costs"] = source
