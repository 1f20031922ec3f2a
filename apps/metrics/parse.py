"""The doors of the metrics endpoints: query parameters or a JSON body in, one QuerySpec out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from apps.common.errors import ApiError
from apps.common.reads import reading
from apps.common.reads.reading import Problems
from apps.metrics import params
from apps.metrics.spec import (
    MAX_BUCKETS,
    MAX_METRICS,
    Fill,
    Filter,
    MetricRef,
    QuerySpec,
    check_range,
)
from apps.orgs.scopes import Scope


def series_from_query(source: Mapping[str, str], scope: Scope, now: datetime) -> QuerySpec:
    """`GET /api/v1/metrics`: columns are named by the metrics themselves."""
    problems = Problems()
    names = [name for name in source.get("metrics", "").split(",") if name]
    if not names:
        problems.found.append(
            reading.bad("metrics", "Name at least one metric: metrics=request_count,total_cost.", 1201)
        )
    references = problems.take(lambda: _named(names, source.get("aggregation")), ())
    fields: dict[str, Any] = dict(source)
    fields["include_percentiles"] = problems.take(
        lambda: reading.flag(source.get("include_percentiles"), "include_percentiles"), False
    )
    groups = [name for name in source.get("group_by", "").split(",") if name]
    filters = problems.take(lambda: params.filters_from_query(source), ())
    return _build(problems, fields, references, groups, filters, scope, now, default_interval="1hour")


def question_from_body(body: Any, scope: Scope, now: datetime) -> QuerySpec:
    """`POST /api/v1/metrics/query`: columns are named by the aliases."""
    if not isinstance(body, Mapping):
        raise ApiError(1200, "The body must be a JSON object.")
    problems = Problems()
    problems.take(lambda: reading.check_keys(body, params.BODY_FIELDS, ""), None)
    references = problems.take(lambda: listed(body.get("metrics")), ())
    fields = {name: value for name, value in body.items() if name != "include_percentiles"}
    fields["include_percentiles"] = problems.take(
        lambda: reading.flag(body.get("include_percentiles"), "include_percentiles"), False
    )
    groups = body.get("group_by")
    if isinstance(groups, str):
        groups = [name for name in groups.split(",") if name]
    elif not isinstance(groups, list):
        groups = [] if groups is None else [groups]
    filters = problems.take(lambda: params.filters_from_body(body.get("filters")), ())
    return _build(problems, fields, references, groups, filters, scope, now, default_interval=None)


def summary_from_query(source: Mapping[str, str], scope: Scope, now: datetime) -> tuple[QuerySpec, bool]:
    """`GET /api/v1/metrics/summary`: range and filters, and whether to compare."""
    problems = Problems()
    start, end = problems.take(lambda: reading.time_range(source, now, params.SUMMARY_RANGE), (now, now))
    filters = problems.take(lambda: params.filters_from_query(source), ())
    wish = source.get("compare_previous_period", "true")
    compare = problems.take(lambda: reading.flag(wish, "compare_previous_period"), True)
    problems.check()
    check_range(start, end, None)
    projects_and_filters(scope, ())
    return QuerySpec(
        organization_id=scope.organization_id,
        project_ids=tuple(sorted(scope.projects.values())),
        start=start,
        end=end,
        metrics=(),
        filters=filters,
    ), compare


def _named(names: list[str], aggregation: str | None) -> tuple[MetricRef, ...]:
    """Metrics by name; under one aggregation or each under its own, the column stays the metric's name."""
    references = tuple(params.reference(name, aggregation, name) for name in dict.fromkeys(names))
    if len(references) > MAX_METRICS:
        raise reading.bad("metrics", f"At most {MAX_METRICS} metrics.", 1205)
    return references


def listed(raw: Any) -> tuple[MetricRef, ...]:
    """`metrics` of a body: names, or objects {metric, aggregation, alias}."""
    if raw is None or raw == []:
        raise reading.bad("metrics", 'Name at least one metric: "metrics": [{"metric": "total_cost"}].', 1201)
    if not isinstance(raw, list):
        raise reading.bad("metrics", "metrics must be a list of {metric, aggregation, alias}.", 1203)
    if len(raw) > MAX_METRICS:
        raise reading.bad("metrics", f"At most {MAX_METRICS} metrics.", 1205)
    return tuple(_entry(item, f"metrics[{index}]") for index, item in enumerate(raw))


