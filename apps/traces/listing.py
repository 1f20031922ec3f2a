"""A page of traces: by start, cost, duration or tokens, along an index of `trace` and by keyset.

What has no value to sort by comes last in both directions, in the order of its start: a page reads the known values
along their index first and, only when these are exhausted, the others along the index of starts.

To walk along an index is right for what is common; a model or a tag that is rare or not there would be looked for in
all rows of the range. So where a list is filtered by such values the planner is asked first how many rows it expects,
and few of them are found by their values and then sorted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from apps.common.reads.paging import Asked, Page, Value, finish
from apps.common.reads.snapshot import snapshot
from apps.traces.current import Source, current_traces, relation, select
from apps.traces.filters import Filters
from apps.traces.schema import EPOCH
from apps.traces.shown import PICKED, shown, start_of, value_of

SortName = Literal["start_time", "duration_ms", "total_cost_usd", "total_tokens"]
# The column, and whether it may be unknown.
SORTS: Mapping[str, tuple[str, bool]] = {
    "start_time": ("first_start", False),
    "duration_ms": ("duration_us", False),
    "total_cost_usd": ("total_cost", True),
    "total_tokens": ("total_tokens", True),
}
Row = Sequence[Any]
_US = timedelta(microseconds=1)
UNKNOWN = "-"
# So many rows, or this part of the range's, are sorted rather than looked for along an index.
FEW_BY_START, FEW_BY_VALUE, FEW_PART = 3_000, 10_000, 0.006
_EXPECTED = re.compile(r"rows=(\d+)")


@dataclass(frozen=True, slots=True)
class Sorting:
    """How a list of traces is ordered; equal values by start, project and id in the same direction."""

    name: str = "start_time"
    descending: bool = True

    @property
    def column(self) -> str:
        return SORTS[self.name][0]

    @property
    def nullable(self) -> bool:
        return SORTS[self.name][1]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ended: the last row's value (None: unknown), start, project and id."""

    value: int | None
    start: datetime
    project_id: int
    trace_id: str


def read_page(
    project_ids: Sequence[int], filters: Filters, sorting: Sorting, page: Asked, slugs: Mapping[int, str]
) -> Page[dict[str, Any]]:
    """One page of the traces that are meant, all from one state of the database."""
    with snapshot() as cursor:
        source = current_traces(cursor, project_ids, within=(filters.start, filters.end), trace_ids=filters.trace_ids)
        found = _rows(cursor, source, filters, sorting, place_of(page.after), page.limit + 1)
        total = _count(cursor, source, filters) if page.include_total else None
    made = finish(page, found, lambda row: place_values(row, sorting), total)
    return Page([shown(row, slugs) for row in made.rows], made.pagination)


def _rows(
    cursor: Any, source: Source, filters: Filters, sorting: Sorting, after: Place | None, limit: int
) -> list[Row]:
    rows: list[Row] = []
    few = filters.by_value and _few(cursor, source, filters, sorting)
    if after is None or after.value is not None or not sorting.nullable:
        rows = _read(cursor, source, filters, sorting, after, limit, few=few)
        after = None
    if sorting.nullable and len(rows) < limit and f"t.{sorting.column}" not in filters.bounded:
        rows += _read(cursor, source, filters, sorting, after, limit - len(rows), few=few, unknown=True)
    return rows


def _read(
    cursor: Any,
    source: Source,
    filters: Filters,
    sorting: Sorting,
    after: Place | None,
    limit: int,
    *,
    few: bool,
    unknown: bool = False,
) -> list[Row]:
    conditions = [filters.where]
    if sorting.nullable:
        conditions.append(f"t.{sorting.column} IS {'' if unknown else 'NOT '}NULL")
    by_start = unknown or sorting.column == "first_start"
    columns = (*(() if by_start else (sorting.column,)), "first_start", "project_id", "trace_id")
    values: dict[str, Any] = {}
    if after is not None:
        condition, values = behind(columns, after, sorting.descending)
        conditions.append(condition)
    direction = " DESC" if sorting.descending else ""
    order = ", ".join(f"t.{column}{direction}" for column in columns)
    where = " AND ".join(conditions)
    if few:
        head = f"WITH {source.ctes}\n" if source.ctes else ""
        # OFFSET keeps the order out of the search.
        inside = f"(SELECT * FROM {relation(source, where)} t OFFSET 0)"
        sql = f"{head}SELECT {', '.join(PICKED)} FROM {inside} t ORDER BY {order} LIMIT %(page_limit)s"
    else:
        sql = select(source, PICKED, where, order, "%(page_limit)s")
    cursor.execute(sql, {**source.parameters, **filters.parameters, **values, "page_limit": limit})
    rows: list[Row] = cursor.fetchall()
    return rows


def _few(cursor: Any, source: Source, filters: Filters, sorting: Sorting) -> bool:
    """Whether the planner expects so few rows that they are better sorted."""
    expected = _expected(cursor, source, filters, filters.where)
    if expected <= (FEW_BY_START if sorting.column == "first_start" else FEW_BY_VALUE):
        return True
    return expected <= FEW_PART * _expected(cursor, source, filters, filters.in_range)


def _expected(cursor: Any, source: Source, filters: Filters, where: str) -> int:
    sql = f"EXPLAIN SELECT 1 FROM trace t WHERE t.project_id = ANY(%(current_projects)s) AND {where}"
    cursor.execute(sql, {**source.parameters, **filters.parameters})
    found = _EXPECTED.search(cursor.fetchone()[0])
    return int(found[1]) if found else 0


def behind(columns: Sequence[str], after: Place, descending: bool) -> tuple[str, dict[str, Any]]:
    """Behind a row in this order; the first column alone is what an index is entered by."""
    known = {
        "first_start": after.start,
        "project_id": after.project_id,
        "trace_id": after.trace_id,
    }
    values = {f"after_{column}": known.get(column, after.value) for column in columns}
    sign = "<" if descending else ">"
    left = ", ".join(f"t.{column}" for column in columns)
    right = ", ".join(f"%(after_{column})s" for column in columns)
    return f"t.{columns[0]} {sign}= %(after_{columns[0]})s AND ({left}) {sign} ({right})", values


def _count(cursor: Any, source: Source, filters: Filters) -> int:
    cursor.execute(select(source, ["count(*)"], filters.where), {**source.parameters, **filters.parameters})
    return int(cursor.fetchone()[0])


def place_values(row: Row, sorting: Sorting) -> list[Value]:
    """Two values that say where a row of `PICKED` stands; `place_of` reads them."""
    value = UNKNOWN if sorting.name == "start_time" else value_of(row, sorting.column)
    start = (start_of(row) - EPOCH) // _US
    place = f"{start}:{value_of(row, 'project_id')}:{value_of(row, 'trace_id')}"
    return [UNKNOWN if value is None else str(value), place]


def place_of(after: Sequence[Value] | None) -> Place | None:
    """Where the page before ended, as its signed cursor says."""
    if after is None:
        return None
    value, place = (str(part) for part in after)
    start, project, trace_id = place.split(":", 2)
    known = None if value == UNKNOWN else int(value)
    return Place(known, EPOCH + int(start) * _US, int(project), trace_id)
