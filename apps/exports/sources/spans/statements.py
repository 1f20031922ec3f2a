"""The statements of an export of spans. Each is about one project and a range of starts.

A day of spans is sorted where the index does not give them in order already; nothing larger is, since ranges are read
in slices. Traces are joined where a column or a filter needs them, those alone that can have a span in the slice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from apps.exports.sources.spans.columns import PROOF, Declared
from apps.exports.sources.spans.question import Condition
from apps.traces.current import Source, relation
from apps.traces.search.index import same_span

PREPARE: Final = """
SELECT set_config('cursor_tuple_fraction', '1', true), set_config('jit', 'off', true),
    set_config('timezone', 'UTC', true), set_config('work_mem', '64MB', true)
"""
# The planner takes traces that are computed anew for a handful, and would look through all of them for every span.
LOOPS: Final = "SELECT set_config('enable_nestloop', %(loops)s, true)"
FIRST: Final = """
SELECT min(start_time) FROM span
WHERE project_id = %(span_project)s AND start_time >= %(span_lo)s AND start_time < %(span_hi)s
"""
# Between which starts the traces have spans that may say something else than their rows.
TOUCHED: Final = """
WITH {ctes} SELECT min(b.lo), max(b.hi) FROM current_touched b
WHERE b.lo < %(current_end)s AND b.hi >= %(current_start)s
"""
DECLARE: Final = "DECLARE export_spans NO SCROLL CURSOR FOR "
FETCH: Final = "FETCH FORWARD {rows} FROM export_spans"
CLOSE: Final = "CLOSE export_spans"
PROVING: Final = len(PROOF)
_COUNTED: Final = """
SELECT count(*), count(*) FILTER (WHERE x.proof_billable),
    sum(x.proof_cost) FILTER (WHERE x.proof_billable), sum(x.proof_tokens) FILTER (WHERE x.proof_billable),
    sum(x.proof_cost), sum(x.proof_tokens)
FROM ({inner}) x
"""
# One byte order everywhere, so that the same spans are the same file on every server.
_ORDER: Final = 's.start_time, s.trace_id COLLATE "C", s.span_id COLLATE "C"'
_KEY: Final = (
    "s.start_time AS key_start",
    's.trace_id COLLATE "C" AS key_trace',
    's.span_id COLLATE "C" AS key_span',
)
_OUTER_ORDER: Final = "x.key_start, x.key_trace, x.key_span"
_RANGE: Final = "s.project_id = %(span_project)s AND s.start_time >= %(span_lo)s AND s.start_time < %(span_hi)s"
# Few traces last for more than an hour, and an index knows them; those that began before what is kept of raw spans may
# have got spans since that their rows do not speak of.
_NEAR: Final = (
    "(t.first_start >= %(span_lo)s - interval '1 hour' AND t.first_start < %(span_hi)s)"
    " OR (t.last_start - t.first_start > interval '1 hour' AND t.first_start < %(span_hi)s"
    " AND t.last_start >= %(span_lo)s)"
    " OR (t.first_start < %(span_floor)s)"
)
_CHOSEN: Final = (
    "t.first_start >= %(range_start)s AND t.first_start < %(range_end)s"
    " AND t.first_start < %(span_hi)s AND t.last_start >= %(span_lo)s"
)
_CONTENT_BOUNDS: Final = "c.start_time >= %(span_lo)s AND c.start_time < %(span_hi)s"


@dataclass(frozen=True, slots=True)
class Slice:
    """A range of starts of one project's spans.

    Args:
        floor: from when on the project's raw spans are whole.
        search_to: a moment behind all spans of the traces that may be meant.
    """

    project_id: int
    slug: str
    lo: datetime
    hi: datetime
    floor: datetime
    search_to: datetime

    def parameters(self, start: datetime, end: datetime) -> dict[str, Any]:
        return {
            "span_project": self.project_id,
            "span_slug": self.slug,
            "span_lo": self.lo,
            "span_hi": self.hi,
            "span_floor": self.floor,
            "range_start": start,
            "range_end": end,
            "search_from": start,
            "search_to": self.search_to,
            "current_start": self.lo,
            "current_end": self.hi,
        }


def counted(source: Source, condition: Condition, *, limited: bool = False) -> str:
    """Rows and sums; of the first rows alone where it is limited."""
    ending = f" ORDER BY {_ORDER} LIMIT %(span_limit)s" if limited else ""
    ctes, inner = _spans(source, condition, PROOF, trace=False)
    return ctes + _COUNTED.format(inner=inner + ending)


def rows(
    source: Source, condition: Condition, declared: Sequence[Declared], *, lines: bool = False, limited: bool = False
) -> str:
    """A slice in the file's order: what proves it first, then the columns, as values or as CSV has them."""
    kept = [f"{made.inner} AS {made.name}" for made in declared if made.inner]
    trace = any(made.of_trace for made in declared)
    ctes, inner = _spans(source, condition, [*PROOF, *_KEY, *kept], trace=trace)
    limit = " LIMIT %(span_limit)s" if limited else ""
    outer = ", ".join([_prefix(lines), *(made.line if lines else made.outer for made in declared)])
    made = f"SELECT {outer} FROM ({inner} ORDER BY {_ORDER}{limit} OFFSET 0) x{_content(declared)}"
    return f"{ctes}{made} ORDER BY {_OUTER_ORDER}"


