"""The ways in, for the OpenAPI document: they are plain views and answer in OTLP's own shapes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from apps.common.openapi import describe

_STATUS = {
    "type": "object",
    "description": "google.rpc.Status",
    "properties": {"code": {"type": "integer"}, "message": {"type": "string"}},
}
_ANSWER = {
    "type": "object",
    "description": "Empty when everything was stored.",
    "properties": {
        "partialSuccess": {
            "type": "object",
            "properties": {"rejectedSpans": {"type": "string"}, "errorMessage": {"type": "string"}},
        }
    },
}
_PROBLEMS = {
    "400": "The body cannot be decoded.",
    "401": "No valid API key.",
    "403": "The key lacks traces:write, or the project is outside it.",
    "404": "No such project.",
    "413": "The body, decompressed, or its number of spans is over the limit.",
    "415": "The content type or encoding is not read.",
    "429": "Too many requests, or spans of the project; send again after Retry-After.",
    "500": "Something broke on our side.",
    "503": "Not stored; send again after Retry-After.",
    "504": "Not stored in time; send again after Retry-After.",
}


def _otlp_example() -> dict[str, Any]:
    """One call, at a time that is still taken, so that it can be sent as it stands."""
    start = int(datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0).timestamp())
    named = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o"}
    counted = {"gen_ai.usage.input_tokens": "1200", "gen_ai.usage.output_tokens": "340"}
    span = {
        "traceId": "5b8efff798038103d269b633813fc60c",
        "spanId": "eee19b7ec3c1b174",
        "name": "chat gpt-4o",
        "startTimeUnixNano": f"{start}000000000",
        "endTimeUnixNano": f"{start + 2}000000000",
        "attributes": [
            *({"key": key, "value": {"stringValue": value}} for key, value in named.items()),
            *({"key": key, "value": {"intValue": value}} for key, value in counted.items()),
        ],
    }
    service = {"key": "service.name", "value": {"stringValue": "shop"}}
    return {"resourceSpans": [{"resource": {"attributes": [service]}, "scopeSpans": [{"spans": [span]}]}]}


# What an operation is sent.
_SENT = {
    "traces": _otlp_example(),
    "langfuse_traces": _otlp_example(),
    "logs": {"resourceLogs": []},
    "metrics": {"resourceMetrics": []},
}


def _both(schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "application/json": {"schema": schema},
        "application/x-protobuf": {"schema": {"type": "string", "format": "binary"}},
    }


def _export(signal: str, summary: str, *, also: str = "") -> dict[str, Any]:
    """An OTLP operation; `also` names a further way to send the key."""
    sent = _both({"type": "object"})
    sent["application/json"]["example"] = _SENT[signal]
    problems = {code: {"description": text, "content": _both(_STATUS)} for code, text in _PROBLEMS.items()}
    return {
        "operationId": f"otlp_{signal}",
        "summary": summary,
        "description": "OTLP/HTTP: protobuf or JSON, plain, gzip or deflate; the answer is in the request's encoding.",
        "tags": ["ingest"],
        "security": [{"bearer": []}, {"apiKey": []}, *([{also: []}] if also else [])],
        "parameters": [
            {
                "name": "X-Project",
                "in": "header",
                "schema": {"type": "string"},
                "description": "The slug of the project to send to, with a key of the whole organization.",
            }
        ],
        "requestBody": {"required": True, "content": sent},
        "responses": {"200": {"description": "Received.", "content": _both(_ANSWER)}, **problems},
    }


def describe_all() -> None:
    describe("/v1/traces", "post", _export("traces", "Send spans"), errors=False)
    describe("/v1/metrics", "post", _export("metrics", "Received and not stored"), errors=False)
    langfuse = _export("langfuse_traces", "Send spans from Langfuse's clients", also="basic")
    describe("/api/public/otel/v1/traces", "post", langfuse, errors=False)
    describe("/v1/logs", "post", _export("logs", "Received and not stored"), errors=False)
