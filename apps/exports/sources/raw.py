"""What raw spans say of a question about metrics: how many rows it has, and their sums.

The text here is written apart from the metrics engine's on purpose: of one filter that is read wrongly by one of the
two, the other knows. What spans take over from their traces is read as it is now, whatever the last refresh knew.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from apps.exports.sources.base import Cursor
from apps.exports.totals import Totals
from apps.metrics.spec import Filter, MetricRef, QuerySpec
from apps.traces.attribution import Resolved, resolved_from
from apps.traces.summary import INHERITED

_PLAIN = {"project": "s.project_id", **{name: f"s.{name}" for name in ("provider", "model", "status", "kind", "name")}}


# What a column of a file adds up over spans; a cost in picodollars.
_COUNTED = {
    "request_count": "count(*)",
    "error_count": "count(*) FILTER (WHERE s.status = 'error')",
    "success_count": "count(*) FILTER (WHERE s.status <> 'error')",
}
_COSTS = ("total_cost", "prompt_cost", "completion_cost")
_SUMMED = (
    *_COSTS,
    *("total_tokens", "prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens"),
)
_TIMES = {"duration": "duration_us", "ttft": "ttft_us"}


def addable(ref: MetricRef) -> bool:
    """Whether a column adds up, exactly: what all rows say together is what one row of everything would say."""
    counts = ref.aggregation == "count" and ref.metric in (*_SUMMED, *_TIMES)
    return ref.metric in _COUNTED or counts or (ref.aggregation == "sum" and ref.metric in _SUMMED)


def _added(ref: MetricRef) -> str:
    if ref.metric in _COUNTED:
        return _COUNTED[ref.metric]
    column = _TIMES.get(ref.metric, ref.metric)
    return f"{ref.aggregation}(s.{column})"


def _value(ref: MetricRef, value: Any) -> int | Decimal | None:
    if value is None:
        return None
    money = ref.aggregation == "sum" and ref.metric in _COSTS
    return Decimal(value).scaleb(-12) if money else int(value)


def totals(
    cursor: Cursor,
    query: QuerySpec,
    *,
    rows: bool,
    columns: Sequence[MetricRef] = (),
    limit: int | None = None,
    valued: Sequence[str] = (),
) -> Totals:
    """Rows and sums of a question's answer.

    Args:
        cursor: in the snapshot of the export.
        columns: what else is added up.
        rows: count the rows, too: the buckets and groups in which there are requests; otherwise sums alone.
        limit: only of so many rows, the first in the file's order.
        valued: count only rows in which some span has a value in one of these columns; the sums are over all.
    """
    given: dict[str, Any] = {"projects": list(query.project_ids), "start": query.start, "end": query.end}
    wanted = [name for name in INHERITED if name in query.dimensions or (name == "tags" and query.tagged)]
    read = resolved_from(dirty=True, wanted=wanted) if wanted else Resolved("", "", {})
    named = {**_PLAIN, **read.columns}
    where = ["s.billable", "s.project_id = ANY(%(projects)s::integer[])"]
    where += ["s.start_time >= %(start)s::timestamptz", "s.start_time < %(end)s::timestamptz"]
    where += [_condition(named, item, f"filter_{place}", given) for place, item in enumerate(query.filters)]
    keys = _keys(query, named, given) if rows else []
    sums = "count(*) AS requests, sum(s.total_cost) AS cost, sum(s.total_tokens) AS tokens"
    sums += "".join(f", {_added(ref)} AS c{place}" for place, ref in enumerate(columns))
    if valued:
        sums += f", {' OR '.join(f'count(s.{name}) > 0' for name in valued)} AS valued"
    inner = f"SELECT {', '.join([*(f'{key} AS k{place}' for place, key in enumerate(keys)), sums])}\n"
    inner += f"FROM {read.source}\nWHERE {' AND '.join(where)}"
    if keys:
        inner += f"\nGROUP BY {', '.join(f'k{place}' for place in range(len(keys)))}"
    if limit is not None:
        given["limit"] = limit
        inner = f"SELECT * FROM (\n{inner}\n) o{_order(query, given)} LIMIT %(limit)s"
    counted = _row_count(query, given, len(keys), bool(valued)) if rows else "NULL"
    added = "".join(f", sum(c{place})" for place in range(len(columns)))
    text = f"SELECT {counted}, sum(requests), sum(cost), sum(tokens){added} FROM (\n{inner}\n) g"
    if read.ctes:
        text = f"WITH {read.ctes.replace('%s', '%(projects)s::integer[]')}\n{text}"
    found = cursor.execute(text.encode(), given, prepare=False).fetchone()
    number, requests, cost, tokens, *more = found or (0, 0, None, None)
    return Totals(
        None if number is None else int(number),
        int(requests or 0),
        None if cost is None else int(cost),
        None if tokens is None else int(tokens),
        columns={ref.alias: _value(ref, value) for ref, value in zip(columns, more, strict=True)},
    )


def scores(cursor: Cursor, query: QuerySpec, names: list[str]) -> int:
    """How many scores of these names there are in a question's range and projects."""
    text = """
SELECT count(*) FROM score x WHERE x.project_id = ANY(%(projects)s::integer[])
    AND x.timestamp >= %(start)s::timestamptz AND x.timestamp < %(end)s::timestamptz AND x.name = ANY(%(names)s::text[])
"""
    given = {"projects": list(query.project_ids), "start": query.start, "end": query.end, "names": names}
    found = cursor.execute(text.encode(), given, prepare=False).fetchone()
    return int(found[0]) if found else 0


