"""Plain JSON spans: for senders without OpenTelemetry, and for files.

A span is an object with the fields of `FIELDS`; what is not among them is kept as an attribute. Its own fields become
attributes `hub.<field>`, so one pipeline maps every source.
"""

from __future__ import annotations

import math
from hashlib import blake2b
from typing import Any, Final

import orjson

from apps.ingest.attribute_map import HUB_FIELDS
from apps.ingest.clean import Cleaner
from apps.ingest.convert import instant
from apps.ingest.raw import Drop, Origin, RawEvent, RawSpan
from apps.ingest.work import ATTRIBUTES_CUT, NUMBER_DROPPED, TEXT_REPAIRED

FRAME: Final = (
    "trace_id",
    "span_id",
    "parent_span_id",
    "name",
    "start_time",
    "end_time",
    "duration_ms",
    "status",
    "status_message",
    "attributes",
    "events",
    "resource",
)
FIELDS: Final = frozenset((*FRAME, *HUB_FIELDS))
_STATUS: Final = {"unset": 0, "ok": 1, "error": 2}
_HEX: Final = frozenset("0123456789abcdefABCDEF")
_MAX_EVENTS: Final = 1_000


def decode_span(node: Any, index: int, seed: str = "") -> RawSpan:
    """One span. Never raises: what cannot be read becomes the span's `problem`.

    Args:
        node: the parsed span.
        index: its place in the request or file.
        seed: told apart from equal spans without ids by this text (see `fill_ids`).
    """
    cleaner = Cleaner()
    raw = RawSpan(Origin())
    raw.index = index
    if not isinstance(node, dict):
        raw.problem = Drop("malformed", "a span must be a JSON object")
        return raw
    span = cleaner.value({str(key): value for key, value in node.items()})
    raw.name = _text(span.get("name"))
    raw.status_message = _text(span.get("status_message"))
    raw.problem = _fill_ids(raw, span) or _fill_status(raw, span) or _fill_nested(raw, span)
    _fill_times(raw, span)
    for key, value in span.items():
        if key not in FRAME and value is not None:
            raw.attributes[f"hub.{key}" if key in HUB_FIELDS else key] = value
    raw.flags |= (
        (TEXT_REPAIRED if cleaner.text_repaired else 0)
        | (NUMBER_DROPPED if cleaner.number_dropped else 0)
        | (ATTRIBUTES_CUT if cleaner.cut else 0)
    )
    if raw.problem is None:
        fill_ids(raw, span, seed)
    return raw


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _fill_ids(raw: RawSpan, span: dict[str, Any]) -> Drop | None:
    for field, length in (("trace_id", 32), ("span_id", 16), ("parent_span_id", 16)):
        value = span.get(field)
        if value is None:
            continue
        if not isinstance(value, str):
            return Drop(f"invalid_{field}", f"{field} must be text")
        # An id in OpenTelemetry's form is the same in either case.
        hexadecimal = len(value) == length and _HEX.issuperset(value)
        setattr(raw, field, value.lower() if hexadecimal else value)
    return None


def _fill_status(raw: RawSpan, span: dict[str, Any]) -> Drop | None:
    status = span.get("status")
    if status is None:
        raw.status_code = 2 if span.get("error_type") or span.get("error_message") else 0
        return None
    code = _STATUS.get(status.lower()) if isinstance(status, str) else None
    if code is None:
        return Drop("malformed", "status must be ok, error or unset")
    raw.status_code = code
    return None


def _fill_nested(raw: RawSpan, span: dict[str, Any]) -> Drop | None:
    attributes, resource, events = span.get("attributes"), span.get("resource"), span.get("events")
    for field, value in (("attributes", attributes), ("resource", resource)):
        if value is not None and not isinstance(value, dict):
            return Drop("malformed", f"{field} must be an object")
    if events is not None and not (isinstance(events, list) and all(isinstance(event, dict) for event in events)):
        return Drop("malformed", "events must be a list of objects")
    raw.attributes = dict(attributes or {})
    raw.origin.resource = resource or {}
    if events:
        raw.events = [_event(event) for event in events[:_MAX_EVENTS]]
    return None


def _event(event: dict[str, Any]) -> RawEvent:
    attributes = event.get("attributes")
    return RawEvent(
        _text(event.get("name")), moment(event.get("time")), attributes if isinstance(attributes, dict) else {}
    )


def _fill_times(raw: RawSpan, span: dict[str, Any]) -> None:
    raw.start_ns, raw.end_ns = moment(span.get("start_time")), moment(span.get("end_time"))
    duration = span.get("duration_ms")
    if isinstance(duration, str):
        try:
            duration = float(duration)
        except ValueError:
            duration = None
    if isinstance(duration, bool) or not isinstance(duration, int | float) or not math.isfinite(duration):
        return
    if duration < 0 or duration > 10**13:
        raw.flags |= NUMBER_DROPPED
        return
    nanoseconds = round(duration * 1_000) * 1_000
    if raw.end_ns == 0 and raw.start_ns:
        raw.end_ns = raw.start_ns + nanoseconds
    elif raw.start_ns == 0 and raw.end_ns:
        raw.start_ns = raw.end_ns - nanoseconds


def moment(value: Any) -> int:
    """A time as nanoseconds since the Unix epoch, 0 if it is none.

    ISO 8601 text (without a zone: UTC), or a number since the epoch, whose unit its size tells: seconds below
    1e11, then milliseconds, microseconds, nanoseconds.
    """
    if isinstance(value, str):
        found = instant(value)
        if found is not None:
            # 0 says that there is none; so do senders whose unset time is the first of all days.
            return found if found > 0 else int(not value.strip().startswith("0001-01-01"))
        try:
            value = float(value) if "." in value or "e" in value.lower() else int(value[:20])
        except ValueError:
            return 0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 2**64:
        return 0
    for bound, scale in ((1e11, 10**9), (1e14, 10**6), (1e17, 10**3)):
        if value < bound:
            whole = int(value)
            # The fraction apart, since a float of nanoseconds would have no microseconds left.
            return whole * scale + round((value - whole) * scale)
    return int(value)


def fill_ids(raw: RawSpan, span: dict[str, Any], seed: str) -> None:
    """Ids for a span that brought none, made from its content and the seed: the same span again gets the same.

    The seed tells apart equal spans of one batch (their place among equals) or file (their row).
    """
    if raw.trace_id and raw.span_id:
        return
    content = orjson.dumps(span, option=orjson.OPT_SORT_KEYS)
    digest = blake2b(content, digest_size=24, key=blake2b(seed.encode(), digest_size=32).digest()).hexdigest()
    raw.trace_id = raw.trace_id or digest[:32]
    raw.span_id = raw.span_id or digest[32:]


def decode_batch(nodes: list[Any]) -> list[RawSpan]:
    """The spans of a request. Of several equal spans without ids, the n-th gets the n-th ids."""
    seen: dict[bytes, int] = {}
    spans = []
    for index, node in enumerate(nodes):
        seed = ""
        if isinstance(node, dict) and not (node.get("trace_id") and node.get("span_id")):
            key = _essence(node)
            place = seen[key] = seen.get(key, 0) + 1
            seed = str(place) if place > 1 else ""
        spans.append(decode_span(node, index, seed))
    return spans


def _essence(node: dict[str, Any]) -> bytes:
    cleaned = Cleaner().value(node)
    return blake2b(orjson.dumps(cleaned, option=orjson.OPT_SORT_KEYS), digest_size=16).digest()
