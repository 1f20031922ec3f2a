"""What every decoder produces: a span as its sender wrote it, before anything is decided about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

Attributes = dict[str, Any]


class RawEvent(NamedTuple):
    """An event of a span; `time_ns` is 0 where the sender gave none."""

    name: str
    time_ns: int
    attributes: Attributes


class Origin:
    """What the spans of one resource and scope share, worked out once for all of them (see `normalise.origin_of`).

    `strict_ids` holds for OTLP: a trace id is 16 bytes, a span id 8, neither all zero. Elsewhere an id is any text.
    """

    __slots__ = ("prepared", "resource", "scope_attributes", "scope_name", "scope_version", "strict_ids")

    def __init__(
        self,
        resource: Attributes | None = None,
        scope_name: str = "",
        scope_version: str = "",
        scope_attributes: Attributes | None = None,
        *,
        strict_ids: bool = False,
    ) -> None:
        self.resource: Attributes = resource or {}
        self.scope_name = scope_name
        self.scope_version = scope_version
        self.scope_attributes: Attributes = scope_attributes or {}
        self.strict_ids = strict_ids
        self.prepared: Any = None


class RawSpan:
    """One span as it was sent. Times are nanoseconds since the Unix epoch, 0 where missing.

    `flags` are marks that decoding had to set; `problem` is why the decoder could not read the span (the ids and
    name are then what could be read); `index` is the span's place in its request.
    """

    __slots__ = (
        "attributes",
        "end_ns",
        "events",
        "flags",
        "index",
        "links",
        "name",
        "origin",
        "parent_span_id",
        "problem",
        "span_id",
        "start_ns",
        "status_code",
        "status_message",
        "trace_id",
    )

    def __init__(
        self,
        origin: Origin,
        trace_id: str = "",
        span_id: str = "",
        parent_span_id: str = "",
        name: str = "",
        start_ns: int = 0,
        end_ns: int = 0,
        attributes: Attributes | None = None,
        events: list[RawEvent] | None = None,
        status_code: int = 0,
        status_message: str = "",
        flags: int = 0,
        index: int = 0,
        problem: Drop | None = None,
        links: list[dict[str, Any]] | None = None,
    ) -> None:
        self.origin = origin
        self.trace_id = trace_id
        self.span_id = span_id
        self.parent_span_id = parent_span_id
        self.name = name
        self.start_ns = start_ns
        self.end_ns = end_ns
        self.attributes: Attributes = {} if attributes is None else attributes
        self.events = events
        self.status_code = status_code
        self.status_message = status_message
        self.flags = flags
        self.index = index
        self.problem = problem
        self.links = links


class Drop(NamedTuple):
    """Why a span is not stored: a reason from `REASONS` and a sentence that names the field."""

    reason: str
    message: str


REASONS: Mapping[str, str] = {
    "malformed": "A field has a type that cannot be read.",
    "invalid_trace_id": "The trace id is missing, too long, or (OTLP) not 16 non-zero bytes as 32 hex digits.",
    "invalid_span_id": "The span id is missing, too long, or (OTLP) not 8 non-zero bytes as 16 hex digits.",
    "invalid_parent_span_id": "The parent span id is too long or (OTLP) not 8 bytes as 16 hex digits.",
    "missing_timestamp": "The span has neither a start nor an end.",
    "older_than_retention": "The span starts before the raw retention of its project.",
    "unstorable": "The database refuses a value; a fault of ours, logged as such.",
    "in_the_future": "The span starts more than 24 hours ahead.",
}


class UndecodableError(Exception):
    """The request as a whole cannot be read; the message is for its sender."""