def _keys(query: QuerySpec, columns: dict[str, str], given: dict[str, Any]) -> list[str]:
    """What rows are grouped by: the number of the bucket, then the groups."""
    keys = []
    if query.buckets is not None:
        given["edges"] = list(query.buckets.starts)
        keys.append("width_bucket(s.start_time, %(edges)s::timestamptz[])")
    return keys + [columns[name] for name in query.group_by]


def _condition(columns: dict[str, str], item: Filter, name: str, given: dict[str, Any]) -> str:
    """One filter; what has no value is a value of its own, null."""
    given[name] = [value for value in item.values if value is not None]
    found = (
        f"{columns[item.field]} = ANY(%({name})s::text[])"
        if item.field != "tag"
        else (f"{columns['tags']} && %({name})s::text[]")
    )
    null = (
        f"{columns[item.field]} IS NULL" if item.field != "tag" else f"cardinality({columns['tags']}) > 0 IS NOT TRUE"
    )
    holds = f"({found} IS TRUE OR ({null}))" if None in item.values else f"{found} IS TRUE"
    return holds if item.op in ("eq", "in") else f"NOT ({holds})"


def _order(query: QuerySpec, given: dict[str, Any]) -> str:
    """The file's order: by time, then by the groups as texts by code point, what has none last."""
    given["slugs"] = [number for number, _ in sorted(query.projects, key=lambda pair: pair[1])]
    first = ["k0"] if query.interval else []
    offset = len(first)
    orders = [
        f"array_position(%(slugs)s::integer[], k{place})" if name == "project" else f'k{place} COLLATE "C" NULLS LAST'
        for place, name in enumerate(query.group_by, offset)
    ]
    return f"\nORDER BY {', '.join([*first, *orders])}" if first or orders else ""


def _row_count(query: QuerySpec, given: dict[str, Any], keys: int, valued: bool) -> str:
    """Rows of the file: the groups there are, or, where gaps are filled, each of them in every bucket."""
    those = " FILTER (WHERE valued)" if valued else ""
    if query.buckets is None or query.fill == "none":
        return f"count(*){those}"
    given["buckets"] = len(query.buckets.starts)
    groups = ", ".join(f"k{place}" for place in range(1, keys))
    return f"count(DISTINCT ROW({groups})){those} * %(buckets)s" if groups else "%(buckets)s::bigint"
