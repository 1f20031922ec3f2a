"""Conditions on spans beside the list's filters: rows of a field, an operator and a value, put as the API's search.

    /traces?f1=duration_ms&o1=gt&v1=2000&f2=attributes.customer.tier&o2=eq&v2=gold&match=span

Where there is such a row the page asks `POST /api/v1/traces/search`, and every filter of the list is said in its words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from apps.common.reads.reading import choice
from apps.console.figures import typed_number
from apps.traces.search.fields import ATTRIBUTE, FIELDS, OPERATORS, SCORE

ROWS: Final = 5
MATCHES: Final = {
    "span": "All of them, on one and the same span",
    "trace": "All of them, anywhere in the trace",
    "any": "Any of them",
}
NAMES: Final = (*(f"{part}{row}" for row in range(1, ROWS + 1) for part in "fov"), "match")
LABELS: Final = {
    "eq": "is",
    "ne": "is not",
    "in": "is one of (a, b)",
    "not_in": "is none of (a, b)",
    "gt": "above",
    "gte": "at least",
    "lt": "below",
    "lte": "at most",
    "contains": "contains",
    "not_contains": "does not contain",
    "starts_with": "begins with",
    "ends_with": "ends with",
    "regex": "matches (regular expression)",
    "search": "has the words",
}
SUGGESTED: Final = (*FIELDS, f"{ATTRIBUTE}<key>", f"{SCORE}<name>")
RELEVANCE: Final = "relevance"
# The list's parameters in the search's words; those of spans stand alone, so that each may hold on a span of its own.
_TRACE: Final = {
    "trace_id": "trace_id",
    "session_id": "trace.session_id",
    "user_id": "trace.user_id",
    "environment": "trace.environment",
    "name": "trace.name",
    "status": "trace.status",
    "tag": "trace.tags",
}
_NUMBERS: Final = {"duration_ms": "trace.duration_ms", "cost": "trace.total_cost_usd", "tokens": "trace.total_tokens"}
_PLACE: Final = re.compile(r"^filter\.filters\[0\]\.filters\[(\d+)\]")
Filter = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the form; `number` counts from 1."""

    number: int
    field: str = ""
    operator: str = "eq"
    value: str = ""
    error: str = ""

    @property
    def text(self) -> str:
        return f"{LABELS.get(self.operator, self.operator)} {self.value}".rstrip()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"{part}{self.number}" for part in "fov")

    @property
    def leaf(self) -> Filter:
        return {"field": self.field, "operator": self.operator, "value": _value(self)}


def rows_of(own: Mapping[str, str]) -> list[Row]:
    """The rows of the address that name a field."""
    made = (Row(n, own.get(f"f{n}", ""), own.get(f"o{n}", "eq"), own.get(f"v{n}", "")) for n in range(1, ROWS + 1))
    return [row for row in made if row.field]


def kept(own: Mapping[str, str], rows: list[Row]) -> dict[str, str]:
    """The page's parameters without those of rows that say nothing."""
    needed = {name for row in rows for name in row.names} | ({"match"} if rows else set())
    return {name: value for name, value in own.items() if name not in NAMES or name in needed}


def drawn(rows: list[Row], errors: Mapping[str, str]) -> list[Row]:
    """All rows of the form, the filled ones first, each with what the API says is wrong with it."""
    told: dict[int, str] = {}
    for place, message in errors.items():
        if found := _PLACE.match(place):
            told[int(found[1])] = message
    filled = [
        Row(number, row.field, row.operator, row.value, told.get(number - 1, "")) for number, row in enumerate(rows, 1)
    ]
    return [*filled, *(Row(number) for number in range(len(filled) + 1, ROWS + 1))]


def body(rows: list[Row], listing: Mapping[str, Any], own: Mapping[str, str]) -> dict[str, Any]:
    """The body of the search.

    Args:
        listing: the range, the bar's filters and the page's own parameters, as `GET /api/v1/traces` takes them.

    Raises:
        ApiError: 1202 for an unknown `match`.
    """
    said = {name: listing[name] for name in ("project", "start_time", "end_time") if listing.get(name)}
    match = choice(own.get("match", "span"), tuple(MATCHES), "match")
    groups = [*_of_rows(rows, match), *_of_list(listing)]
    sort = {name: own[name] for name in ("sort_by", "sort_order") if name in own}
    page: dict[str, Any] = {"cursor": own["cursor"]} if "cursor" in own else {}
    if own.get("limit", "").isdecimal():
        page["limit"] = int(own["limit"][:9])
    return {"filter": {"operator": "AND", "filters": groups}, **said, **sort, **page}


def _of_rows(rows: list[Row], match: str) -> list[Filter]:
    if not rows:
        return []
    leaves = [row.leaf for row in rows]
    if match == "trace":
        return [{"operator": "AND", "filters": [_alone(leaf) for leaf in leaves]}]
    return [{"operator": "OR" if match == "any" else "AND", "filters": leaves}]


def _of_list(listing: Mapping[str, Any]) -> list[Filter]:
    made: list[Filter] = []
    for name, field in _TRACE.items():
        if listing.get(name):
            made.append({"field": field, "operator": "in", "value": _listed(listing[name])})
    for name in ("provider", "model"):
        if listing.get(name):
            billable = {"field": "billable", "operator": "eq", "value": True}
            made.append(_alone({"field": name, "operator": "in", "value": _listed(listing[name])}, billable))
    if listing.get("kind"):
        made.append(_alone({"field": "kind", "operator": "in", "value": _listed(listing["kind"])}))
    for edge, operator in (("min", "gte"), ("max", "lte")):
        for name, field in _NUMBERS.items():
            if listing.get(f"{edge}_{name}"):
                made.append({"field": field, "operator": operator, "value": typed_number(listing[f"{edge}_{name}"])})
    if listing.get("has_error"):
        wanted = {"true": True, "false": False}.get(listing["has_error"].lower(), listing["has_error"])
        made.append({"field": "trace.has_error", "operator": "eq", "value": wanted})
    if listing.get("search"):
        made.append(_alone({"field": "text", "operator": "search", "value": listing["search"]}))
    return made


def _alone(*leaves: Filter) -> Filter:
    return {"operator": "AND", "filters": list(leaves)}


def _listed(text: str) -> list[str]:
    return [item for item in text.split(",") if item]


def _value(row: Row) -> Any:
    """The value as the field's type has it."""
    field = FIELDS.get(row.field)
    kind = field.type if field else "score" if row.field.startswith(SCORE) else "attribute"
    if row.operator in ("in", "not_in"):
        return [_typed(item.strip(), kind, row.operator) for item in row.value.split(",") if item.strip()]
    if row.operator in ("eq", "ne") and row.value == "":
        return None  # whether there is one at all
    return _typed(row.value, kind, row.operator)


def _typed(text: str, kind: str, operator: str) -> Any:
    ordered = operator in ("gt", "gte", "lt", "lte")
    if kind in ("boolean", "attribute", "score") and not ordered and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if kind in ("number", "score") or (kind == "attribute" and ordered):
        return typed_number(text)
    return text


OPERATOR_CHOICES: Final = tuple((name, LABELS[name]) for name in OPERATORS)
