"""A page of conversations, by keyset; what has no cost comes last in both directions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from apps.common.reads.paging import Asked, Page, Value, finish
from apps.common.reads.snapshot import snapshot
from apps.traces.schema import EPOCH
from apps.traces.sessions.current import current_sessions, select
from apps.traces.sessions.filters import Filters
from apps.traces.sessions.shown import PICKED, shown, value_of

_US = timedelta(microseconds=1)
# Below and above every cost: sums of 64-bit integers stay under this.
_NEVER = 10**39
# The column, its expression in an ascending and in a descending order, and its type.
SORTS: Mapping[str, tuple[str, str, str, str]] = {
    "start_time": ("first_start", "x.first_start", "x.first_start", "timestamptz"),
    "last_activity": ("end_time", "x.end_time", "x.end_time", "timestamptz"),
    "turns": ("turns", "x.turns", "x.turns", "integer"),
    "total_cost_usd": ("total_cost", f"coalesce(x.total_cost, {_NEVER})", "coalesce(x.total_cost, -1)", "numeric"),
    "duration_ms": ("duration_us", "x.duration_us", "x.duration_us", "bigint"),
}


@dataclass(frozen=True, slots=True)
class Sorting:
    """How a list of conversations is ordered; equal values by project and id in the same direction."""

    name: str = "start_time"
    descending: bool = True

    @property
    def expression(self) -> str:
        return SORTS[self.name][2 if self.descending else 1]

    def after(self, values: Sequence[Value]) -> tuple[str, dict[str, Any]]:
        """Behind the row where the page before ended; the first condition is what an index is entered by."""
        kind, sign = SORTS[self.name][3], "<" if self.descending else ">"
        text, place = (str(value) for value in values)
        project, session = place.split(":", 1)
        value = EPOCH + int(text) * _US if kind == "timestamptz" else int(text)
        key = f"%(after_value)s::{kind}"
        condition = (
            f"{self.expression} {sign}= {key}"
            f" AND ({self.expression}, x.project_id, x.session_id) {sign} ({key}, %(after_project)s, %(after_session)s)"
        )
        return condition, {"after_value": value, "after_project": int(project), "after_session": session}

    def place(self, row: Sequence[Any]) -> list[Value]:
        """Two values that say where a row of `PICKED` stands; `after` reads them."""
        value = value_of(row, SORTS[self.name][0])
        if value is None:
            value = -1 if self.descending else _NEVER
        number = (value - EPOCH) // _US if isinstance(value, datetime) else int(value)
        return [str(number), f"{value_of(row, 'project_id')}:{value_of(row, 'session_id')}"]


def read_page(
    project_ids: Sequence[int], filters: Filters, sorting: Sorting, page: Asked, slugs: Mapping[int, str]
) -> Page[dict[str, Any]]:
    """One page of the conversations that are meant, all from one state of the database."""
    where, values = filters.where, filters.parameters
    behind = where
    if page.after is not None:
        condition, more = sorting.after(page.after)
        behind, values = f"{where} AND {condition}", {**values, **more}
    direction = " DESC" if sorting.descending else ""
    order = ", ".join(f"{column}{direction}" for column in (sorting.expression, "x.project_id", "x.session_id"))
    total = None
    with snapshot() as cursor:
        source = current_sessions(cursor, project_ids)
        values = {**source.parameters, **values, "page_limit": page.limit + 1}
        found = cursor.execute(select(source, PICKED, behind, order, "%(page_limit)s").encode(), values).fetchall()
        if page.include_total:
            counted = cursor.execute(select(source, ["count(*)"], where).encode(), values).fetchone()
            total = int(counted[0]) if counted else 0
    made = finish(page, found, sorting.place, total)
    return Page([shown(row, slugs) for row in made.rows], made.pagination)
