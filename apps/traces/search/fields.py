"""What a search can ask about: a fixed list of fields, each with its type, its SQL and the operators that fit it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from apps.common.errors import ApiError
from apps.common.reads.reading import bad
from apps.traces.attribution import DEFAULT_ENVIRONMENT
from apps.traces.shown import ENVIRONMENT, STATUS

_SETS: Final = ("eq", "ne", "in", "not_in")
_ORDERS: Final = ("gt", "gte", "lt", "lte")
_PARTS: Final = ("contains", "not_contains", "starts_with", "ends_with", "regex")
# By type, in the order in which errors and the documentation list them.
FITTING: Final[dict[str, tuple[str, ...]]] = {
    "text": (*_SETS, *_PARTS, "search"),
    "texts": (*_SETS, *_PARTS),
    "number": (*_SETS, *_ORDERS),
    "time": (*_SETS, *_ORDERS),
    "boolean": ("eq", "ne"),
    "words": ("search",),
    "attribute": (*_SETS, *_ORDERS, *_PARTS, "search"),
    "score": (*_SETS, *_ORDERS),
}
OPERATORS: Final = FITTING["attribute"]
NEGATIVE: Final = {"ne": "eq", "not_in": "in", "not_contains": "contains"}
ATTRIBUTE, SCORE = "attributes.", "score."
MAX_KEY: Final = 256


@dataclass(frozen=True, slots=True)
class Field:
    """One field.

    Args:
        sql: over `s` (a span), `c` (its content, which may be absent) and `t` (its trace).
        type: a key of FITTING.
        trace: it speaks of the trace as a whole, not of a span.
        content: asking about it needs traces:content, and its SQL needs `c` unless it is a column of the span.
        joined: its SQL needs `c`.
        scale: how many of the column's units one of the field's has.
        key: of an attribute or a score.
    """

    name: str
    sql: str
    type: str
    trace: bool = False
    content: bool = False
    joined: bool = False
    scale: int = 1
    key: str = ""


def _span() -> Iterator[Field]:
    for name in ("name", "kind", "status", "provider", "model", "request_model", "error_type", "span_id"):
        yield Field(name, f"s.{name}", "text")
    for name in ("parent_span_id", "cost_source", "unpriced_reason"):
        yield Field(name, f"s.{name}", "text")
    for name in ("user_id", "session_id", "team"):
        yield Field(name, f"coalesce(s.{name}, t.{name})", "text")
    yield Field("environment", f"coalesce(s.environment, t.environment, '{DEFAULT_ENVIRONMENT}')", "text")
    yield Field("tags", "coalesce(s.tags, t.tags)", "texts")
    for name in ("release", "agent_name", "tool_name", "prompt_name", "service_name", "service_tier", "level"):
        yield Field(name, f"s.labels->>'{name}'", "text")
    for name in ("prompt", "completion", "total", "cached", "cache_write", "reasoning"):
        yield Field(f"{name}_tokens", f"s.{name}_tokens", "number")
    for name in ("duration", "ttft"):
        yield Field(f"{name}_ms", f"s.{name}_us", "number", scale=1_000)
    for name in ("prompt", "completion", "total"):
        yield Field(f"{name}_cost_usd", f"s.{name}_cost", "number", scale=10**12)
    yield Field("billable", "s.billable", "boolean")
    yield Field("start_time", "s.start_time", "time")
    yield Field("end_time", "(s.start_time + s.duration_us * interval '1 microsecond')", "time")


def _content() -> Iterator[Field]:
    yield Field("error_message", "s.error_message", "text", content=True)
    yield Field("input", "c.input", "text", content=True, joined=True)
    yield Field("output", "c.output", "text", content=True, joined=True)
    yield Field("text", "", "words", content=True, joined=True)


def _trace() -> Iterator[Field]:
    yield Field("trace_id", "t.trace_id", "text", trace=True)
    yield Field("trace.name", "t.root_name", "text", trace=True)
    yield Field("trace.status", STATUS, "text", trace=True)
    yield Field("trace.environment", ENVIRONMENT, "text", trace=True)
    for name in ("user_id", "session_id", "team"):
        yield Field(f"trace.{name}", f"t.{name}", "text", trace=True)
    yield Field("trace.tags", "t.tags", "texts", trace=True)
    yield Field("trace.start_time", "t.first_start", "time", trace=True)
    yield Field("trace.end_time", "t.end_time", "time", trace=True)
    yield Field("trace.duration_ms", "t.duration_us", "number", trace=True, scale=1_000)
    for name in ("prompt", "completion", "total"):
        yield Field(f"trace.{name}_cost_usd", f"t.{name}_cost", "number", trace=True, scale=10**12)
    for name in ("prompt", "completion", "total", "cached", "reasoning"):
        yield Field(f"trace.{name}_tokens", f"t.{name}_tokens", "number", trace=True)
    for name in ("span_count", "request_count", "error_count"):
        yield Field(f"trace.{name}", f"t.{name}", "number", trace=True)
    yield Field("trace.has_error", "(t.error_count > 0)", "boolean", trace=True)


FIELDS: Final[dict[str, Field]] = {field.name: field for made in (_span(), _content(), _trace()) for field in made}


def field_of(name: object, where: str) -> Field:
    """The field of this name.

    Raises:
        ApiError: 1203 for what is no name, 1202 for an unknown one, naming the nearest.
    """
    if not isinstance(name, str):
        raise bad(where, "field must be a text.", 1203)
    for prefix, kind in ((ATTRIBUTE, "attribute"), (SCORE, "score")):
        if name.startswith(prefix):
            key = name.removeprefix(prefix)
            if not 0 < len(key) <= MAX_KEY or "\0" in key:
                raise bad(where, f"{prefix}<key> needs a key of 1 to {MAX_KEY} characters.")
            inside = kind == "attribute"
            return Field(name, "", kind, trace=not inside, content=inside, joined=inside, key=key)
    found = FIELDS.get(name)
    if found is None:
        known = [*FIELDS, f"{ATTRIBUTE}<key>", f"{SCORE}<name>"]
        nearest = get_close_matches(name.lower(), known, n=1, cutoff=0.5)
        hint = f" Did you mean {nearest[0]}?" if nearest else ""
        raise ApiError(1202, f"Unknown field {name[:64]!r}.{hint}", field=where, details={"known": known})
    return found


def operator_of(operator: object, field: Field, where: str) -> str:
    """An operator that fits the field.

    Raises:
        ApiError: 1203 for what is no word, 1202 for one that does not fit, listing those that do.
    """
    if not isinstance(operator, str):
        raise bad(where, "operator must be a text.", 1203)
    if operator in FITTING[field.type]:
        return operator
    fitting = FITTING[field.type]
    what = f"does not fit {field.name}" if operator in OPERATORS else "is not an operator"
    message = f"{operator[:64]!r} {what}. It takes {', '.join(fitting)}."
    raise ApiError(1202, message, field=where, details={"operators": list(fitting)})
