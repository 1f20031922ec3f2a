"""What an export of spans is asked for beside its range and its columns: filters, by name or as a tree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from apps.common.reads.reading import Problems, bad, choice, flag
from apps.exports.sources.spans.columns import needs_trace
from apps.traces.filters import LISTED, MAX_TEXT, MAX_VALUES, NUMERIC, STATUSES, Filters, amount_of, filters_of
from apps.traces.search.candidates import anchor
from apps.traces.search.conditions import Statement, span_leaf, span_verdict, verdict
from apps.traces.search.fields import FIELDS, Field
from apps.traces.search.filters import Leaf, Node, leaves, tree_of
from apps.traces.search.listed import leaf_of

MATCHES: Final = ("spans", "traces")
KEYS: Final = ("match", *LISTED, *NUMERIC, "has_error", "search", "filter")
# What the names of the list of traces mean for a span.
_SPAN: Final[dict[str, Field]] = {
    **{name: FIELDS[name] for name in LISTED if name in FIELDS},
    "trace_id": replace(FIELDS["trace_id"], sql="s.trace_id"),
    "tag": FIELDS["tags"],
    "duration_ms": FIELDS["duration_ms"],
    "cost": FIELDS["total_cost_usd"],
    "tokens": FIELDS["total_tokens"],
}


@dataclass(frozen=True, slots=True)
class Condition:
    """Which spans are meant.

    Args:
        sql: over `s`, `t` and `c` where spans are matched, over `t` where traces are; true for those that are meant.
        values: what its placeholders stand for.
        trace, content: whether `sql` over a span needs its trace, its content.
        anchor: a tsquery that holds for the content of a span of all that is meant, if there is one.
        trace_ids: where traces are named.
    """

    traces: bool
    sql: str
    values: Mapping[str, Any]
    trace: bool
    content: bool
    anchor: str | None
    trace_ids: tuple[str, ...] | None


def question_of(body: Mapping[str, Any], problems: Problems) -> dict[str, Any]:
    """The part of a body that is kept with the job, checked; what is wrong is noted."""
    made: dict[str, Any] = {"match": problems.take(lambda: choice(body.get("match", "spans"), MATCHES, "match"), "")}
    for name in LISTED:
        if name in body:
            made[name] = problems.take(lambda name=name: _texts(body[name], name), [])  # type: ignore[misc]
    for name in NUMERIC:
        if name in body:
            problems.take(lambda name=name: _amount(body[name], name), 0)  # type: ignore[misc]
            made[name] = str(body[name])
    if "has_error" in body:
        made["has_error"] = problems.take(lambda: _truth(body["has_error"], "has_error"), False)
    if "search" in body:
        problems.take(lambda: leaf_of(_text(body["search"], "search")), None)
        made["search"] = body["search"]
    if "filter" in body:
        problems.take(lambda: tree_of(body["filter"]), None)
        made["filter"] = body["filter"]
    return made


def trees_of(question: Mapping[str, Any]) -> list[Node]:
    """The tree and the words that a checked question has."""
    found: list[Node] = [tree_of(question["filter"])] if "filter" in question else []
    return [*found, leaf_of(question["search"])] if "search" in question else found


def asks_content(question: Mapping[str, Any]) -> bool:
    """Whether it asks about texts."""
    return any(leaf.field.content for tree in trees_of(question) for leaf in leaves(tree))


def condition_of(question: Mapping[str, Any], bounds: tuple[datetime, datetime]) -> Condition:
    """The SQL of a checked question."""
    statement, trees = Statement(), trees_of(question)
    if question["match"] == "traces":
        filters = listed(question, bounds)
        parts = [*(f"({one})" for one in filters.conditions), *(verdict(statement, tree) for tree in trees)]
        found = _anchor(statement, trees)
        values = {**filters.values, **statement.values}
        return Condition(True, " AND ".join(parts), values, True, False, found, filters.trace_ids)
    parts = [f"({part})" for part in _named(statement, question)]
    parts += [span_verdict(statement, tree) for tree in trees]
    sql = " AND ".join(parts)
    joined = any(leaf.field.joined for tree in trees for leaf in leaves(tree))
    ids = tuple(question["trace_id"]) if "trace_id" in question else None
    found = _anchor(statement, trees)
    return Condition(False, sql, statement.values, needs_trace(sql), joined, found, ids)


def listed(question: Mapping[str, Any], bounds: tuple[datetime, datetime]) -> Filters:
    """The filters by name as the list of traces reads them."""
    named = {name: question[name] for name in (*LISTED, *NUMERIC, "has_error") if name in question}
    times = {name: bound.isoformat() for name, bound in zip(("start_time", "end_time"), bounds, strict=True)}
    return filters_of({**named, **times}, bounds[1])


def _anchor(statement: Statement, trees: list[Node]) -> str | None:
    return next((found for found in (anchor(statement, tree) for tree in trees) if found is not None), None)


def _named(statement: Statement, question: Mapping[str, Any]) -> list[str]:
    """The filters by name, over a span."""
    made = [span_leaf(statement, Leaf(_SPAN[name], "in", tuple(question[name]))) for name in LISTED if name in question]
    for name in NUMERIC:
        if name in question:
            edge, _, what = name.partition("_")
            amount = statement.put(_amount(question[name], name))
            made.append(f"{_SPAN[what].sql} {'>=' if edge == 'min' else '<='} {amount}")
    if "has_error" in question:
        made.append(f"s.status {'=' if question['has_error'] else '<>'} 'error'")
    return made


def _amount(value: Any, name: str) -> int:
    edge, _, what = name.partition("_")
    return amount_of(value, name, edge, _SPAN[what].scale)


def _texts(value: Any, name: str) -> list[str]:
    """A text or a list of texts; of a text the commas are its own."""
    given = value if isinstance(value, list) else [value]
    if not 0 < len(given) <= MAX_VALUES:
        raise bad(name, f"{name} takes a text or a list of 1 to {MAX_VALUES} texts.")
    made = [_text(item, name) for item in given]
    return [choice(item, STATUSES, name) for item in made] if name == "status" else made


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise bad(name, f"{name} must be a text.", 1203)
    if len(value) > MAX_TEXT or any(letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in value):
        raise bad(name, f"A value of {name} has at most {MAX_TEXT} characters, none of them null.")
    return value


def _truth(value: Any, name: str) -> bool:
    if value is None:
        raise bad(name, f"{name} must be true or false.", 1203)
    return flag(value, name)
