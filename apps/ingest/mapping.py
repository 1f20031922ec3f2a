"""The attribute map, compiled: each span's attributes are walked once, instead of asked for by every known name."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import islice
from typing import Any, Final, NamedTuple

from apps.ingest.attribute_map import (
    COLUMNS,
    DIALECTS,
    INDEXED,
    LANGFUSE_WINS,
    SCOPE_DIALECTS,
    SCOPE_NAMES,
    SOURCES,
    Column,
)
from apps.ingest.convert import BAD, CONVERTERS
from apps.ingest.raw import Attributes

MAX_ATTRIBUTES: Final = 2_000
INDEXED_PREFIXES: Final = tuple(INDEXED)
_INDEXED_KEY: Final = re.compile(rf"(?:{'|'.join(map(re.escape, INDEXED))})\d")

Target = tuple[str, int, Callable[[Any], Any]]
Table = dict[str, tuple[Target, ...]]


class Hits(NamedTuple):
    """What a span's attributes gave: column values, dotted list entries, and all that became no column."""

    values: dict[str, Any]
    indexed: list[tuple[str, Any]]
    rest: Attributes
    number_dropped: bool
    cut: bool


def _ordered_keys(name: str, column: Column, first: str | None) -> list[tuple[str, str]]:
    """(key, converter) of a column in order of precedence, for spans whose scope is of the dialect `first`."""
    order = sorted(DIALECTS, key=lambda dialect: (dialect != first, DIALECTS.index(dialect)))
    if name in LANGFUSE_WINS:
        order.sort(key=lambda dialect: dialect != "langfuse")
    keys: list[tuple[str, str]] = []
    for dialect in order:
        for key in getattr(column, dialect):
            keys.append((key, column.convert) if isinstance(key, str) else key)
    return keys


def _compile(first: str | None) -> Table:
    table: dict[str, list[Target]] = {}
    for name, column in COLUMNS.items():
        for priority, (key, convert) in enumerate(_ordered_keys(name, column, first)):
            table.setdefault(key, []).append((name, priority, CONVERTERS[convert]))
    return {key: tuple(targets) for key, targets in table.items()}


TABLES: dict[str | None, Table] = {dialect: _compile(dialect) for dialect in (None, *DIALECTS)}


def table_for(scope_name: str) -> Table:
    """The map as the spans of this instrumentation scope read it."""
    named = SCOPE_NAMES.get(scope_name)
    if named is None:
        named = next((dialect for prefix, dialect in SCOPE_DIALECTS if scope_name.startswith(prefix)), None)
    return TABLES[named]


def collect(attributes: Attributes, table: Table) -> Hits:
    """Walk a span's attributes once."""
    values: dict[str, Any] = {}
    ranks: dict[str, tuple[int, str]] = {}
    indexed: list[tuple[str, Any]] = []
    rest: Attributes = {}
    lost: list[tuple[str, Any, str]] = []
    dropped = False
    cut = len(attributes) > MAX_ATTRIBUTES
    for key, value in islice(attributes.items(), MAX_ATTRIBUTES) if cut else attributes.items():
        targets = table.get(key)
        if targets is None:
            if key.startswith(INDEXED_PREFIXES) and _INDEXED_KEY.match(key):
                indexed.append((key, value))
            else:
                rest[key] = value
            continue
        used = False
        for column, priority, convert in targets:
            converted = convert(value)
            if converted is None:
                continue
            if converted is BAD:
                dropped = True
                continue
            used = True
            held = ranks.get(column)
            if held is None:
                values[column] = converted
                ranks[column] = (priority, key)
            elif priority < held[0]:
                lost.append((column, values[column], held[1]))
                values[column] = converted
                ranks[column] = (priority, key)
            else:
                lost.append((column, converted, key))
        if not used:
            rest[key] = value
    for column in SOURCES.keys() & ranks.keys():
        key = ranks[column][1]
        rest[key] = attributes[key]
    if lost:
        _keep_losers(lost, values, ranks, rest, attributes)
    return Hits(values, indexed, rest, dropped, cut)


def _keep_losers(
    lost: list[tuple[str, Any, str]],
    values: dict[str, Any],
    ranks: dict[str, tuple[int, str]],
    rest: Attributes,
    attributes: Attributes,
) -> None:
    """A key that won nowhere stays an attribute, unless it says the same as the one that won."""
    winners = {key for _, key in ranks.values()}
    for column, converted, key in lost:
        if key not in winners and converted != values[column]:
            rest[key] = attributes[key]
