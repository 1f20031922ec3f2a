"""The texts of a span as people read them: messages with their roles, calls of tools, JSON, or plain text.

SDKs write messages in many shapes: OpenTelemetry's parts, OpenAI's content and tool_calls, Anthropic's blocks, Gemini's
parts, Vercel's tool-call. What looks like one of them is read as messages, whatever else is JSON is indented, and all
else stays the text it is. Nothing is lost: what no rule knows is shown as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

MOST_MESSAGES: Final = 60
MOST_PIECES: Final = 40
FOLDED: Final = 1_200  # longer texts are folded behind this many characters
MOST_TEXT: Final = 24_000  # of one side of a span on a page; the rest is in its file
ROLES: Final = ("system", "developer", "user", "assistant", "tool", "model", "function")
_CALLS: Final = frozenset({"tool_call", "tool-call", "tool_use", "function_call", "server_tool_use"})
_RESULTS: Final = frozenset({"tool_call_response", "tool-result", "tool_result", "function_call_output"})
_THOUGHTS: Final = frozenset({"reasoning", "thinking", "thought", "redacted_thinking"})
_TEXTS: Final = frozenset({"text", "input_text", "output_text"})
Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a message.

    Args:
        kind: `text`, `json`, `call`, `result`, `thought` or `media`.
        head, tail: what is seen at once, and what is folded away.
        name: of the tool that is called, or what a medium is.
        key: the id that a call and its result share.
        left_out: how many characters of it the page has no room for.
    """

    kind: str
    head: str
    tail: str = ""
    name: str = ""
    key: str = ""
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Message:
    role: str
    pieces: list[Piece]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """One side of a span.

    Args:
        length: characters of the whole text.
        left_out: messages for which there is no room.
    """

    messages: list[Message]
    length: int
    left_out: int = 0


@dataclass(slots=True)
class _Room:
    """How many characters the page still has room for."""

    left: int = MOST_TEXT
    pieces: list[Piece] = field(default_factory=list)

    def piece(self, kind: str, text: str, **more: str) -> Piece:
        kept = text[: max(0, self.left)]
        self.left -= len(kept)
        fold = FOLDED if len(kept) > FOLDED * 5 // 4 else len(kept)
        return Piece(kind, kept[:fold], kept[fold:], left_out=len(text) - len(kept), **more)


def read(text: str) -> Reading:
    """A span's input or output."""
    room, found = _Room(), _parsed(text)
    if found is None or isinstance(found, str):
        return Reading([Message("", [room.piece("text", text if found is None else found)])], len(text))
    try:
        listed = _listed(found)
    except RecursionError:
        listed = []
    if not listed:
        return Reading([Message("", [room.piece("json", pretty(found))])], len(text))
    messages = [_message(one, room) for one in listed[:MOST_MESSAGES]]
    return Reading(messages, len(text), len(listed) - len(messages))


def pretty(value: Any) -> str:
    """JSON as people read it."""
    try:
        return json.dumps(value, ensure_ascii=False, indent=2, default=str)
    except (RecursionError, ValueError):
        return str(value)[:MOST_TEXT]


def _parsed(text: str) -> Any:
    """What a text says as JSON; None where it is none worth reading as such."""
    begin = text.lstrip()[:1]
    if begin not in ("{", "[", '"'):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _listed(found: Any) -> list[Document]:
    """The messages of a document; none where it is something else."""
    if isinstance(found, Mapping):
        for name in ("messages", "contents", "choices"):
            inner = found.get(name)
            if isinstance(inner, list) and _listed(inner):
                system = found.get("system")
                before: list[Document] = [{"role": "system", "content": system}] if system else []
                return before + _listed(inner)
        return [found] if _is_message(found) else []
    if not isinstance(found, list) or not found:
        return []
    if all(_is_message(one) for one in found):
        return list(found)
    return [{"role": "", "content": found}] if all(_is_block(one) for one in found) else []


def _is_message(one: Any) -> bool:
    if not isinstance(one, Mapping):
        return False
    if isinstance(one.get("message"), Mapping):  # a choice of an answer
        return _is_message(one["message"])
    said = "content" in one or "parts" in one or "tool_calls" in one or "function_call" in one
    return isinstance(one.get("role"), str) and said


def _is_block(one: Any) -> bool:
    return isinstance(one, Mapping) and _word(one.get("type")) in _TEXTS | _CALLS | _RESULTS | _THOUGHTS


