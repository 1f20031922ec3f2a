"""Builders for ingest's tests: requests, raw spans, and rows out of the pipeline."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import orjson
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from apps.ingest.normalise import normalise
from apps.ingest.raw import Drop, Origin, RawEvent, RawSpan
from apps.ingest.redaction import redactor_for
from apps.ingest.work import Rules
from apps.traces.columns import SpanRow

NOW_NS = 1_793_881_815_250_000_000
TRACE = "5b8efff798038103d269b633813fc60c"
SPAN = "eee19b7ec3c1b174"


@dataclass(frozen=True)
class Settings:
    """A project's ingest settings."""

    id: int = 1
    organization_id: int = 1
    store_content: bool = True
    redact_patterns: tuple[str, ...] = ()
    redact_custom: tuple[str, ...] = ()
    raw_retention_days: int = 90


def rules(max_content: int = 1_000_000, **settings: Any) -> Rules:
    project = Settings(**settings)
    redactor = redactor_for(project.redact_patterns, project.redact_custom)
    return Rules(project, now_ns=NOW_NS, max_content=max_content, redactor=redactor)


def raw_span(
    attributes: dict[str, Any] | None = None,
    *,
    resource: dict[str, Any] | None = None,
    scope: str = "",
    events: list[RawEvent] | None = None,
    **fields: Any,
) -> RawSpan:
    origin = Origin(resource, scope, strict_ids=fields.pop("strict_ids", True))
    values: dict[str, Any] = {
        "trace_id": TRACE,
        "span_id": SPAN,
        "parent_span_id": "aaaaaaaaaaaaaaaa",
        "name": "a span",
        "start_ns": NOW_NS,
        "end_ns": NOW_NS + 1_500_000_000,
        **fields,
    }
    return RawSpan(origin, attributes=dict(attributes or {}), events=events, **values)


def row_of(attributes: dict[str, Any] | None = None, rule: Rules | None = None, /, **fields: Any) -> SpanRow:
    """The row that a span with these attributes becomes."""
    row = normalise(raw_span(attributes, **fields), rule or rules())
    assert isinstance(row, SpanRow), row
    return row


def drop_of(attributes: dict[str, Any] | None = None, rule: Rules | None = None, /, **fields: Any) -> Drop:
    drop = normalise(raw_span(attributes, **fields), rule or rules())
    assert isinstance(drop, Drop), drop
    return drop


def attributes_of(row: SpanRow) -> dict[str, Any]:
    """What is left among the span's own attributes."""
    stored: dict[str, Any] = orjson.loads(row.attributes or b"{}")
    found: dict[str, Any] = stored.get("span", {})
    return found


def labels_of(row: SpanRow) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(row.labels or b"{}")
    return found


def usage_of(row: SpanRow) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(row.usage or b"{}")
    return found


def any_value(value: Any) -> dict[str, Any]:
    """A Python value as OTLP JSON's AnyValue."""
    if value is None:
        return {}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {
            "doubleValue": value
            if math.isfinite(value)
            else str(value).replace("inf", "Infinity").replace("nan", "NaN")
        }
    if isinstance(value, str):
        return {"stringValue": value}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": key_values(value)}}
    return {"arrayValue": {"values": [any_value(item) for item in value]}}


def key_values(attributes: dict[str, Any]) -> list[dict[str, Any]]:
    pairs = []
    for key, value in attributes.items():
        pair: dict[str, Any] = {"key": key}
        if value is not None:
            pair["value"] = any_value(value)
        pairs.append(pair)
    return pairs


def json_span(attributes: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """A span of an OTLP JSON request."""
    events = [
        {"name": event.name, "timeUnixNano": str(event.time_ns), "attributes": key_values(event.attributes)}
        for event in fields.pop("events", [])
    ]
    span: dict[str, Any] = {
        "traceId": TRACE,
        "spanId": SPAN,
        "name": "a span",
        "kind": 3,
        "startTimeUnixNano": str(NOW_NS),
        "endTimeUnixNano": str(NOW_NS + 1_500_000_000),
        "attributes": key_values(attributes or {}),
        "status": {},
    }
    if events:
        span["events"] = events
    span.update(fields)
    return span


def json_request(spans: list[Any], resource: dict[str, Any] | None = None, scope: str = "t") -> dict[str, Any]:
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": key_values(resource or {})},
                "scopeSpans": [{"scope": {"name": scope}, "spans": spans}],
            }
        ]
    }


def to_protobuf(request: dict[str, Any]) -> bytes:
    """The same request as protobuf, written field by field; spans whose ids are no hex get empty ones."""
    message = ExportTraceServiceRequest()
    for node in request.get("resourceSpans", []):
        resource_spans = message.resource_spans.add()
        _fill_attributes(resource_spans.resource.attributes, node.get("resource", {}).get("attributes", []))
        for scope_node in node.get("scopeSpans", []):
            scope_spans = resource_spans.scope_spans.add()
            scope_spans.scope.name = scope_node.get("scope", {}).get("name", "")
            for span in scope_node.get("spans", []):
                _fill_span(scope_spans.spans.add(), span)
    encoded: bytes = message.SerializeToString()
    return encoded


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


def _fill_span(target: Any, span: dict[str, Any]) -> None:
    target.trace_id = _bytes(span.get("traceId", ""))
    target.span_id = _bytes(span.get("spanId", ""))
    target.parent_span_id = _bytes(span.get("parentSpanId", ""))
    target.name = span.get("name", "")
    target.kind = span.get("kind", 0)
    target.start_time_unix_nano = int(span.get("startTimeUnixNano", 0))
    target.end_time_unix_nano = int(span.get("endTimeUnixNano", 0))
    target.status.code = span.get("status", {}).get("code", 0)
    target.status.message = span.get("status", {}).get("message", "")
    _fill_attributes(target.attributes, span.get("attributes", []))
    for node in span.get("events", []):
        event = target.events.add()
        event.name = node.get("name", "")
        event.time_unix_nano = int(node.get("timeUnixNano", 0))
        _fill_attributes(event.attributes, node.get("attributes", []))


def _fill_attributes(target: Any, pairs: list[dict[str, Any]]) -> None:
    for pair in pairs:
        added = target.add()
        added.key = pair["key"]
        if "value" in pair:
            _fill_value(added.value, pair["value"])


def _fill_value(target: Any, node: dict[str, Any]) -> None:
    for name, found in node.items():
        if name == "stringValue":
            target.string_value = found
        elif name == "boolValue":
            target.bool_value = found
        elif name == "intValue":
            target.int_value = int(found)
        elif name == "doubleValue":
            target.double_value = float(found)
        elif name == "arrayValue":
            target.array_value.SetInParent()
            for item in found["values"]:
                _fill_value(target.array_value.values.add(), item)
        elif name == "kvlistValue":
            target.kvlist_value.SetInParent()
            _fill_attributes(target.kvlist_value.values, found["values"])
