"""What the OpenAPI document holds beside DRF's views: plain views, and the errors that every operation may answer.

An app describes its plain Django views with `describe` from `AppConfig.ready`; `complete` is drf-spectacular's
post-processing hook that puts them and the error catalogue into the document.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from drf_spectacular.openapi import AutoSchema

from apps.common.errors import CATALOGUE, ErrorCode

_EXAMPLE_META = {"timestamp": "2026-11-05T00:00:00Z", "request_id": "req_0123456789abcdef01234567"}
_NAMING = frozenset({"project", "x-project", "x-project-name"})
_ORGANIZATION = {
    "name": "X-Organization",
    "in": "header",
    "schema": {"type": "string"},
    "description": "The slug of the organization that is meant, for a member of several.",
}
_plain: dict[str, dict[str, dict[str, Any]]] = {}
# What stands in a path, for those who try an operation: the trace is the one of the examples of sending.
_IN_PATHS: dict[str, Any] = {
    "number": 1,
    "slug": "default",
    "name": "request_count",
    "trace_id": "5b8efff798038103d269b633813fc60c",
    "session_id": "conversation-17",
    "score_id": "0d4f6b1e-2a53-4c9b-9a55-3b7c1f6f0a11",
    "job_id": "8e6fd0b7-4c50-4f0e-93c1-5d9a0f5f2d10",
    "token": "eyJqb2IiOiI4ZTZmZDBiNyJ9",
    "file_name": "traces-2026-11-05.csv",
}


class Schema(AutoSchema):
    """DRF's views as they are described in so many words; docstrings are for those who read the code."""

    def get_description(self) -> str:  # type: ignore[override]  # drf-spectacular's takes nothing
        return ""


ERROR_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "The one shape of an error.",
    "required": ["error", "meta"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "error_code", "category", "message", "details", "field"],
            "properties": {
                "code": {"type": "integer", "enum": sorted(CATALOGUE)},
                "error_code": {"type": "string", "enum": [entry.name for entry in CATALOGUE.values()]},
                "category": {
                    "type": "string",
                    "enum": list(dict.fromkeys(entry.category for entry in CATALOGUE.values())),
                },
                "message": {"type": "string", "description": "What went wrong, for a person."},
                "details": {"description": "Particulars; several bad fields are listed as {field, message}."},
                "field": {"type": ["string", "null"], "description": "The request field at fault."},
            },
        },
        "meta": {
            "type": "object",
            "required": ["timestamp", "request_id", "documentation_url"],
            "properties": {
                "timestamp": {"type": "string", "format": "date-time"},
                "request_id": {"type": "string"},
                "documentation_url": {"type": "string"},
            },
        },
    },
}


def describe(path: str, method: str, operation: dict[str, Any], *, errors: bool = True) -> None:
    """Put a plain view into the document.

    Args:
        path: with a leading slash, parameters in braces.
        method: in lower case.
        operation: an OpenAPI operation object; `security` defaults to an API key, `[]` means none is needed.
        errors: whether it answers errors in the API's envelope (the OTLP paths answer in their own shape).
    """
    _plain.setdefault(path, {})[method] = {**operation, "x-envelope": errors}


def example(entry: ErrorCode) -> dict[str, Any]:
    """An answer with this error, as the documentation shows it."""
    error = {"code": entry.code, "error_code": entry.name, "category": entry.category, "message": entry.meaning}
    url = f"/docs/errors/{entry.code}"
    return {"error": {**error, "details": None, "field": None}, "meta": {**_EXAMPLE_META, "documentation_url": url}}


def _whole(description: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "integer", "minimum": 0}}


_RATE_HEADERS = {
    "X-RateLimit-Limit": _whole("Tokens of the tightest bucket that come back a minute."),
    "X-RateLimit-Remaining": _whole("Whole tokens that it has left."),
    "X-RateLimit-Reset": _whole("When it is full again, in seconds since 1970."),
    "Retry-After": _whole("Seconds until the same request would be let through."),
}


def _responses() -> dict[str, dict[str, Any]]:
    """A reusable response for every status that the catalogue knows."""
    by_status: dict[int, list[ErrorCode]] = {}
    for entry in CATALOGUE.values():
        for status in (entry.status, *entry.also):
            by_status.setdefault(status, []).append(entry)
    return {
        f"Error{status}": {
            "description": "; ".join(f"{entry.code} {entry.name}" for entry in entries),
            "content": {
                "application/json": {
                    "schema": {"$ref": "#/components/schemas/Error"},
                    "examples": {entry.name: {"value": example(entry)} for entry in entries},
                }
            },
            **({"headers": _RATE_HEADERS} if status == 429 else {}),
        }
        for status, entries in sorted(by_status.items())
    }


def _statuses(path: str, operation: dict[str, Any]) -> list[int]:
    """The error statuses that an operation may answer; a view names further ones in the extension `x-errors`."""
    parameters = operation.get("parameters", [])
    statuses = [500, 503, 504]
    if operation.get("security"):
        # 400 and 404 for the organization that the caller names, or should have named.
        statuses += [400, 401, 403, 404, 429]
    if parameters or "requestBody" in operation:
        statuses.append(400)
    if "requestBody" in operation:
        statuses += [413, 415]
    # Whatever names something: an object in the path, a project in the query or a header.
    if "{" in path or any(str(parameter.get("name")).lower() in _NAMING for parameter in parameters):
        statuses.append(404)
    return sorted({*statuses, *operation.pop("x-errors", ())})


def _with_example(path: str, parameter: dict[str, Any]) -> None:
    name = parameter.get("name")
    if parameter.get("in") == "path" and name in _IN_PATHS and not {"example", "examples"} & {*parameter}:
        parameter["example"] = "acme" if path.startswith("/api/v1/organizations") else _IN_PATHS[name]


def complete(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """drf-spectacular's hook: add the plain views, the error shape, and the errors of every operation."""
    paths: dict[str, Any] = result["paths"]
    for path, operations in _plain.items():
        paths.setdefault(path, {}).update(deepcopy(operations))
    components = result.setdefault("components", {})
    components.setdefault("schemas", {})["Error"] = ERROR_SCHEMA
    components.setdefault("parameters", {})["Organization"] = _ORGANIZATION
    components["responses"] = {**components.get("responses", {}), **_responses()}
    for path, operations in paths.items():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                _with_example(path, parameter)
            if operation.get("security"):
                operation.setdefault("parameters", []).append({"$ref": "#/components/parameters/Organization"})
            if not operation.pop("x-envelope", True):
                continue
            for status in _statuses(path, operation):
                operation["responses"].setdefault(str(status), {"$ref": f"#/components/responses/Error{status}"})
    result["paths"] = dict(sorted(paths.items()))
    return result