def _message(one: Document, room: _Room) -> Message:
    note = one.get("finish_reason") or one.get("stop_reason")
    if isinstance(one.get("message"), Mapping):
        one = one["message"]
        note = note or one.get("finish_reason")
    pieces: list[Piece] = []
    for kind, text, more in _said(one):
        if len(pieces) == MOST_PIECES:
            break
        pieces.append(room.piece(kind, text, **more))
    return Message(str(one.get("role") or ""), pieces, str(note) if note and note != "stop" else "")


Said = tuple[str, str, dict[str, str]]


def _said(one: Document) -> Iterator[Said]:
    """What a message says: texts, thoughts, calls, results, in their order."""
    thought = one.get("reasoning_content") or one.get("reasoning")
    if isinstance(thought, str) and thought:
        yield "thought", thought, {}
    body = one.get("parts", one.get("content"))
    if one.get("role") in ("tool", "function") and not isinstance(body, list):
        yield "result", _text(body), {"name": _word(one.get("name")), "key": _word(one.get("tool_call_id"))}
    elif isinstance(body, list):
        for block in body:
            yield _block(block)
    elif body is not None:
        yield _block(body)
    calls = one.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        yield _call(call)
    if isinstance(one.get("function_call"), Mapping):
        yield _call(one["function_call"])


def _block(block: Any) -> Said:
    """One block of a message, in any of the shapes."""
    if isinstance(block, str):
        return _plain(block)
    if not isinstance(block, Mapping):
        return "json", pretty(block), {}
    kind = _word(block.get("type"))
    if kind in _CALLS or "functionCall" in block or "function_call" in block:
        return _call(block.get("functionCall") or block.get("function_call") or block)
    if kind in _RESULTS or "functionResponse" in block or "function_response" in block:
        return _result(block.get("functionResponse") or block.get("function_response") or block)
    if kind in _THOUGHTS:
        return "thought", _text(_first(block, "thinking", "content", "text", "data")), {}
    text = _first(block, "text", "content")
    if isinstance(text, str) and (kind in _TEXTS or not kind):
        return ("thought" if block.get("thought") is True else "text"), text, {}
    if kind and (media := _media(block)) is not None:
        return "media", media, {"name": kind}
    return "json", pretty(block), {}


def _plain(text: str) -> Said:
    """A text, which may be JSON: answers in JSON mode are."""
    found = _parsed(text)
    return ("json", pretty(found), {}) if isinstance(found, (dict, list)) else ("text", text, {})


def _call(call: Any) -> Said:
    if not isinstance(call, Mapping):
        return "json", pretty(call), {}
    inner = call.get("function")
    function: Document = inner if isinstance(inner, Mapping) else call
    given = _first(function, "arguments", "input", "args")
    name = _word(_first(function, "name", "toolName", "tool_name"))
    return "call", _text(given), {"name": name, "key": _word(_first(call, "id", "call_id", "toolCallId"))}


def _result(block: Document) -> Said:
    given = _first(block, "response", "result", "output", "content")
    key = _word(_first(block, "tool_use_id", "toolCallId", "call_id", "id"))
    return "result", _text(given), {"name": _word(_first(block, "name", "toolName")), "key": key}


def _media(block: Document) -> str | None:
    """An image, a sound or a file: what it is, not what it holds."""
    source = _first(block, "image_url", "input_audio", "file", "source", "image", "uri", "data", "content", "file_data")
    if isinstance(source, Mapping):
        source = _first(source, "url", "data", "file_id", "file_data", "uri")
    if not isinstance(source, str):
        return None
    head = source[:80]
    return f"{head}… ({len(source):,} characters)" if len(source) > 80 else head


def _text(value: Any) -> str:
    """A value as text: JSON indented, lists of text blocks joined."""
    if value is None:
        return ""
    if isinstance(value, str):
        found = _parsed(value)
        return pretty(found) if isinstance(found, (dict, list)) else value
    if isinstance(value, Sequence) and value and all(_is_block(one) and "text" in one for one in value):
        return "\n".join(str(one["text"]) for one in value)
    return pretty(value)


def _first(document: Document, *names: str) -> Any:
    """The value of the first name that has one."""
    return next((document[name] for name in names if document.get(name) is not None), None)


def _word(value: Any) -> str:
    return str(value)[:120] if isinstance(value, (str, int)) else ""
