"""The answer to a search: a page of traces, by time, cost, duration, tokens or relevance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from django.db import DataError, connection, transaction
from psycopg import errors

from apps.common.reads.reading import bad
from apps.common.reads.snapshot import snapshot
from apps.traces.current import current_traces
from apps.traces.listing import Place, Sorting
from apps.traces.search.candidates import anchor
from apps.traces.search.conditions import Statement, tsquery, verdict
from apps.traces.search.filters import Leaf, Node, leaves
from apps.traces.search.walk import Found, Row, Search, look, place
from apps.traces.search.words import both_sides
from apps.traces.shown import shown, value_of

RELEVANCE: Final = "relevance"
RANKED: Final = 500  # the newest traces that are meant, among which `relevance` orders
_UNIT: Final = 10**9  # ranks are compared as whole billionths
_RANK: Final = """
SELECT c.project_id, c.trace_id, max(ts_rank({words}, {query}))
FROM unnest(
    %(rank_projects)s::integer[], %(rank_ids)s::text[], %(rank_los)s::timestamptz[], %(rank_his)s::timestamptz[]
) AS n (project_id, trace_id, lo, hi)
JOIN span_content c ON c.trace_id = n.trace_id AND c.project_id = n.project_id
    AND c.start_time >= n.lo AND c.start_time <= n.hi
GROUP BY c.project_id, c.trace_id
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """A page.

    Args:
        complete: it did not end before its time: it is full, or there is nothing behind it.
        searched_to: the start of the trace up to which was looked, where it is not complete.
    """

    rows: list[dict[str, Any]]
    next_place: Place | None
    complete: bool
    searched_to: datetime | None
    looked_at: int


def words_of(tree: Node) -> list[Leaf]:
    """The leaves that relevance is measured by: words searched for in content."""
    return [
        leaf for leaf in leaves(tree) if leaf.operator == "search" and leaf.field.name in ("text", "input", "output")
    ]


def check_patterns(tree: Node) -> None:
    """Refuse regular expressions that PostgreSQL cannot read.

    Raises:
        ApiError: 1203.
    """
    for leaf in leaves(tree):
        if leaf.operator == "regex":
            try:
                with transaction.atomic(), connection.cursor() as cursor:
                    cursor.execute("SELECT '' ~ %s", [leaf.values[0]])
            except DataError as error:
                if not isinstance(error.__cause__, errors.InvalidRegularExpression):
                    raise
                raise bad(
                    leaf.field.name, f"The regular expression for {leaf.field.name} cannot be read.", 1203
                ) from None


def read(
    tree: Node,
    project_ids: Sequence[int],
    bounds: tuple[datetime, datetime],
    sorting: Sorting,
    after: Place | None,
    limit: int,
    slugs: Mapping[int, str],
) -> Answer:
    """One page of the traces that fulfil a filter, all from one state of the database."""
    check_patterns(tree)
    statement = Statement()
    condition, index = verdict(statement, tree), anchor(statement, tree)
    search = Search(project_ids, *bounds, condition, index, statement.values, sorting)
    with snapshot() as cursor:
        source = current_traces(cursor, project_ids, within=bounds)
        if sorting.name == RELEVANCE:
            newest = look(cursor, source, replace(search, sorting=Sorting()), None, RANKED)
            return _ranked(cursor, tree, newest, after, limit, slugs)
        found = look(cursor, source, search, after, limit + 1)
    rows = found.rows[:limit]
    more = len(found.rows) > limit
    following = place(rows[-1], sorting) if more else None if found.exhausted else found.reached
    partial = not more and not found.exhausted
    return Answer(
        [{**shown(row, slugs), RELEVANCE: None} for row in rows],
        following,
        not partial,
        found.reached.start if partial and found.reached is not None else None,
        found.looked_at,
    )


def _ranked(cursor: Any, tree: Node, found: Found, after: Place | None, limit: int, slugs: Mapping[int, str]) -> Answer:
    ranks = _ranks(cursor, tree, found.rows)
    ordered = sorted(((_place(row, ranks), row) for row in found.rows), key=lambda pair: _key(pair[0]))
    if after is not None:
        ordered = [pair for pair in ordered if _key(pair[0]) > _key(after)]
    page = ordered[:limit]
    rows = [{**shown(row, slugs), RELEVANCE: Decimal(spot.value or 0) / _UNIT} for spot, row in page]
    partial = not found.full and not found.exhausted
    return Answer(
        rows,
        page[-1][0] if len(ordered) > limit else None,
        not partial and not found.full,
        found.reached.start if not found.exhausted and found.reached is not None else None,
        found.looked_at,
    )


def _place(row: Row, ranks: Mapping[tuple[int, str], int]) -> Place:
    at = place(row, Sorting())
    return replace(at, value=ranks.get((at.project_id, at.trace_id), 0))


def _key(at: Place) -> tuple[Any, ...]:
    return -(at.value or 0), -at.start.timestamp(), at.project_id, at.trace_id


def _ranks(cursor: Any, tree: Node, rows: Sequence[Row]) -> dict[tuple[int, str], int]:
    """The best rank of a trace's spans, in billionths."""
    statement = Statement()
    sides = {"input": "A", "output": "B"}
    query = " || ".join(tsquery(statement, leaf.words, sides.get(leaf.field.name, "")) for leaf in words_of(tree))
    asked = {
        "rank_projects": [value_of(row, "project_id") for row in rows],
        "rank_ids": [value_of(row, "trace_id") for row in rows],
        "rank_los": [value_of(row, "first_start") for row in rows],
        "rank_his": [value_of(row, "end_time") for row in rows],
    }
    cursor.execute(_RANK.format(words=both_sides("c"), query=query), {**statement.values, **asked})
    return {(project, trace_id): round(rank * _UNIT) for project, trace_id, rank in cursor.fetchall()}
