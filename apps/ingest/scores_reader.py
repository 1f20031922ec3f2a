"""A score as JSON, checked: what the API takes from its callers."""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from apps.common.errors import ApiError
from apps.common.reads.reading import bad, check_keys, choice, moment
from apps.ingest.clean import mend_json
from apps.ingest.normalise import environment
from apps.ingest.work import Rules
from apps.traces.scores import DATA_TYPES, MAX_ID, MAX_LABEL, MAX_NAME, MAX_TEXT, MAX_VALUE, SOURCES, Score

FIELDS: Final = (
    "id",
    "name",
    "value",
    "data_type",
    "trace_id",
    "span_id",
    "session_id",
    "source",
    "author",
    "comment",
    "metadata",
    "environment",
    "timestamp",
)
# An id stands in a path.
_ID: Final = re.compile(r"[^/\x00-\x1f\x7f]+")


def read_score(item: Any, rules: Rules, now: datetime) -> Score:
    """A score as it will be stored: checked, and redacted as the project wants it.

    Raises:
        ApiError: what is wrong with it, by field.
    """
    if not isinstance(item, Mapping):
        raise ApiError(1200, "A score is a JSON object.")
    check_keys(item, FIELDS, "")
    data_type, value, label = _verdict(item)
    trace_id, span_id, session_id = _judged(item)
    comment, metadata = _content(item, rules)
    source = item.get("source")
    given_environment = _text(item, "environment", MAX_LABEL)
    return Score(
        project_id=rules.project_id,
        id=_id(item),
        name=_required(item, "name", MAX_NAME),
        data_type=data_type,
        value=value,
        label=label,
        trace_id=trace_id,
        span_id=span_id,
        session_id=session_id,
        source="api" if source is None else choice(source, SOURCES, "source"),
        author=_text(item, "author", MAX_LABEL),
        comment=comment,
        metadata=metadata,
        environment=None if given_environment is None else environment(given_environment),
        timestamp=_timestamp(item, rules, now),
    )


def _text(item: Mapping[str, Any], name: str, most: int) -> str | None:
    value = item.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise bad(name, f"{name} must be a text.", 1203)
    if not 0 < len(value) <= most:
        raise bad(name, f"{name} must be 1 to {most} characters.")
    return _storable(value, name)


def _storable(value: str, name: str) -> str:
    if "\x00" in value:
        raise bad(name, f"{name} holds no NUL.")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise bad(name, f"{name} holds half a surrogate pair.") from None
    return value


def _required(item: Mapping[str, Any], name: str, most: int) -> str:
    text = _text(item, name, most)
    if text is None:
        raise bad(name, f"{name} is missing.", 1201)
    return text


def _id(item: Mapping[str, Any]) -> str:
    given = _text(item, "id", MAX_ID)
    if given is None:
        return uuid.uuid4().hex
    if not _ID.fullmatch(given) or given in (".", ".."):
        raise bad("id", "An id has no slash and no control characters.")
    return given


def _verdict(item: Mapping[str, Any]) -> tuple[str, float | None, str | None]:
    """(data type, value, label); the type is the value's own where none is given."""
    value = item.get("value")
    if value is None:
        raise bad("value", "value is missing.", 1201)
    given = item.get("data_type")
    kind = choice(given, DATA_TYPES, "data_type") if given is not None else _kind(value)
    if kind == "boolean":
        # Some senders know no truth values and send 1 and 0.
        if isinstance(value, (bool, int, float)) and value in (0, 1):
            return kind, float(value), None
        raise bad("value", "A boolean score is true or false.")
    if kind == "numeric":
        if isinstance(value, (int, float)) and not isinstance(value, bool) and _plausible(value):
            return kind, float(value), None
        raise bad("value", "A numeric score has a number between -1e15 and 1e15.")
    if not isinstance(value, str) or not 0 < len(value) <= MAX_LABEL:
        raise bad("value", f"A categorical score has a text of 1 to {MAX_LABEL} characters.")
    return kind, None, _storable(value, "value")


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "numeric"
    if isinstance(value, str):
        return "categorical"
    raise bad("value", "value must be a number, a text, true or false.", 1203)


def _plausible(value: float) -> bool:
    return not (isinstance(value, float) and not math.isfinite(value)) and abs(value) <= MAX_VALUE


def _judged(item: Mapping[str, Any]) -> tuple[str | None, str | None, str | None]:
    trace_id, span_id, session_id = (_text(item, name, MAX_ID) for name in ("trace_id", "span_id", "session_id"))
    if span_id is not None and trace_id is None:
        raise bad("trace_id", "A span is named by trace_id and span_id.", 1201)
    if (trace_id is None) == (session_id is None):
        if trace_id is None:
            raise bad("trace_id", "A score judges a trace (trace_id), a span of it or a session (session_id).", 1201)
        raise bad("session_id", "A score judges a trace or a session, not both.")
    return trace_id, span_id, session_id


def _content(item: Mapping[str, Any], rules: Rules) -> tuple[str | None, bytes | None]:
    """Comment and metadata, redacted; nothing where the project stores no content."""
    comment, metadata = item.get("comment"), item.get("metadata")
    if comment is not None and not isinstance(comment, str):
        raise bad("comment", "comment must be a text.", 1203)
    if metadata is not None and not isinstance(metadata, dict):
        raise bad("metadata", "metadata must be an object.", 1203)
    if comment is not None and len(_storable(comment, "comment").encode()) > MAX_TEXT:
        raise bad("comment", f"comment may be at most {MAX_TEXT} bytes.", 1205)
    encoded = None if metadata is None else _encoded(metadata)
    if not rules.store_content:
        return None, None
    if rules.redactor is not None:
        comment = None if comment is None else rules.redactor.text(comment)
        encoded = None if metadata is None else orjson.dumps(rules.redactor.value(metadata))
    return comment or None, encoded


def _encoded(metadata: dict[str, Any]) -> bytes:
    try:
        encoded = orjson.dumps(metadata)
    except (TypeError, RecursionError):
        raise bad("metadata", "metadata holds a number or a text that JSON has not, or is nested too deep.") from None
    if len(encoded) > MAX_TEXT:
        raise bad("metadata", f"metadata may be at most {MAX_TEXT} bytes.", 1205)
    if mend_json(encoded)[1]:
        raise bad("metadata", "metadata holds no NUL.")
    return encoded


def _timestamp(item: Mapping[str, Any], rules: Rules, now: datetime) -> datetime:
    given = item.get("timestamp")
    if given is None:
        return now
    found = moment(given, "timestamp")
    ns = int(found.timestamp()) * 10**9
    if ns < rules.oldest_ns:
        raise bad("timestamp", "timestamp lies before the retention of the project.", reason="older_than_retention")
    if ns > rules.newest_ns:
        raise bad("timestamp", "timestamp lies more than 24 hours ahead.", reason="in_the_future")
    return found.astimezone(UTC)
