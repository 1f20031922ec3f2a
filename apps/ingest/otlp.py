"""OTLP protobuf: an ExportTraceServiceRequest to RawSpans, straight from the message objects."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable
from typing import Any, Final

from google.protobuf.internal import api_implementation
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from apps.ingest.clean import MAX_DEPTH, MAX_ITEMS, TOO_DEEP
from apps.ingest.raw import Attributes, Origin, RawEvent, RawSpan, UndecodableError
from apps.traces.columns import Flag

if api_implementation.Type() != "upb":  # the pure Python one is some fifty times slower
    raise ImportError("protobuf's C implementation (upb) is needed")

_NUMBER_DROPPED: Final = int(Flag.NUMBER_DROPPED)
_ATTRIBUTES_CUT: Final = int(Flag.ATTRIBUTES_CUT)
MAX_EVENTS: Final = 1_000
MAX_LINKS: Final = 128


def decode(body: bytes) -> list[RawSpan]:
    """The spans of a request, in order.

    Raises:
        UndecodableError: the bytes are not an ExportTraceServiceRequest.
    """
    return spans_of(parse(body))


def parse(body: bytes) -> ExportTraceServiceRequest:
    """The protobuf message itself; see `decode`."""
    try:
        request: ExportTraceServiceRequest = ExportTraceServiceRequest.FromString(body)
        return request
    except DecodeError:
        raise UndecodableError("the body is not a protobuf ExportTraceServiceRequest") from None


def spans_of(request: ExportTraceServiceRequest) -> list[RawSpan]:
    spans: list[RawSpan] = []
    for resource_spans in request.resource_spans:
        resource, resource_flags = _attributes(resource_spans.resource.attributes)
        for scope_spans in resource_spans.scope_spans:
            scope = scope_spans.scope
            scope_attributes, flags = _attributes(scope.attributes)
            origin = Origin(resource, scope.name, scope.version, scope_attributes, strict_ids=True)
            flags |= resource_flags
            for span in scope_spans.spans:
                raw = _span(span, origin, flags)
                raw.index = len(spans)
                spans.append(raw)
    return spans


def _span(span: Any, origin: Origin, flags: int) -> RawSpan:
    attributes: Attributes = {}
    # The commonest values are texts and numbers that are not zero: those are told apart without asking the message
    # which of its seven alternatives is set, which costs as much as reading the value.
    for pair in span.attributes:
        value = pair.value
        found = value.string_value or value.int_value
        if not found:
            found, value_flags = _any_value(value, 0)
            flags |= value_flags
        attributes[pair.key] = found
    status = span.status
    raw = RawSpan(
        origin,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.name,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        attributes,
        None,
        status.code,
        status.message,
        flags,
    )
    if span.events:
        raw.events = _events(raw, span.events)
    if span.links:
        raw.links = [_link(link) for link in span.links[:MAX_LINKS]]
    return raw


def _events(raw: RawSpan, events: Any) -> list[RawEvent]:
    found = []
    if len(events) > MAX_EVENTS:
        raw.flags |= _ATTRIBUTES_CUT
    for event in events[:MAX_EVENTS]:
        attributes, flags = _attributes(event.attributes)
        raw.flags |= flags
        found.append(RawEvent(event.name, event.time_unix_nano, attributes))
    return found


def _link(link: Any) -> dict[str, Any]:
    attributes, _ = _attributes(link.attributes)
    ids = {"trace_id": link.trace_id.hex(), "span_id": link.span_id.hex()}
    return {**ids, "attributes": attributes} if attributes else ids


def _attributes(pairs: Iterable[Any], depth: int = 0) -> tuple[Attributes, int]:
    attributes: Attributes = {}
    flags = 0
    for pair in pairs:
        attributes[pair.key], value_flags = _any_value(pair.value, depth)
        flags |= value_flags
    return attributes, flags


def _any_value(value: Any, depth: int) -> tuple[Any, int]:
    """An AnyValue as Python data, and the flags that doing so earned. Bytes become base64 text."""
    which = value.WhichOneof("value")
    if which is None:
        return None, 0
    found = getattr(value, which)
    if which == "double_value":
        return (found, 0) if math.isfinite(found) else (None, _NUMBER_DROPPED)
    if which == "bytes_value":
        return base64.b64encode(found).decode(), 0
    if which == "array_value":
        return _array(found.values, depth + 1)
    if which == "kvlist_value":
        return _attributes(found.values, depth + 1) if depth < MAX_DEPTH else (TOO_DEEP, _ATTRIBUTES_CUT)
    if which == "string_value_strindex":  # an index into a table that traces do not carry
        return None, 0
    return found, 0


def _array(values: Any, depth: int) -> tuple[Any, int]:
    if depth > MAX_DEPTH:
        return TOO_DEEP, _ATTRIBUTES_CUT
    flags = _ATTRIBUTES_CUT if len(values) > MAX_ITEMS else 0
    items = []
    for value in values[:MAX_ITEMS]:
        item, item_flags = _any_value(value, depth)
        items.append(item)
        flags |= item_flags
    return items, flags
