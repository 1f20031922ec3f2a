"""Which traces may be meant, by the index of words: a superset, checked afterwards.

The index knows words without their places, attributes by hash, and not yet what the marks in `text_mark` speak of. So
phrases become their words, `not` is left out, and the traces of marked spans are candidates whatever they say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from apps.traces.search.conditions import Statement, term_query
from apps.traces.search.filters import Group, Leaf, Node, Scalar
from apps.traces.search.index import MARKED_SPANS, batches
from apps.traces.search.words import attribute_lexeme, project_lexeme

CAP: Final = 4_000  # candidates of one question to the index; more of them are found faster by looking at each trace
PENDING_SPANS: Final = 20_000
PENDING_MARKS: Final = 2_000
_SIDES: Final = ("text", "input", "output")

_FIND: Final = """
SELECT array_agg(DISTINCT found.trace_id), count(*) FROM (
    SELECT x.trace_id FROM span_text x
    WHERE x.project_id = ANY(%(projects)s::integer[]) AND x.start_time >= %(lo)s AND x.start_time < %(hi)s
        AND x.words @@ ({query})
    LIMIT %(cap)s
) found
"""
_MARKS: Final = """
SELECT id, project_id, lo, hi, at, spans FROM text_mark
WHERE project_id = ANY(%(projects)s::integer[]) AND hi > %(start)s LIMIT %(most)s
"""
_PENDING: Final = f"WITH {MARKED_SPANS} SELECT DISTINCT trace_id FROM batch"


@dataclass(frozen=True, slots=True)
class Pending:
    """What the index does not know yet: the traces of marked spans, or the time in which there are too many of them."""

    traces: tuple[str, ...] = ()
    unknown: tuple[datetime, datetime] | None = None

    def covers(self, lo: datetime, hi: datetime) -> bool:
        """Whether the index says nothing about content between these."""
        return self.unknown is not None and self.unknown[0] < hi and lo < self.unknown[1]


def anchor(statement: Statement, node: Node) -> str | None:
    """A tsquery that holds for some content row of every trace that is meant, if the filter has one."""
    if isinstance(node, Leaf):
        return _leaf(statement, node)
    if node.operator == "NOT":
        return None
    if node.operator == "OR":
        parts = [anchor(statement, child) for child in node.below]
        return None if None in parts else _joined([part for part in parts if part is not None], "||")
    # Leaves side by side hold on one span, so on one content row.
    direct = [_leaf(statement, child) for child in node.below if isinstance(child, Leaf)]
    found = [part for part in direct if part is not None]
    if found:
        return _joined(found, "&&")
    groups = (anchor(statement, child) for child in node.below if isinstance(child, Group))
    return next((part for part in groups if part is not None), None)


def _joined(parts: Sequence[str], sign: str) -> str:
    return "(" + f" {sign} ".join(parts) + ")"


def _leaf(statement: Statement, leaf: Leaf) -> str | None:
    if leaf.operator == "search" and leaf.field.name in _SIDES:
        return _words(statement, leaf)
    if leaf.field.type == "attribute" and leaf.operator in ("eq", "in") and None not in leaf.values:
        return _joined([_attribute(statement, leaf.field.key, value) for value in leaf.values], "||")
    return None


def _words(statement: Statement, leaf: Leaf) -> str | None:
    groups = []
    for group in leaf.words:
        asked = [term for term in group if not term.negated]
        if not asked:
            return None
        # The words of a phrase, in any order.
        terms = (f"replace({term_query(statement, term)}::text, '<->', '&')::tsquery" for term in asked)
        groups.append(_joined(list(terms), "&&"))
    return _joined(groups, "||")


def _attribute(statement: Statement, key: str, value: Scalar) -> str:
    if isinstance(value, bool):
        text = statement.put(str(value).lower())
    elif isinstance(value, Decimal):
        text = f"trim_scale({statement.put(value)}::numeric)::text"
    else:
        text = f"{statement.put(value)}::text"
    return f"('''' || {attribute_lexeme(f'{statement.put(key)}::text', text)} || '''')::tsquery"


def of_projects(query: str, project_ids: Sequence[int]) -> str:
    """The same for content of these projects, so that none looks through another's."""
    lexemes = " | ".join(f"'#{number}'" for number in project_ids)
    assert project_lexeme("n") == "'#' || n"
    return f"({query}) && $projects${lexemes}$projects$::tsquery"


def find(
    cursor: Any, project_ids: Sequence[int], query: str, values: dict[str, Any], lo: datetime, hi: datetime, cap: int
) -> list[str] | None:
    """The traces of content between two times that the index names; None if there are more than `cap` content rows."""
    asked = {**values, "projects": list(project_ids), "lo": lo, "hi": hi, "cap": cap + 1}
    cursor.execute(_FIND.format(query=of_projects(query, project_ids)), asked)
    # Content rows are counted, not traces: the last ones that were left out may be of a trace that none of these is of.
    found, rows = cursor.fetchone()
    return None if rows > cap else list(found or ())


def pending(cursor: Any, project_ids: Sequence[int], start: datetime) -> Pending:
    """What has been written since `start` of which the index does not know yet."""
    cursor.execute(_MARKS, {"projects": list(project_ids), "start": start, "most": PENDING_MARKS + 1})
    rows = cursor.fetchall()
    if not rows:
        return Pending()
    if len(rows) > PENDING_MARKS or sum(row[5] for row in rows) > PENDING_SPANS:
        cursor.execute(
            "SELECT min(lo), max(hi) FROM text_mark WHERE project_id = ANY(%s) AND hi > %s", [list(project_ids), start]
        )
        lo, hi = cursor.fetchone()
        return Pending(unknown=(lo, hi))
    cursor.execute(_PENDING, batches(rows))
    return Pending(tuple(row[0] for row in cursor.fetchall()))
