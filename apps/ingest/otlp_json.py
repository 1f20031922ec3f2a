"""OTLP JSON: the same RawSpans as from protobuf.

Ids are hex (not base64), 64-bit integers may be text, enums are numbers, unknown fields are ignored. A span that
cannot be read keeps its place with a `problem`; only a request whose frame is broken is refused as a whole.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from typing import Any, Final

import orjson

from apps.ingest.clean import MAX_DEPTH, MAX_ITEMS, TOO_DEEP, Cleaner
from apps.ingest.otlp import MAX_EVENTS, MAX_LINKS
from apps.ingest.raw import Attributes, Drop, Origin, RawEvent, RawSpan, UndecodableError
from apps.traces.columns import Flag

_NUMBER_DROPPED: Final = int(Flag.NUMBER_DROPPED)
_ATTRIBUTES_CUT: Final = int(Flag.ATTRIBUTES_CUT)
_TEXT_REPAIRED: Final = int(Flag.TEXT_REPAIRED)
_HEX: Final = re.compile(r"[0-9a-fA-F]*")
_U64: Final = 2**64


def load_json(body: bytes) -> tuple[Any, bool]:
    """A JSON document; second, whether it had to be read leniently (lone surrogates, NaN), so values need mending.

    Raises:
        UndecodableError: it is not JSON, or nested beyond reason.
    """
    try:
        return orjson.loads(body), False
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(body), True
    except (ValueError, RecursionError):
        raise UndecodableError("the body is not JSON") from None


def decode(body: bytes) -> list[RawSpan]:
    """The spans of a JSON ExportTraceServiceRequest, in order.

    Raises:
        UndecodableError: the body is not JSON or not such a request.
    """
    document, lenient = load_json(body)
    return spans_of(document, lenient=lenient)


def spans_of(document: Any, *, lenient: bool = False) -> list[RawSpan]:
    """The spans of a parsed request; `lenient` as `load_json` says."""
    flags = 0
    if lenient:
        cleaner = Cleaner()
        document = _mended(document, cleaner)
        flags = _TEXT_REPAIRED if cleaner.text_repaired else 0
    spans: list[RawSpan] = []
    for resource_spans in _list(_object(document, "the body"), "resourceSpans"):
        resource_node = _object(resource_spans, "resourceSpans").get("resource") or {}
        resource, resource_flags = _attributes(_object(resource_node, "resource").get("attributes"))
        for scope_spans in _list(_object(resource_spans, "resourceSpans"), "scopeSpans"):
            scope = _object(_object(scope_spans, "scopeSpans").get("scope") or {}, "scope")
            scope_attributes, scope_flags = _attributes(scope.get("attributes"))
            origin = Origin(
                resource, _text(scope.get("name")), _text(scope.get("version")), scope_attributes, strict_ids=True
            )
            for span in _list(scope_spans, "spans"):
                raw = _span(span, origin)
                raw.flags |= flags | resource_flags | scope_flags
                raw.index = len(spans)
                spans.append(raw)
    return spans


def _mended(document: Any, cleaner: Cleaner) -> Any:
    """Repair texts only: depth and list lengths are this decoder's own business."""
    if isinstance(document, str):
        return cleaner.text(document)
    if isinstance(document, list):
        return [_mended(item, cleaner) for item in document]
    if isinstance(document, dict):
        return {cleaner.text(key): _mended(item, cleaner) for key, item in document.items()}
    return document


def _object(node: Any, name: str) -> dict[str, Any]:
    if not isinstance(node, dict):
        raise UndecodableError(f"{name} must be a JSON object")
    return node


def _list(node: dict[str, Any], name: str) -> list[Any]:
    found = node.get(name)
    if found is None:
        return []
    if not isinstance(found, list):
        raise UndecodableError(f"{name} must be a JSON array")
    return found


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


class _Unreadable(UndecodableError):
    """A field has an impossible type: one span's, or (in a resource or scope) the whole request's."""


def _span(node: Any, origin: Origin) -> RawSpan:
    raw = RawSpan(origin)
    if not isinstance(node, dict):
        raw.problem = Drop("malformed", "a span must be a JSON object")
        return raw
    raw.trace_id = _text(node.get("traceId")).lower()
    raw.span_id = _text(node.get("spanId")).lower()
    raw.parent_span_id = _text(node.get("parentSpanId")).lower()
    raw.name = _text(node.get("name"))
    raw.problem = _id_problem(node)
    try:
        _fill(raw, node)
    except _Unreadable as error:
        raw.problem = raw.problem or Drop("malformed", str(error))
    return raw


def _id_problem(node: dict[str, Any]) -> Drop | None:
    for field, reason in (
        ("traceId", "invalid_trace_id"),
        ("spanId", "invalid_span_id"),
        ("parentSpanId", "invalid_parent_span_id"),
    ):
        value = node.get(field)
        if value is not None and (not isinstance(value, str) or not _HEX.fullmatch(value)):
            return Drop(reason, f"{field} must be hexadecimal text")
    return None


def _fill(raw: RawSpan, node: dict[str, Any]) -> None:
    raw.start_ns = _nanos(node, "startTimeUnixNano")
    raw.end_ns = _nanos(node, "endTimeUnixNano")
    raw.attributes, raw.flags = _attributes(node.get("attributes"))
    status = node.get("status") or {}
    if not isinstance(status, dict):
        raise _Unreadable("status must be an object")
    code = status.get("code", 0)
    raw.status_code = code if type(code) is int else 0
    raw.status_message = _text(status.get("message"))
    events = _span_list(node, "events")
    if len(events) > MAX_EVENTS:
        raw.flags |= _ATTRIBUTES_CUT
    if events:
        raw.events = [_event(raw, event) for event in events[:MAX_EVENTS]]
    links = _span_list(node, "links")
    if links:
        raw.links = [_link(link) for link in links[:MAX_LINKS] if isinstance(link, dict)]


