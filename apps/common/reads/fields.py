"""`fields=a,b.c` on every JSON read: keep only those fields of an answer.

A path names a field of the rows where the answer has `data`, else of the answer itself; beside `data` it may also name
a part that stands there (`intervals` of the metrics catalogue). `b.c` is the field c of b, or of every object in the
list b. What describes the answer (`ALWAYS`) stays.

The known names come from the question, not from the rows, so that an empty list refuses a mistyped name too:

    chosen = fields.requested(request, ("id", "name", "limits.per_minute", "labels.*"))
    return Response(fields.keep(chosen, document))
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, cast

from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers

from apps.common.errors import ApiError

NAME = "fields"
ALWAYS = frozenset({"metadata", "meta", "pagination"})
ANY = "*"
MOST = 100  # paths in one request
LISTED = 200  # known names in one error
PARAMETER = OpenApiParameter(
    NAME,
    str,
    description="Only these fields of every row (of the answer, where it has no `data`): names with commas between "
    "them, `b.c` for the field c of b. `metadata`, `pagination` and `meta` always stay.",
)


class Key(str):
    """A known name that is one key of a row, dots and all: `score.relevance`."""

    __slots__ = ()


@dataclass(slots=True)
class Node:
    """What is kept of an object: some of its fields, or all of it."""

    whole: bool = False
    below: dict[str, Node] = field(default_factory=dict)


def names_of(serializer: type[serializers.BaseSerializer[Any]] | serializers.BaseSerializer[Any]) -> tuple[str, ...]:
    """The known names of an answer that a serializer describes: dotted, `x.*` where the keys are free."""
    made = serializer() if isinstance(serializer, type) else serializer
    if isinstance(made, serializers.ListSerializer):
        return names_of(cast("serializers.BaseSerializer[Any]", made.child))
    names: list[str] = []
    for name, inner in getattr(made, "fields", {}).items():
        if isinstance(inner, serializers.BaseSerializer):
            names += [f"{name}.{below}" for below in names_of(inner)]
        else:
            free = isinstance(inner, (serializers.DictField, serializers.JSONField))
            names.append(f"{name}.{ANY}" if free else name)
    return tuple(names)


def requested(query: Any, known: Iterable[str]) -> Node | None:
    """What the query parameter `fields` asks for; None where it is absent.

    Args:
        query: a Django or DRF request, or the texts of the parameter.
        known: every name that the answer may have, dotted: `b.c`, and `b.*` where the keys of b are free. Naming the
            `b` of a known `b.c` is right too.

    Raises:
        ApiError: 1202 for an empty list or an unknown name, listing the known ones; 1205 for too many.
    """
    texts = query.GET.getlist(NAME) if hasattr(query, "GET") else query
    if not texts:
        return None
    paths = [path.strip() for text in texts for path in text.split(",")]
    if not all(paths):
        raise ApiError(1202, "fields has an empty name: a,b.c is its form.", field=NAME)
    if len(paths) > MOST:
        raise ApiError(1205, f"At most {MOST} fields.", field=NAME)
    names = tuple(known)
    root = Node()
    for path in paths:
        _plant(root, _steps(path, names))
    return root


def _steps(path: str, known: tuple[str, ...]) -> list[str]:
    """The steps of a known path; the key under a `*` is one step, whatever dots it has."""
    if any(name == path and isinstance(name, Key) for name in known):
        return [path]
    dotted = [name for name in known if not isinstance(name, Key)]
    if any(name == path or name.startswith(f"{path}.") for name in dotted) and ANY not in path.split("."):
        return path.split(".")
    for name in known:
        above, key = name.removesuffix(ANY), path.removeprefix(name.removesuffix(ANY))
        if above != name and key not in (path, ANY, ""):
            return [*above[:-1].split("."), key]
    if path in ALWAYS:
        return [path]
    raise _unknown(path, known)


def _unknown(path: str, known: tuple[str, ...]) -> ApiError:
    nearest = get_close_matches(path.lower(), known, n=1, cutoff=0.5)
    hint = f" Did you mean {nearest[0]}?" if nearest else ""
    details = {"known": sorted(known)[:LISTED]}
    return ApiError(1202, f"Unknown field {path[:64]!r}.{hint}", field=NAME, details=details)


def _plant(root: Node, steps: list[str]) -> None:
    node = root
    for step in steps:
        node = node.below.setdefault(step, Node())
    node.whole = True


def keeps(chosen: Node | None, *path: str) -> bool:
    """Whether anything at or below this field will be kept: what will not be, need not be computed."""
    node = chosen
    for step in path:
        if node is None or node.whole:
            return True
        node = node.below.get(step)
        if node is None:
            return False
    return True


def keep(chosen: Node | None, document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The document with the chosen fields and what always stays, in its own order."""
    if chosen is None:
        return document
    made: dict[str, Any] = {}
    for name, value in document.items():
        if name in ALWAYS:
            made[name] = value
        elif name == "data" and "data" not in chosen.below:
            made[name] = _kept(chosen, value)
        elif name in chosen.below:
            made[name] = _kept(chosen.below[name], value)
    return made


def _kept(node: Node, value: Any) -> Any:
    if node.whole:
        return value
    if isinstance(value, Mapping):
        return {name: _kept(node.below[name], inner) for name, inner in value.items() if name in node.below}
    if isinstance(value, (list, tuple)):
        return [_kept(node, inner) for inner in value]
    return value  # null, where an object could have been
