"""Searches answered in plain Python, from the documentation alone: nothing here comes from the code that searches."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from apps.traces.columns import SpanRow

Filter = Mapping[str, Any]
OPPOSITES = {"ne": "eq", "not_in": "in", "not_contains": "contains"}
ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "gt": lambda a, b: a > b,
    "gte": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "lte": lambda a, b: a <= b,
}


class Trace:
    """The spans of one trace and what it says as a whole."""

    def __init__(self, spans: Sequence[SpanRow]) -> None:
        self.spans = sorted(spans, key=lambda s: (s.start_us, s.span_id))
        self.root = next((s for s in self.spans if s.parent_span_id is None), None)
        self.start = self.spans[0].start_us
        self.key = (self.spans[0].project_id, self.spans[0].trace_id)

    def inherited(self, name: str) -> Any:
        own = getattr(self.root, name) if self.root is not None else None
        if own is not None:
            return own
        return next((getattr(s, name) for s in self.spans if getattr(s, name) is not None), None)

    def value(self, name: str) -> Any:
        if name == "trace_id":
            return self.key[1]
        if name == "trace.status":
            return "unset" if self.root is None else self.root.status
        if name == "trace.error_count":
            return sum(s.status == "error" for s in self.spans)
        if name == "trace.total_tokens":
            known = [s.total_tokens for s in self.spans if s.billable and s.total_tokens is not None]
            return sum(known) if known else None
        raise KeyError(name)


def of_span(span: SpanRow, trace: Trace, name: str) -> Any:
    if name in ("user_id", "session_id", "team", "tags"):
        own = getattr(span, name)
        return own if own is not None else trace.inherited(name)
    if name == "environment":
        return span.environment or trace.inherited("environment") or "default"
    if name == "duration_ms":
        return span.duration_us / 1000
    if name == "release":
        return json.loads(span.labels or b"{}").get("release")
    if name.startswith("attributes."):
        parts = json.loads(span.attributes or b"{}")
        key = name.removeprefix("attributes.")
        return next((parts[part][key] for part in ("span", "resource", "scope") if key in parts.get(part, {})), None)
    return getattr(span, name)


def tokens(text: str | None) -> list[str]:
    return re.findall(r"[a-z0-9]+", (text or "").lower())


def _said(words: Sequence[str], asked: Sequence[str], prefix: bool) -> bool:
    def same(word: str, wanted: str) -> bool:
        return word.startswith(wanted) if prefix else word == wanted

    places = range(len(words) - len(asked) + 1)
    return any(all(same(words[at + n], wanted) for n, wanted in enumerate(asked)) for at in places)


def searched(sides: Sequence[list[str]], query: str) -> bool:
    """Alternatives between OR, each of terms that must all be there on one of the sides or, for `-`, on none."""

    def term(minus: str, phrase: str, word: str, star: str) -> bool:
        found = any(_said(words, tokens(phrase or word), bool(star)) for words in sides)
        return found != bool(minus)

    groups: list[list[tuple[str, str, str, str]]] = [[]]
    for piece in re.findall(r'(-?)(?:"([^"]*)"|([a-z0-9]+|OR))(\*?)', query):
        if piece[2] == "OR":
            groups.append([])
        else:
            groups[-1].append(piece)
    return any(all(term(*piece) for piece in group) for group in groups)


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return value if isinstance(value, str) else json.dumps(value)


def compared(value: Any, operator: str, wanted: Any, *, loose: bool = False) -> bool:
    """One value against a positive operator; None fulfils nothing but `eq null`."""
    if operator == "in":
        return any(compared(value, "eq", one, loose=loose) for one in wanted)
    if operator == "eq" and wanted is None:
        return value is None
    if value is None:
        return False
    if operator in ORDERS:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and ORDERS[operator](value, wanted)
    if operator == "eq":
        if loose and isinstance(wanted, str):
            return _text(value) == wanted
        if isinstance(wanted, bool) or isinstance(value, bool):
            return value is wanted
        return bool(value == wanted)
    text = _text(value) or ""
    return {
        "contains": lambda: wanted in text,
        "starts_with": lambda: text.startswith(wanted),
        "ends_with": lambda: text.endswith(wanted),
        "regex": lambda: re.search(wanted, text) is not None,
    }[operator]()


def leaf_of_span(span: SpanRow, trace: Trace, leaf: Filter) -> bool:
    name, operator, wanted = leaf["field"], leaf["operator"], leaf["value"]
    if operator in OPPOSITES:
        return not leaf_of_span(span, trace, {**leaf, "operator": OPPOSITES[operator]})
    if operator == "search":
        if name == "text":
            return searched([tokens(span.input), tokens(span.output)], wanted)
        return searched([tokens(_text(of_span(span, trace, name)))], wanted)
    value = of_span(span, trace, name)
    if name == "tags":
        if operator == "eq" and wanted is None:
            return not value
        operator = "eq" if operator == "contains" else operator
        return any(compared(tag, operator, wanted) for tag in value or [])
    return compared(value, operator, wanted, loose=name.startswith("attributes."))


def leaf_of_trace(trace: Trace, leaf: Filter) -> bool:
    operator = leaf["operator"]
    if operator in OPPOSITES:
        return not leaf_of_trace(trace, {**leaf, "operator": OPPOSITES[operator]})
    return compared(trace.value(leaf["field"]), operator, leaf["value"])


def about_trace(leaf: Filter) -> bool:
    return str(leaf["field"]).startswith("trace")


def holds(trace: Trace, node: Filter) -> bool:
    """Whether a trace is meant."""
    if "field" in node:
        return holds(trace, {"operator": "AND", "filters": [node]})
    below: Iterable[Any] = node["filters"]
    if node["operator"] == "NOT":
        return not holds(trace, next(iter(below)))
    leaves: list[Filter] = [child for child in below if "field" in child]
    spans = [leaf for leaf in leaves if not about_trace(leaf)]
    groups = [holds(trace, child) for child in below if "field" not in child]
    of_trace = [leaf_of_trace(trace, leaf) for leaf in leaves if about_trace(leaf)]
    if node["operator"] == "OR":
        single = [any(leaf_of_span(span, trace, leaf) for span in trace.spans) for leaf in spans]
        return any([*groups, *of_trace, *single])
    one = any(all(leaf_of_span(span, trace, leaf) for leaf in spans) for span in trace.spans)
    return all([*groups, *of_trace]) and bool(one or not spans)
