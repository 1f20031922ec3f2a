"""Building blocks of what the OpenAPI document says of read endpoints: JSON schemas, parameters, names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from apps.common.reads import fields

TIME: dict[str, Any] = {"type": "string", "format": "date-time"}
TEXT: dict[str, Any] = {"type": "string"}
NUMBER: dict[str, Any] = {"type": ["number", "null"]}
COUNT: dict[str, Any] = {"type": "integer"}


def obj(**properties: dict[str, Any]) -> dict[str, Any]:
    """An object that has all of these."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def array(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def nullable(schema: dict[str, Any]) -> dict[str, Any]:
    return {"oneOf": [schema, {"type": "null"}]}


# What a list says of its page.
PAGE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "limit": COUNT,
        "next_cursor": {"type": ["string", "null"], "description": "null on the last page"},
        "has_more": {"type": "boolean"},
        "total": {**COUNT, "description": "With include_total alone"},
    },
    "required": ["limit", "next_cursor", "has_more"],
}
META = obj(request_id=TEXT, cached={"type": "boolean"}, computed_at=TIME)


def query(name: str, description: str, **more: Any) -> OpenApiParameter:
    """A query parameter, a text if `type` says nothing else."""
    return OpenApiParameter(name, more.pop("type", OpenApiTypes.STR), description=description, **more)


RANGE = [
    query("start_time", "ISO 8601 with a zone; included", type=OpenApiTypes.DATETIME),
    query("end_time", "ISO 8601 with a zone; not included. Now if not given", type=OpenApiTypes.DATETIME),
    query("project", "Slugs, separated by commas; all that the key may see if not given"),
]
UNTOUCHED: dict[int | tuple[int, str], Any] = {
    304: OpenApiResponse(description="The copy that If-None-Match or If-Modified-Since speaks of is still right")
}


def names(operation: Mapping[str, Any]) -> tuple[str, ...]:
    """The names that `fields=` may take, from what an operation is documented to answer."""
    document: Mapping[str, Any] = operation["responses"][200].response
    return tuple(_names(document))


def _names(schema: Mapping[str, Any]) -> Iterator[str]:
    parts: Mapping[str, Any] = schema.get("properties", {})
    for name, inner in parts.items():
        if name in fields.ALWAYS:
            continue
        below = list(_names(_inside(inner)))
        # Fields of the rows are named without `data`.
        yield from below if name == "data" else [f"{name}.{leaf}" for leaf in below] or [name]


def _inside(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The object behind a list, or behind "an object or null"."""
    inner = schema.get("items") or next(iter(schema.get("oneOf", ())), None)
    return _inside(inner) if inner else schema
