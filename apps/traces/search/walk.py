"""A page of a search: traces looked at one after another in the order of the answer, or those that the index names.

Every step looks at a bounded number of traces and keeps no more than a page of them. A page ends when it is full, when
there is nothing left, or when it has cost enough: then its cursor leads on from the last trace that was looked at.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from apps.traces.current import Source, relation
from apps.traces.listing import Place, Sorting, behind
from apps.traces.search.candidates import CAP, Pending, find, pending
from apps.traces.shown import PICKED, start_of, value_of

FIRST_STEP: Final = 60
LONGEST_STEP: Final = 4_000
MOST_LOOKED_AT: Final = 40_000
MOST_SECONDS: Final = 3.0
LONG: Final = timedelta(hours=1)  # as in the index `trace_long`
SHORTEST_WINDOW: Final = timedelta(hours=1)
CAP_UNORDERED: Final = 20_000
Row = Sequence[Any]
_US = timedelta(microseconds=1)
_STEP: Final = """
WITH {ctes}page AS MATERIALIZED (
    SELECT t.*, row_number() OVER (ORDER BY {order}) AS place FROM {relation} t ORDER BY {order} LIMIT %(step)s
)
SELECT {picked}, t.ok, t.place FROM (SELECT t.*, {verdict} AS ok FROM page t OFFSET 0) t
WHERE t.ok OR t.place = (SELECT max(place) FROM page) ORDER BY t.place
"""


@dataclass(frozen=True, slots=True)
class Search:
    """What is searched for.

    Args:
        verdict: SQL over `t`; true for the traces that are meant.
        anchor: a tsquery that holds for a content row of each of them.
        values: what the placeholders of all of them stand for.
        where: a further condition over `t`, by which traces are left out before they are looked at.
    """

    project_ids: Sequence[int]
    start: datetime
    end: datetime
    verdict: str
    anchor: str | None
    values: dict[str, Any]
    sorting: Sorting
    where: str = ""


@dataclass(slots=True)
class Found:
    """The rows of `PICKED` so far, and where looking for more goes on (None: nowhere).

    However long it took to get there, a page goes some way: one that went none would lead back to itself, or nowhere.
    """

    wanted: int
    rows: list[Row] = field(default_factory=list)
    reached: Place | None = None
    looked_at: int = 0
    began: float = field(default_factory=time.monotonic)
    exhausted: bool = False
    moved: bool = False

    @property
    def full(self) -> bool:
        return len(self.rows) >= self.wanted

    @property
    def spent(self) -> bool:
        return self.moved and (self.looked_at >= MOST_LOOKED_AT or time.monotonic() - self.began > MOST_SECONDS)


def look(cursor: Any, source: Source, search: Search, after: Place | None, wanted: int) -> Found:
    """Up to `wanted` traces behind a place."""
    found = Found(wanted, reached=after)
    waiting = pending(cursor, search.project_ids, search.start) if search.anchor else Pending()
    if search.anchor is None:
        _by_order(cursor, source, search, found, None)
    elif search.sorting.name == "start_time":
        _by_windows(cursor, source, search, found, waiting)
    else:
        _by_order(cursor, source, search, found, _all_candidates(cursor, search, waiting))
    return found


def _all_candidates(cursor: Any, search: Search, waiting: Pending) -> list[str] | None:
    """For an order other than that of time: the traces that the index names in the whole range, unless too many."""
    far = search.end + timedelta(days=36_500)
    if search.anchor is None or waiting.covers(search.start, far):
        return None
    ids = find(cursor, search.project_ids, search.anchor, search.values, search.start, far, CAP_UNORDERED)
    return None if ids is None else [*{*ids, *waiting.traces}]


def _by_order(cursor: Any, source: Source, search: Search, found: Found, ids: list[str] | None) -> None:
    """Traces in order; those without a value to order by come last."""
    bounds = (search.start, search.end)
    last = last_start(cursor, source, bounds)
    sorting, after = search.sorting, found.reached
    if after is None or after.value is not None or not sorting.nullable:
        _steps(cursor, source, search, found, bounds, last, ids)
        if not found.exhausted:
            return
        after = None
    if sorting.nullable:
        edge = search.end if sorting.descending else search.start
        found.reached, found.exhausted = after or Place(None, edge, 0, ""), False
        _steps(cursor, source, search, found, bounds, last, ids, unknown=True)


def _by_windows(cursor: Any, source: Source, search: Search, found: Found, waiting: Pending) -> None:
    """In the order of time, window by window: all that is left if the index names few, else shorter ones."""
    lo, hi = search.start, search.end
    descending = search.sorting.descending
    if found.reached is not None:
        if descending:
            hi = min(hi, found.reached.start + _US)
        else:
            lo = max(lo, found.reached.start)
    width = hi - lo
    while lo < hi and not found.full and not found.spent:
        window = (max(lo, hi - width), hi) if descending else (lo, min(hi, lo + width))
        last = last_start(cursor, source, window)
        ids = _candidates(cursor, search, (window[0], last), waiting)
        if ids is None and width > SHORTEST_WINDOW:
            width = max(width / 8, SHORTEST_WINDOW)
            continue
        found.exhausted = ids == []
        if not found.exhausted:
            _steps(cursor, source, search, found, window, last, ids)
        if not found.exhausted:
            return
        lo, hi = (lo, window[0]) if descending else (window[1], hi)
        found.reached = Place(None, hi, 0, "") if descending else Place(None, lo, 0, "")
        found.moved = True
        width *= 2
    found.exhausted = lo >= hi


def _candidates(cursor: Any, search: Search, content: tuple[datetime, datetime], waiting: Pending) -> list[str] | None:
    """The traces that may be meant by content between two times; None if the index names too many."""
    assert search.anchor is not None
    if waiting.covers(*content):
        return None
    ids = find(cursor, search.project_ids, search.anchor, search.values, *content, CAP)
    return None if ids is None else [*{*ids, *waiting.traces}]


def last_start(cursor: Any, source: Source, window: tuple[datetime, datetime]) -> datetime:
    """A moment behind all spans of the traces that begin in a window: few last for longer than LONG."""
    rows = relation(
        source,
        "t.first_start >= %(lo)s AND t.first_start < %(hi)s AND t.last_start - t.first_start > interval '1 hour'",
    )
    head = f"WITH {source.ctes} " if source.ctes else ""
    cursor.execute(
        f"{head}SELECT max(t.last_start) FROM {rows} t", {**source.parameters, "lo": window[0], "hi": window[1]}
    )
    (last,) = cursor.fetchone()
    usual = window[1] + LONG
    return usual if last is None else max(usual, last + _US)


def _steps(
    cursor: Any,
    source: Source,
    search: Search,
    found: Found,
    bounds: tuple[datetime, datetime],
    last: datetime,
    ids: list[str] | None,
    *,
    unknown: bool = False,
) -> None:
    """Look at the traces behind `found.reached`, more of them with each step, until the page or the budget is full.

    Args:
        bounds: between which the traces begin.
        last: a moment behind all their spans.
        ids: the traces that come into question, if that is known.
    """
    step = max(FIRST_STEP, found.wanted + found.wanted // 8)
    found.exhausted = False
    while not found.full and not found.spent and not found.exhausted:
        step = min(step, LONGEST_STEP)
        rows = _step(cursor, source, search, found.reached, bounds, last, ids, step, unknown=unknown)
        found.moved = True
        looked_at = rows[-1][-1] if rows else 0
        found.looked_at += looked_at
        found.exhausted = looked_at < step
        matching = [row[:-2] for row in rows if row[-2]]
        found.rows += matching[: found.wanted - len(found.rows)]
        if found.full:
            found.exhausted = False
            found.reached = place(found.rows[-1], search.sorting)
        elif rows:
            found.reached = place(rows[-1][:-2], search.sorting)
        step *= 2


def _step(
    cursor: Any,
    source: Source,
    search: Search,
    after: Place | None,
    bounds: tuple[datetime, datetime],
    last: datetime,
    ids: list[str] | None,
    step: int,
    *,
    unknown: bool,
) -> list[Row]:
    sorting = search.sorting
    conditions = ["t.first_start >= %(lo)s AND t.first_start < %(hi)s"]
    if search.where:
        conditions.append(f"({search.where})")
    if ids is not None:
        conditions.append("t.trace_id = ANY(%(ids)s::text[])")
    if sorting.nullable:
        conditions.append(f"t.{sorting.column} IS {'' if unknown else 'NOT '}NULL")
    by_start = unknown or sorting.column == "first_start"
    columns = (*(() if by_start else (sorting.column,)), "first_start", "project_id", "trace_id")
    values: dict[str, Any] = {"lo": bounds[0], "hi": bounds[1], "ids": ids, "step": step}
    values |= {"search_from": bounds[0], "search_to": last}
    if after is not None:
        condition, more = behind(columns, after, sorting.descending)
        conditions.append(condition)
        values |= more
    order = ", ".join(f"t.{column}{' DESC' if sorting.descending else ''}" for column in columns)
    sql = _STEP.format(
        ctes=f"{source.ctes}, " if source.ctes else "",
        order=order,
        relation=relation(source, " AND ".join(conditions), order, "%(step)s"),
        picked=", ".join(PICKED),
        verdict=search.verdict,
    )
    cursor.execute(sql, {**source.parameters, **search.values, **values})
    rows: list[Row] = cursor.fetchall()
    return rows


def place(row: Row, sorting: Sorting) -> Place:
    """Where a row of `PICKED` stands."""
    value = None if sorting.name == "start_time" else value_of(row, sorting.column)
    return Place(
        None if value is None else int(value), start_of(row), value_of(row, "project_id"), value_of(row, "trace_id")
    )
