"""What is shown of a chosen span: its figures by name, its texts read, its errors and attributes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from apps.console.asking import Answer
from apps.console.messages import Reading, pretty, read

MOST_JSON: Final = 12_000  # characters of attributes, and of events
MOST_ERROR: Final = 4_000
_TOKENS: Final = (
    ("prompt_tokens", "in"),
    ("completion_tokens", "out"),
    ("cached_tokens", "cached"),
    ("cache_write_tokens", "written to the cache"),
    ("reasoning_tokens", "reasoning"),
)
_TEXTS: Final = (("environment", "Environment"), ("user_id", "User"), ("session_id", "Conversation"), ("team", "Team"))


@dataclass(frozen=True, slots=True)
class Side:
    """The input or the output."""

    name: str
    label: str
    reading: Reading


@dataclass(frozen=True, slots=True)
class Shown:
    """A span for its panel. `row` is the API's, None where there is none: then `answer` says why."""

    answer: Answer
    row: Mapping[str, Any] | None = None
    tokens: list[tuple[str, Any]] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)
    labels: list[tuple[str, str]] = field(default_factory=list)
    sides: list[Side] = field(default_factory=list)
    blocks: list[tuple[str, str, bool]] = field(default_factory=list)
    speed: Any = None
    scores: list[Mapping[str, Any]] = field(default_factory=list)
    visible: bool = False


def shown_span(answer: Answer, span_id: str) -> Shown:
    """From the API's answer for one span."""
    if not answer.ok or not answer.document["spans"]:
        return Shown(answer)
    document, row = answer.document, answer.document["spans"][0]
    labels = row["labels"] or {}
    return Shown(
        answer,
        row,
        [(label, row[name]) for name, label in _TOKENS if row[name] is not None],
        [(label, row[name]) for name, label in _TEXTS if row[name]],
        [
            (name.replace("_", " "), value if isinstance(value, str) else pretty(value))
            for name, value in labels.items()
        ],
        [Side(name, name.capitalize(), read(row[name])) for name in ("input", "output") if row[name]],
        [_block(label, row[name]) for name, label in (("attributes", "Attributes"), ("events", "Events")) if row[name]],
        _speed(row),
        [score for score in document["scores"] if score["span_id"] == span_id],
        document["content_visible"],
    )


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else pretty(value)


def _block(label: str, value: Any) -> tuple[str, str, bool]:
    text = pretty(value)
    return label, text[:MOST_JSON], len(text) > MOST_JSON


def _speed(row: Mapping[str, Any]) -> Any:
    """Tokens a second, from the first token on where that is known."""
    seconds = ((row["duration_ms"] or 0) - (row["ttft_ms"] or 0)) / 1000
    return row["completion_tokens"] / seconds if row["billable"] and row["completion_tokens"] and seconds > 0 else None
