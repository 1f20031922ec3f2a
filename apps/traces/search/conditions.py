"""From a tree of filters to SQL over `t`, a row of current traces (apps.traces.current)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from apps.traces.search.fields import NEGATIVE
from apps.traces.search.filters import Group, Leaf, Node, Scalar
from apps.traces.search.index import same_span
from apps.traces.search.query import Alternatives, Term
from apps.traces.search.words import attribute_text, both_sides, vector

_SIGNS: Final = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_PARTS: Final = {
    "contains": "strpos({0}, {1}) > 0",
    "starts_with": "starts_with({0}, {1})",
    "ends_with": "right({0}, length({1})) = {1}",
    "regex": "{0} ~ {1}",
}
_SIDE: Final = {"input": "A", "output": "B", "text": ""}
# OFFSET keeps the planner from turning the question about one trace into a join over all spans there are. The outer
# bounds, of all traces that are looked at, let it plan without the partitions that none of them reaches.
_SOME_SPAN: Final = (
    "EXISTS (SELECT 1 FROM span s{join} WHERE s.trace_id = t.trace_id AND s.project_id + 0 = t.project_id"
    " AND s.start_time >= t.first_start AND s.start_time <= t.last_start"
    " AND s.start_time >= %(search_from)s AND s.start_time < %(search_to)s AND ({condition}) OFFSET 0)"
)
_JOIN: Final = (
    f" LEFT JOIN span_content c ON {same_span('c', 's')}"
    " AND c.start_time >= %(search_from)s AND c.start_time < %(search_to)s"
)


@dataclass(slots=True)
class Statement:
    """Collects the parameters of a condition."""

    values: dict[str, Any] = field(default_factory=dict)

    def put(self, value: Any) -> str:
        name = f"search_{len(self.values)}"
        self.values[name] = value
        return f"%({name})s"


def verdict(statement: Statement, node: Node) -> str:
    """Whether a trace is meant: true or false, never NULL."""
    if isinstance(node, Leaf):
        return _together(statement, [node], " AND ")
    if node.operator == "NOT":
        return f"NOT ({verdict(statement, node.below[0])})"
    # Whether one span fulfils some of several conditions is whether some span fulfils one of them.
    joint = f" {node.operator} "
    direct = [child for child in node.below if isinstance(child, Leaf)]
    parts = [_together(statement, direct, joint)] if direct else []
    parts += [verdict(statement, child) for child in node.below if isinstance(child, Group)]
    return "(" + joint.join(parts) + ")"


def span_verdict(statement: Statement, node: Node) -> str:
    """Whether a span is meant, over `s`, `c` and `t`: leaves about traces hold for its trace. Never NULL."""
    if isinstance(node, Leaf):
        return _trace_leaf(statement, node)
    if node.operator == "NOT":
        return f"NOT ({span_verdict(statement, node.below[0])})"
    return "(" + f" {node.operator} ".join(span_verdict(statement, child) for child in node.below) + ")"


def _together(statement: Statement, leaves: Sequence[Leaf], joint: str) -> str:
    """Leaves that stand side by side: those about spans on one span."""
    parts = [_trace_leaf(statement, leaf) for leaf in leaves if leaf.field.trace]
    spans = [leaf for leaf in leaves if not leaf.field.trace]
    if spans:
        condition = joint.join(f"({span_leaf(statement, leaf)})" for leaf in spans)
        join = _JOIN if any(leaf.field.joined for leaf in spans) else ""
        parts.append(_SOME_SPAN.format(join=join, condition=condition))
    return "(" + joint.join(parts) + ")"


def _trace_leaf(statement: Statement, leaf: Leaf) -> str:
    if leaf.field.type == "score":
        return _score(statement, leaf)
    return f"(({span_leaf(statement, leaf)}) IS TRUE)"


def span_leaf(statement: Statement, leaf: Leaf) -> str:
    """A leaf over one span: a negative operator is the opposite of the positive one, also where nothing is there."""
    positive = NEGATIVE.get(leaf.operator)
    if positive is not None:
        return f"({span_leaf(statement, Leaf(leaf.field, positive, leaf.values))}) IS NOT TRUE"
    kinds: dict[str, Callable[[Statement, Leaf], str]] = {
        "texts": _texts,
        "attribute": _attribute,
        "words": lambda made, one: _search(made, one, ""),
    }
    return kinds.get(leaf.field.type, _plain)(statement, leaf)


def _plain(statement: Statement, leaf: Leaf) -> str:
    sql, operator = leaf.field.sql, leaf.operator
    if operator == "search":
        return _search(statement, leaf, sql)
    if operator in _PARTS:
        return _PARTS[operator].format(sql, statement.put(leaf.values[0]))
    scaled = [value * leaf.field.scale if isinstance(value, Decimal) else value for value in leaf.values]
    if operator in _SIGNS:
        return f"{sql} {_SIGNS[operator]} {statement.put(scaled[0])}"
    if operator == "in":
        return f"{sql} = ANY({statement.put(scaled)})"
    return f"{sql} IS NULL" if scaled[0] is None else f"{sql} = {statement.put(scaled[0])}"


def _texts(statement: Statement, leaf: Leaf) -> str:
    """A list of texts: some of them is, begins, ends or matches; `contains` means that one is exactly this."""
    sql, operator = leaf.field.sql, leaf.operator
    if operator == "in":
        return f"{sql} && {statement.put(list(leaf.values))}::text[]"
    if operator in ("eq", "contains"):
        missing = f"coalesce(cardinality({sql}), 0) = 0"
        return missing if leaf.values[0] is None else f"{statement.put(leaf.values[0])} = ANY({sql})"
    condition = _PARTS[operator].format("one.value", statement.put(leaf.values[0]))
    return f"EXISTS (SELECT 1 FROM unnest({sql}) AS one (value) WHERE {condition})"


def _attribute(statement: Statement, leaf: Leaf) -> str:
    key = statement.put(leaf.field.key)
    value = "coalesce(" + ", ".join(f"c.attributes->'{part}'->{key}" for part in ("span", "resource", "scope")) + ")"
    text = attribute_text(value)
    if leaf.operator == "search":
        return _search(statement, leaf, text)
    if leaf.operator in _PARTS:
        return _PARTS[leaf.operator].format(text, statement.put(leaf.values[0]))
    figure = f"(CASE jsonb_typeof({value}) WHEN 'number' THEN ({value} #>> '{{}}')::numeric END)"
    if leaf.operator in _SIGNS:
        return f"{figure} {_SIGNS[leaf.operator]} {statement.put(leaf.values[0])}"

    def equal(one: Scalar) -> str:
        if one is None:
            return f"({text} IS NULL)"
        if isinstance(one, bool):
            return f"({value} = '{str(one).lower()}'::jsonb)"
        return f"({figure if isinstance(one, Decimal) else text} = {statement.put(one)})"

    return " OR ".join(equal(one) for one in leaf.values)


def _score(statement: Statement, leaf: Leaf) -> str:
    positive = NEGATIVE.get(leaf.operator)
    if positive is not None:
        return f"NOT {_score(statement, Leaf(leaf.field, positive, leaf.values))}"

    def holds(one: Scalar) -> str:
        if one is None:
            return "true"
        column, value = ("k.label", one) if isinstance(one, str) else ("k.value", Decimal(one))  # type: ignore[arg-type]
        return f"{column} {_SIGNS.get(leaf.operator, '=')} {statement.put(value)}"

    condition = " OR ".join(holds(one) for one in leaf.values)
    named = statement.put(leaf.field.key)
    some = (
        "EXISTS (SELECT 1 FROM score k WHERE k.project_id = t.project_id AND k.trace_id = t.trace_id"
        f" AND k.name = {named} AND ({condition}) OFFSET 0)"
    )
    return f"NOT {some}" if leaf.values == (None,) else some


def _search(statement: Statement, leaf: Leaf, sql: str) -> str:
    side = _SIDE.get(leaf.field.name)
    found = vector(sql) if side is None else both_sides("c")
    return f"{found} @@ {tsquery(statement, leaf.words, side or '')}"


def tsquery(statement: Statement, words: Alternatives, side: str = "") -> str:
    """The words as a tsquery; `side` is the weight of the side of the content that must hold them."""
    groups = []
    for group in words:
        terms = (f"{'!!' if term.negated else ''}{term_query(statement, term, side)}" for term in group)
        groups.append("(" + " && ".join(terms) + ")")
    return "(" + " || ".join(groups) + ")"


def term_query(statement: Statement, term: Term, side: str = "") -> str:
    flags = ("*" if term.prefix else "") + side
    return f"to_tsquery('simple', {statement.put(quoted(term.text, flags))})"


def quoted(text: str, flags: str) -> str:
    """A term for to_tsquery: its words stand behind one another, separated as in stored texts."""
    for sign in ("\\n", "/", ".", "-", "_", "<", "+", "'", "\\", "*"):
        text = text.replace(sign, " ")
    return f"'{text}'" + (f":{flags}" if flags else "")