def _span_list(node: dict[str, Any], name: str) -> list[Any]:
    found = node.get(name) or []
    if not isinstance(found, list):
        raise _Unreadable(f"{name} must be an array")
    return found


def _nanos(node: dict[str, Any], name: str) -> int:
    """A time as a number or text; what is no time counts as missing, as zero does."""
    value = node.get(name, 0)
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is str and value.isdecimal() and value.isascii() and len(value) <= 20:
        value = int(value)
    return value if type(value) is int and 0 < value < _U64 else 0


def _event(raw: RawSpan, node: Any) -> RawEvent:
    if not isinstance(node, dict):
        raise _Unreadable("an event must be an object")
    attributes, flags = _attributes(node.get("attributes"))
    raw.flags |= flags
    return RawEvent(_text(node.get("name")), _nanos(node, "timeUnixNano"), attributes)


def _link(node: dict[str, Any]) -> dict[str, Any]:
    try:
        attributes, _ = _attributes(node.get("attributes"))
    except _Unreadable:
        attributes = {}
    ids = {"trace_id": _text(node.get("traceId")).lower(), "span_id": _text(node.get("spanId")).lower()}
    return {**ids, "attributes": attributes} if attributes else ids


def _attributes(pairs: Any, depth: int = 0) -> tuple[Attributes, int]:
    if pairs is None:
        return {}, 0
    if not isinstance(pairs, list):
        raise _Unreadable("attributes must be an array of {key, value}")
    attributes: Attributes = {}
    flags = 0
    for pair in pairs:
        key = pair.get("key", "") if isinstance(pair, dict) else None
        if not isinstance(key, str):
            raise _Unreadable("an attribute must be an object with a text key")
        attributes[key], value_flags = _any_value(pair.get("value"), depth)
        flags |= value_flags
    return attributes, flags


def _any_value(value: Any, depth: int) -> tuple[Any, int]:
    if value is None:
        return None, 0
    if not isinstance(value, dict):
        raise _Unreadable("an attribute's value must be an object such as {stringValue: ...}")
    for name, found in value.items():
        read = _READERS.get(name)
        if read is not None and found is not None:
            return read(found, depth)
    return None, 0


def _read_string(found: Any, depth: int) -> tuple[Any, int]:
    if not isinstance(found, str):
        raise _Unreadable("stringValue must be text")
    return found, 0


def _read_bool(found: Any, depth: int) -> tuple[Any, int]:
    if not isinstance(found, bool):
        raise _Unreadable("boolValue must be true or false")
    return found, 0


def _read_int(found: Any, depth: int) -> tuple[Any, int]:
    try:
        number = int(found[:32] if isinstance(found, str) else found)
    except (TypeError, ValueError, OverflowError):
        raise _Unreadable("intValue must be an integer") from None
    return (number, 0) if -(2**63) <= number < 2**63 else (None, _NUMBER_DROPPED)


def _read_double(found: Any, depth: int) -> tuple[Any, int]:
    if isinstance(found, bool):
        raise _Unreadable("doubleValue must be a number")
    try:
        number = float(found)  # also "NaN" and "Infinity", as protobuf's JSON mapping writes them
    except (TypeError, ValueError, OverflowError):
        raise _Unreadable("doubleValue must be a number") from None
    return (number, 0) if math.isfinite(number) else (None, _NUMBER_DROPPED)


def _read_bytes(found: Any, depth: int) -> tuple[Any, int]:
    if not isinstance(found, str):
        raise _Unreadable("bytesValue must be base64 text")
    try:
        padded = found.replace("-", "+").replace("_", "/") + "=" * (-len(found) % 4)
        return base64.b64encode(base64.b64decode(padded, validate=True)).decode(), 0
    except (binascii.Error, ValueError):
        raise _Unreadable("bytesValue must be base64 text") from None


def _read_array(found: Any, depth: int) -> tuple[Any, int]:
    values = found.get("values") or [] if isinstance(found, dict) else None
    if not isinstance(values, list):
        raise _Unreadable("arrayValue must be an object with an array of values")
    if depth >= MAX_DEPTH:
        return TOO_DEEP, _ATTRIBUTES_CUT
    flags = _ATTRIBUTES_CUT if len(values) > MAX_ITEMS else 0
    items = []
    for value in values[:MAX_ITEMS]:
        item, item_flags = _any_value(value, depth + 1)
        items.append(item)
        flags |= item_flags
    return items, flags


def _read_kvlist(found: Any, depth: int) -> tuple[Any, int]:
    if not isinstance(found, dict):
        raise _Unreadable("kvlistValue must be an object with an array of values")
    if depth >= MAX_DEPTH:
        return TOO_DEEP, _ATTRIBUTES_CUT
    return _attributes(found.get("values"), depth + 1)


_READERS = {
    "stringValue": _read_string,
    "boolValue": _read_bool,
    "intValue": _read_int,
    "doubleValue": _read_double,
    "arrayValue": _read_array,
    "kvlistValue": _read_kvlist,
    "bytesValue": _read_bytes,
}
