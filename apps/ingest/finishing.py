"""The last steps: content put together, redacted, encoded and cut; dimensions cut; the fingerprint."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Final

import orjson

from apps.ingest.clean import Cleaner, cut_bytes, mend_json, mend_text
from apps.ingest.convert import json_object
from apps.ingest.raw import Drop
from apps.ingest.redaction import Redactor
from apps.ingest.work import (
    ATTRIBUTES_CUT,
    CONTENT_CUT,
    CONTENT_OFF,
    DIMENSION_CUT,
    REDACTED,
    TEXT_REPAIRED,
    TOKENS_ESTIMATED,
    Work,
)

MAX_DIMENSION: Final = 256
MAX_ID: Final = 256
MAX_MESSAGE: Final = 1_000


def set_content(work: Work) -> Drop | None:
    row, values, raw = work.row, work.values, work.raw
    row.input, row.output = values.get("input"), values.get("output")
    instructions = values.get("system_instructions")
    if instructions is not None:
        parts = [f'"system_instructions":{_embedded(instructions)}']
        if row.input is not None:
            parts.append(f'"messages":{_embedded(row.input)}')
        row.input = "{" + ",".join(parts) + "}"
    if row.parent_span_id is None:
        row.input = row.input or values.get("trace_input")
        row.output = row.output or values.get("trace_output")
    if raw.links:
        work.hits.rest["links"] = raw.links
    return None


def estimate_tokens(work: Work) -> Drop | None:
    """Where the installation wants it: counts that a call did not report, at four characters a token, and marked."""
    row = work.row
    if not work.rules.estimate_tokens or not row.billable:
        return None
    if row.total_tokens is not None and row.prompt_tokens is None and row.completion_tokens is None:
        return None  # the sum is known, and an estimate of its parts would not add up to it
    if row.prompt_tokens is None and row.input:
        row.prompt_tokens = (len(row.input) + 3) // 4
        work.flags |= TOKENS_ESTIMATED
    if row.completion_tokens is None and row.output and row.kind == "llm":
        row.completion_tokens = (len(row.output) + 3) // 4
        work.flags |= TOKENS_ESTIMATED
    if work.flags & TOKENS_ESTIMATED:
        row.total_tokens = (row.prompt_tokens or 0) + (row.completion_tokens or 0)
    return None


def _embedded(value: str) -> str:
    """Content inside a JSON object: JSON as it is, other text quoted."""
    return value if value[:1] in "[{" and json_object(f'{{"v":{value}}}') else orjson.dumps(value).decode()


def redact(work: Work) -> Drop | None:
    """Patterns of the project, over everything that is content, before any of it is encoded."""
    redactor = work.rules.redactor
    if redactor is None:
        return None
    row, rest = work.row, work.hits.rest
    redactor.hit = False
    row.error_message = None if row.error_message is None else redactor.text(row.error_message)
    row.input = _redacted(redactor, row.input)
    row.output = _redacted(redactor, row.output)
    for key in list(rest):
        rest[key] = redactor.value(rest[key])
    if work.events:
        work.events = [event._replace(attributes=redactor.value(event.attributes)) for event in work.events]
    if redactor.hit:
        work.flags |= REDACTED
    return None


def _redacted(redactor: Redactor, value: str | None) -> str | None:
    """JSON content is redacted text by text, so that it stays JSON and escapes hide nothing."""
    if value is None:
        return None
    if value[:1] in "[{":
        try:
            parsed = orjson.loads(value)
        except orjson.JSONDecodeError:
            return redactor.text(value)
        cleaned = redactor.value(parsed)
        return value if cleaned == parsed else orjson.dumps(cleaned).decode()
    return redactor.text(value)


def encode_content(work: Work) -> Drop | None:
    """Attributes and events as JSON, texts without NUL, all of it within the limit; nothing where content is off."""
    row, rules = work.row, work.rules
    if not rules.store_content:
        row.input = row.output = row.error_message = None
        work.flags |= CONTENT_OFF
        return None
    rest = work.hits.rest
    encoded = b""
    if rest:
        encoded, repaired = mend_json(_dumps(work, rest))
        if repaired:
            work.flags |= TEXT_REPAIRED
    row.attributes = _framed(work, encoded)
    if work.events:
        listed = [{"name": e.name, "time_unix_nano": e.time_ns, "attributes": e.attributes} for e in work.events]
        row.events, repaired = mend_json(_dumps(work, listed))
        if repaired:
            work.flags |= TEXT_REPAIRED
    row.input = _mended(work, row.input)
    row.output = _mended(work, row.output)
    size = len(row.input or "") + len(row.output or "") + len(row.attributes or b"") + len(row.events or b"")
    if size * 4 > rules.max_content:
        _fit(work)
    return None


def _dumps(work: Work, value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # a surrogate or a huge integer that came in as Python data
        cleaner = Cleaner()
        value = cleaner.value(value)
        work.flags |= TEXT_REPAIRED if cleaner.text_repaired else 0
        return orjson.dumps(value)


def _framed(work: Work, span: bytes) -> bytes | None:
    """`{"span": ..., "resource": ..., "scope": ...}`, each part only where there is something."""
    shared = work.prepared.encoded
    if work.prepared.repaired:
        work.flags |= TEXT_REPAIRED
    if shared and work.rules.redactor is not None:
        shared = orjson.dumps(work.rules.redactor.value(orjson.loads(shared)))
        work.flags |= REDACTED if work.rules.redactor.hit else 0
    if not span:
        return shared or None
    return b'{"span":' + span + (b"," + shared[1:] if shared else b"}")


def _mended(work: Work, value: str | None) -> str | None:
    if value is None:
        return None
    mended = mend_text(value) if "\x00" in value or not value.isascii() else value
    if mended is not value:
        work.flags |= TEXT_REPAIRED
    return mended


def _fit(work: Work) -> None:
    """Cut content to the limit: attributes and events may take a quarter each, input and output share the rest."""
    row, limit = work.row, work.rules.max_content
    quarter = limit // 4
    total = sum(len(part.encode()) for part in (row.input, row.output) if part is not None)
    total += len(row.attributes or b"") + len(row.events or b"")
    if total <= limit:
        return
    work.flags |= CONTENT_CUT
    if row.attributes is not None and len(row.attributes) > quarter:
        row.attributes = _shrunk(orjson.loads(row.attributes), quarter)
        work.flags |= ATTRIBUTES_CUT
    if row.events is not None and len(row.events) > quarter:
        row.events = _shrunk(orjson.loads(row.events), quarter)
    room = limit - len(row.attributes or b"") - len(row.events or b"")
    given, made = len((row.input or "").encode()), len((row.output or "").encode())
    if row.input is not None:
        row.input = cut_bytes(row.input, max(room // 2, room - made))
        given = len(row.input.encode())
    if row.output is not None:
        row.output = cut_bytes(row.output, room - given)


def _shrunk(value: Any, limit: int) -> bytes | None:
    """JSON within the limit: ever shorter texts, then ever shorter lists and objects."""
    for longest in (10_000, 1_000, 100):
        encoded = orjson.dumps(_shorter(value, longest, longest))
        if len(encoded) <= limit:
            return encoded
    encoded = orjson.dumps(_shorter(value, 16, 16))
    return encoded if len(encoded) <= limit else None


def _shorter(value: Any, text_limit: int, items: int) -> Any:
    if isinstance(value, str):
        return value[:text_limit]
    if isinstance(value, list):
        return [_shorter(item, text_limit, items) for item in value[:items]]
    if isinstance(value, dict):
        return {key[:text_limit]: _shorter(item, text_limit, items) for key, item in list(value.items())[:items]}
    return value


_DIMENSIONS: Final = ("name", "provider", "model", "request_model", "team", "user_id", "session_id", "error_type")


def cut_dimensions(work: Work) -> Drop | None:
    """No dimension is longer than an index takes, and no text holds what PostgreSQL refuses."""
    row = work.row
    for name in _DIMENSIONS:
        value = getattr(row, name)
        if value is not None and (len(value) > MAX_DIMENSION or not value.isascii() or "\x00" in value):
            setattr(row, name, _cut(work, value, MAX_DIMENSION))
    if row.error_message is not None:
        row.error_message = _cut(work, row.error_message, MAX_MESSAGE)
    if row.tags is not None:
        row.tags = [_cut(work, tag, MAX_DIMENSION) for tag in row.tags]
    if not work.raw.origin.strict_ids:
        row.trace_id, row.span_id = _cut(work, row.trace_id, MAX_ID), _cut(work, row.span_id, MAX_ID)
        if row.parent_span_id is not None:
            row.parent_span_id = _cut(work, row.parent_span_id, MAX_ID)
    return None


def _cut(work: Work, value: str, limit: int) -> str:
    mended = mend_text(value)
    if mended is not value and mended != value:
        work.flags |= TEXT_REPAIRED
    if len(mended) > limit:
        work.flags |= DIMENSION_CUT
        return mended[:limit]
    return mended


def fingerprint(work: Work) -> Drop | None:
    """The content hash that decides between two arrivals of equal length and attribute count.

    Over what the sender said, not over prices: a new price list must not make an old span look different.
    """
    row = work.row
    row.flags = work.flags
    essence = orjson.dumps(
        (
            row.name,
            row.kind,
            row.status,
            row.parent_span_id,
            row.provider,
            row.model,
            row.request_model,
            row.environment,
            row.user_id,
            row.session_id,
            row.error_type,
            row.error_message,
            row.ttft_us,
            row.prompt_tokens,
            row.completion_tokens,
            row.total_tokens,
            row.cached_tokens,
            row.cache_write_tokens,
            row.reasoning_tokens,
            row.client_cost,
            row.tags,
            row.input,
            row.output,
        )
    )
    digest = blake2b(essence, digest_size=8)
    for part in (row.usage, row.labels, row.attributes, row.events):
        digest.update(part or b"\x00")
    if row.scores:  # they may be all that is left of events which are not stored
        digest.update(orjson.dumps([(score.id, score.value, score.label) for score in row.scores]))
    row.content_hash = int.from_bytes(digest.digest(), "big", signed=True)
    return None
