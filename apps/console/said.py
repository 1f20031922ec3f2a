"""What was said in one turn of a conversation: the question, the answer, and what went wrong, from its trace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from apps.console.messages import Reading, read

MODELS: Final = ("llm", "agent")  # kinds of span that speak, where the root says nothing itself
MOST_ERRORS: Final = 3
ERROR_TEXT: Final = 600
Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn.

    Args:
        earlier: messages before this turn that were sent along again; they are shown with their own turns.
        visible: whether the one who looks may read texts at all.
    """

    question: Reading | None
    answer: Reading | None
    errors: list[tuple[str, str]]
    earlier: int = 0
    visible: bool = True

    @property
    def silent(self) -> bool:
        """Nothing was stored, or it is kept no more."""
        return self.question is None and self.answer is None and not self.errors


def said(trace: Document) -> Turn:
    """The turn that a trace with its texts tells: its root's, else those of the first and last call of a model."""
    spans: Sequence[Document] = trace.get("spans", [])
    root = next((span for span in spans if span["span_id"] == trace.get("root_span_id")), None)
    calls = sorted((span for span in spans if span["kind"] in MODELS), key=lambda span: str(span["start_time"]))
    question = _first([root, *calls], "input")
    answer = _first([root, *reversed(calls)], "output")
    earlier = 0
    asked = read(question) if question else None
    if asked is not None:
        asked, earlier = _newest(asked)
    errors = [
        (str(span.get("error_type") or "Error"), str(span.get("error_message") or "")[:ERROR_TEXT])
        for span in spans
        if span["status"] == "error" and (span.get("error_type") or span.get("error_message"))
    ]
    return Turn(
        asked,
        read(answer) if answer else None,
        list(dict.fromkeys(errors))[:MOST_ERRORS],
        earlier,
        bool(trace.get("content_visible", True)),
    )


def _first(spans: Sequence[Document | None], side: str) -> str | None:
    return next((span[side] for span in spans if span is not None and span.get(side)), None)


def _newest(reading: Reading) -> tuple[Reading, int]:
    """The last thing that the user said, and how many messages were sent along before it."""
    places = [place for place, message in enumerate(reading.messages) if message.role == "user"]
    if not places or reading.left_out:
        return reading, 0
    return replace(reading, messages=reading.messages[places[-1] :]), places[-1]
