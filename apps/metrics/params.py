"""From request parameters or a JSON body to a QuerySpec: every refusal of the metrics endpoints is made here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, get_args

from apps.common.reads.reading import bad, check_keys, choice, number
from apps.metrics.buckets import INTERVALS
from apps.metrics.catalog import (
    AGGREGATIONS,
    CATALOGUE,
    DIMENSION_NAMES,
    PERCENTILES,
    SCORE_PREFIX,
    Metric,
    find,
)
from apps.metrics.spec import (
    MAX_FILTERS,
    MAX_GROUPS,
    MAX_ROWS,
    MAX_VALUES,
    Fill,
    Filter,
    FilterOp,
    Having,
    HavingOp,
    MetricRef,
    Sort,
)

DEFAULT_RANGE = timedelta(days=7)
SUMMARY_RANGE = timedelta(hours=24)
FILTER_PARAMETERS = ("provider", "model", "environment", "user_id", "session_id", "status", "kind", "name")
SHARED = ("project", "start_time", "end_time", "timezone")
SERIES_PARAMETERS: tuple[str, ...] = (
    *SHARED,
    *FILTER_PARAMETERS,
    "metrics",
    "interval",
    "granularity",
    "group_by",
    "aggregation",
    "include_percentiles",
    "fill",
    "limit",
    "sort_by",
    "sort_order",
    "compare_to",
)
BODY_FIELDS: tuple[str, ...] = (
    *SHARED,
    "metrics",
    "interval",
    "granularity",
    "group_by",
    "filters",
    "having",
    "sort_by",
    "sort_order",
    "limit",
    "fill",
    "compare_to",
    "include_percentiles",
)
SUMMARY_PARAMETERS: tuple[str, ...] = (
    "project",
    "start_time",
    "end_time",
    *FILTER_PARAMETERS,
    "compare_previous_period",
)
_OFFSET = re.compile(r"(\d{1,5})(m|min|h|d|w)")
_OFFSET_UNITS = {"m": "minutes", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}
ALIAS = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


def interval_of(source: Mapping[str, Any], default: str | None) -> str | None:
    """`interval`, or `granularity` for it."""
    given = [source[name] for name in ("interval", "granularity") if source.get(name) is not None]
    if len(set(map(str, given))) > 1:
        raise bad("granularity", "interval and granularity differ; granularity is another name for interval.")
    return choice(given[0], INTERVALS, "interval") if given else default


def metric(name: Any, field: str = "metrics") -> Metric:
    """A metric of the catalogue, or `score.` and a name of scores."""
    if isinstance(name, str) and name.startswith(SCORE_PREFIX):
        entry = find(name)
        if entry is None:
            raise bad(field, "After score. stands a name of 1 to 100 letters, digits, _, - and dots.")
        return entry
    return CATALOGUE[choice(name, tuple(CATALOGUE), field)]


def reference(name: Any, aggregation: Any, alias: str | None, field: str = "metrics") -> MetricRef:
    """A metric under an aggregation (its natural one where none is given), if the two go together."""
    entry = metric(name, field)
    where = "aggregation" if field == "metrics" else f"{field}.aggregation"
    chosen = entry.natural if aggregation is None else choice(aggregation, AGGREGATIONS, where)
    if chosen not in entry.formulas:
        known = ", ".join(entry.aggregations)
        raise bad(where, f"{chosen} means nothing for {entry.name}; it has {known}.", known=entry.aggregations)
    return MetricRef(entry.name, chosen, default_alias(chosen, entry.name) if alias is None else alias)


def default_alias(aggregation: str, name: str) -> str:
    """`avg_score_relevance` for score.relevance: a word, as every alias is."""
    return re.sub(r"\W", "_", f"{aggregation}_{name}", flags=re.ASCII)


def group_by(names: Iterable[Any]) -> tuple[str, ...]:
    """The dimensions to group by, each once."""
    chosen = tuple(dict.fromkeys(choice(name, DIMENSION_NAMES, "group_by") for name in names))
    if len(chosen) > MAX_GROUPS:
        raise bad("group_by", f"At most {MAX_GROUPS} dimensions.", 1205)
    return chosen


def limit(value: Any) -> int | None:
    """The most rows wanted, 1 to 10,000."""
    if value is None:
        return None
    text = value if isinstance(value, str) else str(value) if type(value) is int else ""
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise bad("limit", "limit must be a whole number.", 1203)
    if int(text) < 1:
        raise bad("limit", "limit must be at least 1.")
    if int(text) > MAX_ROWS:
        raise bad("limit", f"limit may be at most {MAX_ROWS}.", 1205)
    return int(text)


def fill(value: Any) -> Fill:
    chosen: Any = "none" if value is None else choice(value, get_args(Fill), "fill")
    return chosen  # type: ignore[no-any-return]


def compare_to(value: Any, span: timedelta) -> timedelta | None:
    """How far back the compared range lies."""
    if value is None:
        return None
    if value == "previous_period":
        return span
    match = _OFFSET.fullmatch(value) if isinstance(value, str) else None
    if match is None or int(match[1]) == 0:
        raise bad("compare_to", "compare_to must be previous_period or an offset such as 24h, 7d or 4w.", 1203)
    offset = timedelta(**{_OFFSET_UNITS[match[2]]: int(match[1])})
    if offset > timedelta(days=1098):
        raise bad("compare_to", "The offset may be at most 3 years.", 1205)
    return offset


def sorting(by: Any, order: Any, names: Sequence[str]) -> tuple[Sort, ...]:
    """`sort_by`: names, a `-` in front for descending, or objects {field, order}; `sort_order` is for plain names."""
    descending = order is not None and choice(order, ("asc", "desc"), "sort_order") == "desc"
    entries = by.split(",") if isinstance(by, str) else by if isinstance(by, list) else [] if by is None else [by]
    made = []
    for entry in entries:
        down = descending
        if isinstance(entry, Mapping):
            check_keys(entry, ("field", "order"), "sort_by")
            down = choice(entry.get("order", "asc"), ("asc", "desc"), "sort_by") == "desc"
            entry = entry.get("field")
        elif isinstance(entry, str) and entry.startswith("-"):
            down, entry = True, entry[1:]
        made.append(Sort(choice(entry.strip() if isinstance(entry, str) else entry, names, "sort_by"), down))
    return tuple(made)


def values(raw: Any, op: str, field: str) -> tuple[str | None, ...]:
    """The values of a filter: texts or nulls, one for eq and ne, a list for in and not_in."""
    many = op in ("in", "not_in")
    items = raw if isinstance(raw, list) else [raw]
    if many != isinstance(raw, list):
        raise bad(field, f"{op} takes {'a list' if many else 'one value'}.", 1203)
    if not items or len(items) > MAX_VALUES:
        raise bad(field, f"A filter takes 1 to {MAX_VALUES} values.", 1205)
    if not all(item is None or isinstance(item, str) for item in items):
        raise bad(field, "Filter values are texts or null.", 1203)
    if any("\x00" in item for item in items if item):
        raise bad(field, "Filter values hold no NUL.", 1203)
    return tuple(dict.fromkeys(items))


def filters_from_body(raw: Any) -> tuple[Filter, ...]:
    """`filters`: a list of {field, operator, value}, or an object of field to value or list."""
    if raw is None:
        return ()
    if isinstance(raw, Mapping):
        raw = [
            {"field": name, "operator": "in" if isinstance(value, list) else "eq", "value": value}
            for name, value in raw.items()
        ]
    if not isinstance(raw, list) or not all(isinstance(item, Mapping) for item in raw):
        raise bad("filters", "filters must be a list of {field, operator, value}.", 1203)
    if len(raw) > MAX_FILTERS:
        raise bad("filters", f"At most {MAX_FILTERS} filters.", 1205)
    made = []
    for index, item in enumerate(raw):
        where = f"filters[{index}]"
        check_keys(item, ("field", "operator", "value", "values"), where)
        op: Any = choice(item.get("operator", "eq"), get_args(FilterOp), f"{where}.operator")
        name = choice(item.get("field"), DIMENSION_NAMES, f"{where}.field")
        if ("value" in item) == ("values" in item):
            raise bad(f"{where}.value", "A filter has a value; null is one.", 1201)
        value = item["values"] if "values" in item else item["value"]
        made.append(Filter(name, op, values(value, op, f"{where}.value")))
    return tuple(made)


def filters_from_query(source: Mapping[str, str]) -> tuple[Filter, ...]:
    """`model=a` or `model=a,b`, for every dimension that is a parameter."""
    made = []
    for name in FILTER_PARAMETERS:
        if name in source:
            items = [item for item in source[name].split(",") if item]
            if not items:
                raise bad(name, f"{name} is empty.")
            made.append(Filter(name, "in", values(items, "in", name)))
    return tuple(made)


def having(raw: Any, aliases: Sequence[str]) -> tuple[Having, ...]:
    """`having`: a list of {metric (an alias), operator, value}."""
    if raw is None:
        return ()
    if not isinstance(raw, list) or not all(isinstance(item, Mapping) for item in raw):
        raise bad("having", "having must be a list of {metric, operator, value}.", 1203)
    if len(raw) > MAX_FILTERS:
        raise bad("having", f"At most {MAX_FILTERS} conditions.", 1205)
    made = []
    for index, item in enumerate(raw):
        where = f"having[{index}]"
        check_keys(item, ("metric", "alias", "field", "operator", "value"), where)
        name = next((item[key] for key in ("alias", "metric", "field") if key in item), None)
        op: Any = choice(item.get("operator"), get_args(HavingOp), f"{where}.operator")
        made.append(Having(choice(name, aliases, f"{where}.metric"), op, number(item.get("value"), f"{where}.value")))
    return tuple(made)


def with_percentiles(references: Iterable[MetricRef]) -> tuple[MetricRef, ...]:
    """Add `<metric>_p50` and so on for every metric that has percentiles."""
    made = list(references)
    taken = {ref.alias for ref in made}
    for name in dict.fromkeys(ref.metric for ref in made):
        for percentile in PERCENTILES:
            alias = f"{name}_{percentile}"
            if percentile in metric(name).formulas and alias not in taken:
                made.append(MetricRef(name, percentile, alias))
    return tuple(made)