def copied(select: str) -> str:
    """The same as lines of CSV."""
    return f"COPY ({select}) TO STDOUT (FORMAT csv)"


def _prefix(lines: bool) -> str:
    if not lines:
        return "x.proof_cost, x.proof_tokens, x.proof_billable"
    return "concat(x.proof_cost, ';', x.proof_tokens, ';', CASE WHEN x.proof_billable THEN '1' END)"


def _content(declared: Sequence[Declared]) -> str:
    """Content of one span after another, behind the sort: texts are never sorted along."""
    columns = [made.source for made in declared if made.source]
    if not columns:
        return ""
    names = ", ".join(f"c.{name}" for name in columns)
    same = (
        'c.trace_id = x.key_trace COLLATE "default" AND c.span_id = x.key_span COLLATE "default"'
        " AND c.start_time = x.key_start"
        " AND c.project_id = %(span_project)s"
    )
    return (
        f" LEFT JOIN LATERAL (SELECT {names} FROM span_content c WHERE {same} AND {_CONTENT_BOUNDS} OFFSET 0) c ON true"
    )


def _spans(source: Source, condition: Condition, picked: Sequence[str], *, trace: bool) -> tuple[str, str]:
    """WITH (or nothing), and a SELECT of the spans of a slice that are meant."""
    select = f"SELECT {', '.join(picked)} FROM span s"
    ctes = [source.ctes] if source.ctes else []
    where = _RANGE
    if condition.trace_ids is not None:
        where += " AND s.trace_id = ANY(%(span_traces)s::text[])"
    if condition.anchor is not None:
        where += " AND (%(span_candidates)s::text[] IS NULL OR s.trace_id = ANY(%(span_candidates)s::text[]))"
    if condition.traces:
        ctes.append(_chosen(source, condition))
        select += " JOIN chosen t ON t.trace_id = s.trace_id"
        where += " AND s.start_time >= t.first_start AND s.start_time <= t.last_start"
    else:
        if trace or condition.trace:
            select += f" LEFT JOIN {relation(source, _NEAR)} t ON t.trace_id = s.trace_id"
        else:
            ctes = []
        if condition.content:
            select += f" LEFT JOIN span_content c ON {same_span('c', 's')} AND {_CONTENT_BOUNDS}"
        where += f" AND ({condition.sql})" if condition.sql else ""
    head = f"WITH {', '.join(ctes)}\n" if ctes else ""
    return head, f"{select} WHERE {where}"


def _chosen(source: Source, condition: Condition) -> str:
    """The traces that are meant and can have a span in the slice."""
    where = f" WHERE {condition.sql}" if condition.sql else ""
    return f"chosen AS MATERIALIZED (SELECT t.* FROM (SELECT * FROM {relation(source, _CHOSEN)} t OFFSET 0) t{where})"
