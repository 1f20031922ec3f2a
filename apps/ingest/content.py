"""Input and output text: from attributes, dotted lists and events to one text each."""

from __future__ import annotations

from typing import Any, Final

import orjson

from apps.ingest.attribute_map import INDEXED
from apps.ingest.convert import content, text
from apps.ingest.mapping import Hits, Table, collect
from apps.ingest.raw import Attributes, RawEvent, RawSpan
from apps.ingest.vocabulary import CONTENT_EVENTS, DETAIL_EVENTS, MESSAGE_EVENTS, TTFT_EVENTS

MAX_SLOTS: Final = 10_000
_MAX_PATH: Final = 16


def fold(entries: list[tuple[str, Any]]) -> tuple[dict[str, Any], bool]:
    """Dotted list attributes as lists: {prefix: [...]}; second, whether slots were left out.

    A slot number is only an order, so `llm.input_messages.999999999.x` allocates nothing; numbers from MAX_SLOTS
    on are left out.
    """
    roots: dict[str, Any] = {}
    cut = False
    for key, value in entries:
        prefix = next(prefix for prefix in INDEXED if key.startswith(prefix))
        path = key[len(prefix) :].split(".")
        if len(path) > _MAX_PATH or any(part.isdecimal() and not _slot(part) for part in path):
            cut = True
            continue
        node = roots.setdefault(prefix, {})
        for part in path[:-1]:
            child = node.get(part)
            node[part] = node = child if isinstance(child, dict) else {}
        node.setdefault(path[-1], value)
    return {prefix: _listed(tree) for prefix, tree in roots.items()}, cut


def _slot(part: str) -> bool:
    return len(part) <= 5 and int(part) < MAX_SLOTS


def _listed(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    if node and all(part.isdecimal() for part in node):
        return [_listed(node[part]) for part in sorted(node, key=int)]
    return {part: _listed(child) for part, child in node.items()}


def _unwrapped(messages: Any, prefix: str) -> Any:
    """OpenInference nests each message under `message.` (prompts: `prompt.`, choices: `completion.`)."""
    if not prefix.startswith("llm.") or not isinstance(messages, list):
        return messages
    return [
        next(iter(message.values())) if isinstance(message, dict) and len(message) == 1 else message
        for message in messages
    ]


def place_indexed(hits: Hits) -> bool:
    """Give a span without an input (output) the messages of its dotted lists; the others stay attributes.

    Lists whose every text the winner already holds are left out: content is not stored twice.
    """
    folded, cut = fold(hits.indexed)
    for prefix, tree in folded.items():
        side = INDEXED[prefix][0]
        messages = _unwrapped(tree, prefix)
        winner = hits.values.get(side)
        if winner is None:
            hits.values[side] = orjson.dumps(messages).decode()
        elif not all(_inside(leaf, winner) for leaf in _leaves(messages)):
            hits.rest[prefix.rstrip(".")] = messages
    return cut


def _leaves(node: Any) -> list[str]:
    if isinstance(node, dict):
        node = list(node.values())
    if isinstance(node, list):
        return [leaf for child in node for leaf in _leaves(child)]
    return [node] if isinstance(node, str) else []


def _inside(leaf: str, winner: str) -> bool:
    return leaf in winner or orjson.dumps(leaf).decode()[1:-1] in winner


def read_events(raw: RawSpan, hits: Hits, table: Table) -> list[RawEvent]:
    """Take from a span's events what they bring (content, first token, exception); returns the events to keep."""
    values = hits.values
    kept: list[RawEvent] = []
    messages: dict[str, list[Attributes]] = {"input": [], "output": []}
    for event in raw.events or ():
        name = event.name
        if name in TTFT_EVENTS and "ttft" not in values and event.time_ns >= raw.start_ns > 0:
            values["ttft"] = (event.time_ns - raw.start_ns) // 1_000
        if name == "exception":
            _read_exception(event, values)
            kept.append(event)
        elif name in MESSAGE_EVENTS and event.attributes:
            messages[MESSAGE_EVENTS[name]].append({"event": name, **event.attributes})
        elif name in CONTENT_EVENTS:
            side, key = CONTENT_EVENTS[name]
            found = content(event.attributes.get(key))
            if found is None or values.setdefault(side, found) != found:
                kept.append(event)
        elif name in DETAIL_EVENTS:
            rest = _read_details(event, values, table)
            kept.append(event._replace(attributes=rest))
        else:
            kept.append(event)
    for side, listed in messages.items():
        if listed and side not in values:
            values[side] = orjson.dumps(listed).decode()
        else:
            kept.extend(RawEvent(str(item.pop("event")), 0, item) for item in listed)
    return kept


def _read_exception(event: RawEvent, values: dict[str, Any]) -> None:
    values["exception_event"] = True
    for column, key in (("error_type", "exception.type"), ("error_message", "exception.message")):
        found = text(event.attributes.get(key))
        if found is not None:
            values.setdefault(column, found)


def _read_details(event: RawEvent, values: dict[str, Any], table: Table) -> Attributes:
    """The GenAI details event carries attributes that may not be on the span."""
    found = collect(event.attributes, table)
    rest = found.rest
    for column, value in found.values.items():
        if column in ("input", "output", "system_instructions"):
            held = values.setdefault(column, value)
            if held != value:
                rest[column] = value
    for key, value in found.indexed:
        rest[key] = value
    return rest
