"""The metrics engine's word on an export of spans: how many requests, for how much, of how many tokens.

It answers from rollups and raw spans by rules of its own, so that a fault in either way of counting is seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from apps.common.errors import ApiError
from apps.exports.sources.base import Cursor
from apps.exports.spec import ExportSpec
from apps.exports.totals import Totals
from apps.metrics.runner import answer_in
from apps.metrics.spec import Filter, MetricRef, QuerySpec
from apps.traces.filters import LISTED
from apps.traces.search.filters import Leaf, Node, tree_of

_DIMENSIONS: Final = frozenset(
    ("provider", "model", "environment", "status", "user_id", "session_id", "name", "kind", "team")
)
_OPERATORS: Final = frozenset(("eq", "ne", "in", "not_in"))
_METRICS: Final = tuple(MetricRef(name, "sum", name) for name in ("request_count", "total_cost", "total_tokens"))


class NotAsked(Exception):
    """Why the engine cannot answer the same question, in words for the manifest."""


def asked_of(spec: ExportSpec) -> QuerySpec:
    """The export's question about requests.

    Raises:
        NotAsked: metrics know no such filter.
    """
    question = spec.question
    if question["match"] == "traces":
        raise NotAsked("Metrics count requests by their own start, not by their trace's.")
    return QuerySpec(
        organization_id=spec.organization_id,
        project_ids=spec.project_ids,
        start=spec.start,
        end=spec.end,
        metrics=_METRICS,
        projects=spec.projects,
        filters=(*_named(question), *(_of_leaf(leaf) for leaf in _leaves(question))),
    )


def answered(cursor: Cursor, spec: ExportSpec, kept_from: datetime) -> Totals | str:
    """What the engine says, or why it was not asked.

    Args:
        kept_from: from when on raw spans of all projects are whole; of what was before rollups know more.
    """
    if spec.start < kept_from:
        return f"Raw spans are whole since {kept_from:%Y-%m-%d} only, and metrics reach further back."
    try:
        row = answer_in(cursor, asked_of(spec)).rows[0]
    except NotAsked as reason:
        return str(reason)
    except ApiError as error:
        return error.message
    requests, cost, tokens = (row[ref.alias] for ref in _METRICS)
    if not requests:
        return Totals(None, 0, None, None)
    return Totals(None, requests, None if cost is None else int(cost.scaleb(12)), tokens)


def _named(question: Mapping[str, Any]) -> list[Filter]:
    made = []
    for name in (name for name in LISTED if name in question):
        if name not in _DIMENSIONS:
            raise NotAsked(f"Metrics know no filter by {name}.")
        made.append(Filter(name, "in", tuple(question[name])))
    for name in question:
        if name.startswith(("min_", "max_")) or name == "search":
            raise NotAsked(f"Metrics know no filter by {name}.")
    if "has_error" in question:
        made.append(Filter("status", "eq" if question["has_error"] else "ne", ("error",)))
    return made


def _leaves(question: Mapping[str, Any]) -> list[Leaf]:
    """The conditions of a filter that must all hold."""
    return _together(tree_of(question["filter"])) if "filter" in question else []


def _together(node: Node) -> list[Leaf]:
    if isinstance(node, Leaf):
        return [node]
    if node.operator != "AND":
        raise NotAsked(f"Metrics know no {node.operator} between filters.")
    return [leaf for child in node.below for leaf in _together(child)]


def _of_leaf(leaf: Leaf) -> Filter:
    name = leaf.field.name
    if name not in _DIMENSIONS or leaf.operator not in _OPERATORS:
        raise NotAsked(f"Metrics know no filter {leaf.operator} by {name}.")
    values = tuple(None if value is None else str(value) for value in leaf.values)
    return Filter(name, leaf.operator, values)  # type: ignore[arg-type]
