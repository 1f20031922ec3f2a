"""Which bytes of a file a request wants: RFC 9110, sections 13 and 14, for files with a strong ETag."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

MOST: Final = 100  # ranges in one header; more are for a file without ranges
_HEADER: Final = re.compile(r"\s*bytes\s*=(.*)", re.IGNORECASE | re.DOTALL)
_ONE: Final = re.compile(r"([0-9]*)-([0-9]*)")
_HUGE: Final = 10**18
_TAG: Final = re.compile(r'(W/)?("[^"]*")')


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes of a file: from `start` up to, without, `end`."""

    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start


class Unsatisfiable(Exception):
    """None of the ranges holds a byte of the file."""


def part_of(header: str | None, size: int) -> Part | None:
    """The one range that is asked for; None where the whole file is to be answered.

    That is so without a header, for another unit, for one that cannot be read, and for several ranges of which one
    can be had: an answer in several parts is something that a server may leave.

    Raises:
        Unsatisfiable: ranges that can be read, none of which holds a byte.
    """
    found = _HEADER.fullmatch(header) if header is not None else None
    texts = [text.strip(" \t") for text in found[1].split(",")] if found else []
    texts = [text for text in texts if text]
    if not texts or len(texts) > MOST:
        return None
    parts = []
    for text in texts:
        pair = _pair(text)
        if pair is None:
            return None
        parts.append(_within(*pair, size))
    satisfied = [part for part in parts if part is not None]
    if not satisfied:
        raise Unsatisfiable
    if len(parts) > 1 or satisfied[0].length == 0:  # the last bytes of an empty file are all of it
        return None
    return satisfied[0]


def _pair(text: str) -> tuple[int | None, int | None] | None:
    """First and last position, or None and how many from the end; None for what is no range."""
    match = _ONE.fullmatch(text)
    if match is None or not (match[1] or match[2]):
        return None
    first, last = (_number(digits) if digits else None for digits in match.groups())
    if first is not None and last is not None and last < first:
        return None
    return first, last


def _number(digits: str) -> int:
    """Digits as a number, whatever their count."""
    significant = digits.lstrip("0") or "0"
    return int(significant) if len(significant) <= 18 else _HUGE


def _within(first: int | None, last: int | None, size: int) -> Part | None:
    if first is None:
        wanted = last or 0
        return Part(max(0, size - wanted), size) if wanted else None
    if first >= size:
        return None
    return Part(first, size if last is None else min(last + 1, size))


def wants_part(if_range: str | None, etag: str) -> bool:
    """Whether the Range header counts: without If-Range, or where that is this very file's ETag.

    A date is no strong validator, so it never is: the whole file is then right.
    """
    return if_range is None or if_range.strip() == etag


def names(header: str | None, etag: str, *, weakly: bool) -> bool:
    """Whether a list of ETags (If-Match: strongly, If-None-Match: weakly) names this one.

    Args:
        etag: with its quotes.
    """
    if header is None:
        return False
    if header.strip() == "*":
        return True
    return any(tag == etag and (weakly or not weak) for weak, tag in _TAG.findall(header))
