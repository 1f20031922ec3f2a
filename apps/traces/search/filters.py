"""From the JSON of a search to a tree of checked leaves and groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from apps.common.reads.reading import bad, check_keys, moment, number
from apps.traces.search.fields import Field, field_of, operator_of
from apps.traces.search.query import Alternatives, parsed

MAX_DEPTH: Final = 10
MAX_LEAVES: Final = 100
MAX_VALUES: Final = 100
MAX_TEXT: Final = 1_000
MAX_REGEX: Final = 200
GROUPS: Final = ("AND", "OR", "NOT")
Scalar = str | Decimal | bool | datetime | None


@dataclass(frozen=True, slots=True)
class Leaf:
    """One condition. `values` has several for `in` and `not_in` alone; `words` is what `search` looks for."""

    field: Field
    operator: str
    values: tuple[Scalar, ...]
    words: Alternatives = ()


@dataclass(frozen=True, slots=True)
class Group:
    """AND, OR or NOT over what is below."""

    operator: str
    below: tuple[Leaf | Group, ...]


Node = Leaf | Group


def leaves(node: Node) -> Iterator[Leaf]:
    if isinstance(node, Leaf):
        yield node
    else:
        for below in node.below:
            yield from leaves(below)


def tree_of(source: Any) -> Node:
    """The tree that a search's `filter` describes.

    Raises:
        ApiError: what is wrong with it, with the path to it as the field.
    """
    node = _node(source, "filter", 1)
    found = sum(1 for _ in leaves(node))
    if found > MAX_LEAVES:
        raise bad("filter", f"A filter has at most {MAX_LEAVES} conditions; this one has {found}.", 1205)
    return node


def _node(source: Any, where: str, depth: int) -> Node:
    if not isinstance(source, Mapping):
        raise bad(where, f"{where} must be an object.", 1203)
    if "filters" not in source and source.get("operator") not in GROUPS:
        return _leaf(source, where)
    check_keys(source, ("operator", "filters"), where)
    if depth > MAX_DEPTH:
        raise bad(where, f"Filters nest to a depth of {MAX_DEPTH}.", 1205)
    operator, below = source.get("operator"), source.get("filters")
    if operator not in GROUPS:
        raise bad(f"{where}.operator", f"operator must be one of {', '.join(GROUPS)} where there are filters.")
    if not isinstance(below, list) or not below:
        raise bad(f"{where}.filters", "filters must be a list with something in it.", 1203)
    if operator == "NOT" and len(below) != 1:
        raise bad(f"{where}.filters", "NOT takes one filter: put several into an AND or an OR first.")
    if len(below) > MAX_LEAVES:
        raise bad(f"{where}.filters", f"A filter has at most {MAX_LEAVES} conditions.", 1205)
    made = (_node(item, f"{where}.filters[{number}]", depth + 1) for number, item in enumerate(below))
    return Group(str(operator), tuple(made))


def _leaf(source: Mapping[str, Any], where: str) -> Leaf:
    check_keys(source, ("field", "operator", "value"), where)
    for name in ("field", "operator", "value"):
        if name not in source:
            raise bad(f"{where}.{name}", f"A condition needs field, operator and value; {name} is missing.", 1201)
    field = field_of(source["field"], f"{where}.field")
    operator = operator_of(source["operator"], field, f"{where}.operator")
    value, place = source["value"], f"{where}.value"
    if operator == "search":
        return Leaf(field, operator, (), parsed(_text(value, place), place))
    if operator in ("in", "not_in"):
        if not isinstance(value, list) or not 0 < len(value) <= MAX_VALUES:
            raise bad(place, f"{operator} takes a list of 1 to {MAX_VALUES} values.", 1203)
        return Leaf(field, operator, tuple(_value(item, field, operator, place) for item in value))
    return Leaf(field, operator, (_value(value, field, operator, place),))


def _value(value: Any, field: Field, operator: str, where: str) -> Scalar:
    if value is None:
        if operator in ("eq", "ne"):
            return None
        raise bad(where, "null goes with eq and ne alone.", 1203)
    if operator == "regex":
        return _pattern(_text(value, where), where)
    if operator in ("contains", "not_contains", "starts_with", "ends_with") or field.type in ("text", "texts"):
        return _text(value, where)
    if field.type == "boolean":
        if not isinstance(value, bool):
            raise bad(where, f"{field.name} is true or false.", 1203)
        return value
    if field.type == "time":
        return moment(value, where)
    if field.type == "number" or operator in ("gt", "gte", "lt", "lte"):
        if isinstance(value, (str, bool)):
            raise bad(where, f"{operator} of {field.name} takes a number.", 1203)
        return number(value, where)
    return _any(value, where)


def _any(value: Any, where: str) -> Scalar:
    """The value of an attribute or a score: a text, a number or a truth value."""
    if isinstance(value, bool):
        return value
    return _text(value, where) if isinstance(value, str) else number(value, where)


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise bad(where, "The value must be a text.", 1203)
    if len(value) > MAX_TEXT:
        raise bad(where, f"A value is at most {MAX_TEXT} characters long.", 1205)
    if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise bad(where, "The value holds characters that no stored text has.", 1203)
    return value


def _pattern(text: str, where: str) -> str:
    """A regular expression that PostgreSQL decides in a time linear in the text: none that refers back to itself."""
    if len(text) > MAX_REGEX:
        raise bad(where, f"A regular expression is at most {MAX_REGEX} characters long.", 1205)
    backwards, escaped = False, False
    for letter in text:
        backwards |= escaped and letter in "123456789"
        escaped = letter == "\\" and not escaped
    if backwards:
        raise bad(where, "A regular expression may not refer back to a group: that can take for ever.", 1203)
    if text.startswith("***"):
        raise bad(where, "A regular expression may not begin with ***.", 1203)
    return text
