"""Redaction of content before it is written: built-in patterns and a project's own.

An own pattern is a regular expression that somebody in the organization wrote, run by `re`, which knows no time
limit. So it is refused when saved if it can backtrack without end, it sees the text in short windows, and the time
is looked at between them; what could not be searched in time is withheld rather than stored unsearched. The time is
the thread's own on the processor: a machine that stands still for a second takes no text away.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from apps.common.patterns import fault

if TYPE_CHECKING:
    from apps.orgs.models import Project

MAX_PATTERNS: Final = 20
MAX_PATTERN_LENGTH: Final = 500
TIME_LIMIT_SECONDS: Final = 1.0
WITHHELD: Final = "[withheld: redaction took too long]"
_WINDOW: Final = 512
_OVERLAP: Final = 128
_LONGEST_MATCH: Final = 8_192
_MAX_STEPS: Final = 200_000_000

_EMAIL: Final = re.compile(r"(?<![\w.%+-])[\w.%+-]+@[\w-]+(?:\.[\w-]+)+")
_PHONE: Final = re.compile(
    r"\+\d(?:[ ().-]{0,2}\d){6,14}(?!\d)"
    r"|(?<![\w.+-])\(\d{2,5}\)[ -]?\d(?:[ -]?\d){5,9}(?!\w)"
    r"|(?<![\w.+-])\d{3}[-. ]\d{3}[-. ]\d{4}(?!\w)"
    r"|(?<![\w.+-])0\d{1,4}[ /-]\d(?:[ -]?\d){5,9}(?!\w)"
)
_CARD: Final = re.compile(r"(?<![\w.])[2-6](?:[ -]?\d){12,18}(?![\w])")
_KEY: Final = re.compile(
    r"\b(?:sk|pk|rk)[-_][A-Za-z0-9_-]{16,}"
    r"|\bah_[0-9a-f]{16}_[0-9a-f]{64}"
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"
    r"|\bgh[opsur]_[A-Za-z0-9]{30,}|\bgithub_pat_[A-Za-z0-9_]{30,}|\bglpat-[A-Za-z0-9_-]{20,}"
    r"|\bxox[abeoprs]-[A-Za-z0-9-]{10,}|\bAIza[0-9A-Za-z_-]{35}|\bhf_[A-Za-z0-9]{30,}"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"
    r"|-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----[^-]{0,10000}(?:-----END [A-Z ]{0,20}PRIVATE KEY-----)?"
)


def luhn(digits: str) -> bool:
    """The check digit of card numbers."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _card(match: re.Match[str]) -> str:
    return "[card]" if luhn(re.sub(r"[ -]", "", match[0])) else match[0]


Step = Callable[[str], str]


def _email_step(text: str) -> str:
    return _EMAIL.sub("[email]", text) if "@" in text else text


BUILT_IN: Final[dict[str, Step]] = {
    "email": _email_step,
    "card": lambda text: _CARD.sub(_card, text),
    "phone": lambda text: _PHONE.sub("[phone]", text),
    "key": lambda text: _KEY.sub("[key]", text),
}


def validate_patterns(built_in: Iterable[str], custom: Iterable[str]) -> list[str]:
    """What is wrong with a project's redaction settings, one sentence each; call it before they are saved."""
    problems = [
        f"unknown pattern {name!r}; known are {', '.join(BUILT_IN)}" for name in built_in if name not in BUILT_IN
    ]
    own = list(custom)
    if len(own) > MAX_PATTERNS:
        problems.append(f"at most {MAX_PATTERNS} own patterns")
    problems += [f"{str(pattern)[:60]!r}: {fault}" for pattern in own if (fault := _fault(pattern))]
    return problems


def project_problems(project: Project) -> Iterator[tuple[str, str]]:
    """What is wrong with a project's redaction settings, by field; the services ask before they save."""
    yield from (("redact_patterns", problem) for problem in validate_patterns(project.redact_patterns, ()))
    yield from (("redact_custom", problem) for problem in validate_patterns((), project.redact_custom))


def _fault(pattern: object) -> str | None:
    return fault(pattern, longest=MAX_PATTERN_LENGTH, window=_WINDOW, most_steps=_MAX_STEPS)


def _matches(pattern: re.Pattern[str], text: str, deadline: float) -> Iterator[tuple[int, int]]:
    """Matches, window by window. A match that a window's end cut short is looked at again with more room.

    Raises:
        TimeoutError: the deadline passed.
    """
    start = 0
    while start < len(text):
        end = min(start + _WINDOW, len(text))
        position = start
        while found := pattern.search(text, position, end):
            if found.end() == end < len(text):
                found = pattern.match(text, found.start(), found.start() + _LONGEST_MATCH) or found
            yield found.span()
            position = max(found.end(), position + 1)
            if time.thread_time() > deadline:
                raise TimeoutError
        if time.thread_time() > deadline:
            raise TimeoutError
        start = max(position, end - _OVERLAP) if end < len(text) else end


def _own_step(pattern: re.Pattern[str]) -> Step:
    def step(text: str) -> str:
        pieces: list[str] = []
        done = 0
        try:
            for start, end in _matches(pattern, text, time.thread_time() + TIME_LIMIT_SECONDS):
                if start >= done and end > start:
                    pieces += (text[done:start], "[redacted]")
                    done = end
        except TimeoutError:
            return WITHHELD
        return "".join([*pieces, text[done:]]) if pieces else text

    return step


class Redactor:
    """A project's patterns, compiled."""

    __slots__ = ("_steps", "hit")

    def __init__(self, steps: tuple[Step, ...]) -> None:
        self._steps = steps
        self.hit = False

    def text(self, text: str) -> str:
        redacted = text
        for step in self._steps:
            redacted = step(redacted)
        if redacted != text:
            self.hit = True
        return redacted

    def value(self, value: Any) -> Any:
        """Any JSON value with every text in it redacted, keys too."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(item) for item in value]
        if isinstance(value, dict):
            return {self.text(key): self.value(item) for key, item in value.items()}
        return value


@lru_cache(maxsize=1024)
def _compiled(built_in: tuple[str, ...], custom: tuple[str, ...]) -> tuple[Step, ...]:
    """Steps in a fixed order: keys and addresses before the digit patterns that could match inside them.

    A stored pattern that cannot be run withholds the text: what should have been redacted is never stored.
    """
    steps = [BUILT_IN[name] for name in ("key", "email", "card", "phone") if name in built_in]
    steps += [_withhold if _fault(pattern) else _own_step(re.compile(pattern)) for pattern in custom]
    return tuple(steps)


def _withhold(text: str) -> str:
    return WITHHELD


def redactor_for(built_in: Iterable[str], custom: Iterable[str]) -> Redactor | None:
    """A redactor for a span of a project, or None where the project redacts nothing."""
    steps = _compiled(tuple(built_in), tuple(custom))
    return Redactor(steps) if steps else None