def _entry(item: Any, where: str) -> MetricRef:
    if isinstance(item, str):
        return params.reference(item, None, None, where)
    if not isinstance(item, Mapping):
        raise reading.bad(where, "A metric is {metric, aggregation, alias}.", 1203)
    reading.check_keys(item, ("metric", "aggregation", "alias"), where)
    alias = item.get("alias")
    if alias is not None and not (isinstance(alias, str) and params.ALIAS.fullmatch(alias)):
        raise reading.bad(f"{where}.alias", "An alias is a word of letters, digits and _, at most 63 long.", 1203)
    if "metric" not in item:
        raise reading.bad(f"{where}.metric", "The metric is missing.", 1201)
    return params.reference(item["metric"], item.get("aggregation"), alias, where)


def _build(
    problems: Problems,
    fields: Mapping[str, Any],
    references: tuple[MetricRef, ...],
    groups: list[Any],
    filters: tuple[Filter, ...],
    scope: Scope,
    now: datetime,
    *,
    default_interval: str | None,
) -> QuerySpec:
    take = problems.take
    start, end = take(lambda: reading.time_range(fields, now, params.DEFAULT_RANGE), (now - timedelta(1), now))
    interval = take(lambda: params.interval_of(fields, default_interval), None)
    group_by = take(lambda: params.group_by(groups), ())
    if fields["include_percentiles"]:
        references = params.with_percentiles(references)
    compare = take(lambda: params.compare_to(fields.get("compare_to"), end - start), None)
    names = _answer_names(references, compare is not None)
    take(lambda: distinct_names(names, group_by), None)
    having = take(lambda: params.having(fields.get("having"), names), ())
    order = (*names, *group_by, *(("timestamp",) if interval else ()))
    sort = take(lambda: params.sorting(fields.get("sort_by"), fields.get("sort_order"), order), ())
    zone = take(lambda: reading.zone(fields.get("timezone")), "UTC")
    limit = take(lambda: params.limit(fields.get("limit")), None)
    no_fill: Fill = "none"
    fill = take(lambda: params.fill(fields.get("fill")), no_fill)
    problems.check()
    check_range(start, end, interval)
    projects, rest = projects_and_filters(scope, filters)
    spec = QuerySpec(
        organization_id=scope.organization_id,
        project_ids=tuple(sorted(projects.values())),
        projects=tuple(sorted((number, slug) for slug, number in projects.items())),
        start=start,
        end=end,
        interval=interval,
        tz=zone,
        metrics=references,
        group_by=group_by,
        filters=rest,
        having=having,
        sort=sort,
        limit=limit,
        fill=fill,
        compare_to=compare,
        include_percentiles=bool(fields["include_percentiles"]),
    )
    if spec.buckets is not None and len(spec.buckets.starts) > MAX_BUCKETS:
        raise reading.bad("interval", f"More than {MAX_BUCKETS} buckets; a coarser interval would fit.", 1205)
    return spec


def _answer_names(references: tuple[MetricRef, ...], compared: bool) -> tuple[str, ...]:
    """Every value column that the answer will have."""
    names = [ref.alias for ref in references]
    if compared:
        names += [made for name in names for made in (f"previous_{name}", f"{name}_change_pct")]
    return tuple(names)


def distinct_names(names: tuple[str, ...], group_by: tuple[str, ...]) -> None:
    """Refuse two columns of one name."""
    taken = {"timestamp", *group_by}
    for name in names:
        if name in taken:
            raise reading.bad("metrics", f"Two columns of the answer would be named {name}; give an alias.")
        taken.add(name)


def projects_and_filters(scope: Scope, filters: tuple[Filter, ...]) -> tuple[dict[str, int], tuple[Filter, ...]]:
    """Apply filters on the project to the scope; the others are left."""
    projects = dict(scope.projects)
    for item in filters:
        if item.field != "project":
            continue
        for value in item.values:
            if value is None:
                raise reading.bad("project", "Every span has a project: null is none.")
            if value not in scope.projects:
                scope.refuse(value)
        keep = item.op in ("eq", "in")
        projects = {slug: number for slug, number in projects.items() if (slug in item.values) == keep}
    if not projects:
        raise reading.bad("project", "No project is left to ask about.")
    return projects, tuple(item for item in filters if item.field != "project")
