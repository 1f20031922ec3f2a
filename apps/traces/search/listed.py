"""The `search` parameter of the list of traces: words, beside its other filters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from apps.common.reads.paging import Asked, Page, next_cursor
from apps.common.reads.reading import bad
from apps.common.reads.snapshot import snapshot
from apps.traces.current import current_traces
from apps.traces.filters import Filters
from apps.traces.listing import UNKNOWN, Place, Sorting, place_of
from apps.traces.schema import EPOCH
from apps.traces.search.candidates import anchor
from apps.traces.search.conditions import Statement, verdict
from apps.traces.search.fields import FIELDS
from apps.traces.search.filters import Leaf
from apps.traces.search.query import parsed
from apps.traces.search.walk import Search, look, place
from apps.traces.shown import shown

_US = timedelta(microseconds=1)


def leaf_of(words: str) -> Leaf:
    """Words in the input or the output of some span.

    Raises:
        ApiError: 1202 or 1205 for words that cannot be searched for.
    """
    return Leaf(FIELDS["text"], "search", (), parsed(words, "search"))


def read_matching(
    project_ids: Sequence[int], filters: Filters, leaf: Leaf, sorting: Sorting, page: Asked, slugs: Mapping[int, str]
) -> Page[dict[str, Any]]:
    """One page of the traces that fulfil the list's filters and hold the words; it may end early, and lead on."""
    if page.include_total:
        raise bad("include_total", "include_total does not go with search.")
    statement = Statement()
    search = Search(
        project_ids,
        filters.start,
        filters.end,
        verdict(statement, leaf),
        anchor(statement, leaf),
        {**statement.values, **filters.parameters},
        sorting,
        filters.where,
    )
    with snapshot() as cursor:
        source = current_traces(cursor, project_ids, within=(filters.start, filters.end), trace_ids=filters.trace_ids)
        found = look(cursor, source, search, place_of(page.after), page.limit + 1)
    rows = found.rows[: page.limit]
    more = len(found.rows) > page.limit
    following = place(rows[-1], sorting) if more else None if found.exhausted else found.reached
    pagination = {
        "limit": page.limit,
        "next_cursor": None if following is None else next_cursor(page, _values(following)),
        "has_more": following is not None,
    }
    return Page([shown(row, slugs) for row in rows], pagination)


def _values(at: Place) -> list[str | int]:
    value = UNKNOWN if at.value is None else str(at.value)
    return [value, f"{(at.start - EPOCH) // _US}:{at.project_id}:{at.trace_id}"]
