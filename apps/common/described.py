"""The kernel's plain views, for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from apps.common.openapi import describe


def _json(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


_READY = {
    "type": "object",
    "required": ["status", "checks"],
    "properties": {
        "status": {"type": "string", "enum": ["ready", "not_ready"]},
        "checks": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "required": ["ok", "ms"],
                "properties": {
                    "ok": {"type": "boolean"},
                    "ms": {"type": "number"},
                    "message": {"type": "string"},
                },
            },
        },
    },
}


def describe_all() -> None:
    up = {"type": "object", "properties": {"status": {"type": "string", "enum": ["ok"]}}}
    health = {
        "operationId": "health",
        "summary": "Is the process up?",
        "tags": ["operation"],
        "security": [],
        "responses": {"200": _json("The process is up.", up)},
    }
    ready = {
        "operationId": "ready",
        "summary": "Is the hub usable: database, migrations, cache, storage, rollups?",
        "tags": ["operation"],
        "security": [],
        "responses": {"200": _json("Usable.", _READY), "503": _json("Not usable.", _READY)},
    }
    describe("/health", "get", health, errors=False)
    describe("/ready", "get", ready, errors=False)
