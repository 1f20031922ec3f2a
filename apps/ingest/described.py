"""The ways in, for the OpenAPI document: they are plain views and answer in OTLP's own shapes."""

from __future__ import annotations

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


def _both(schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "application/json": {"schema": schema},
        "application/x-protobuf": {"schema": {"type": "string", "format": "binary"}},
    }


def _export(signal: str, summary: str, *, also: str = "") -> dict[str, Any]:
    """An OTLP operation; `also` names a further way to send the key."""
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
        "requestBody": {"required": True, "content": _both({"type": "object"})},
        "responses": {"200": {"description": "Received.", "content": _both(_ANSWER)}, **problems},
    }


def describe_all() -> None:
    describe("/v1/traces", "post", _export("traces", "Send spans"), errors=False)
    describe("/v1/metrics", "post", _export("metrics", "Received and not stored"), errors=False)
    langfuse = _export("langfuse_traces", "Send spans from Langfuse's clients", also="basic")
    describe("/api/public/otel/v1/traces", "post", langfuse, errors=False)
    describe("/v1/logs", "post", _export("logs", "Received and not stored"), errors=False)
