"""Time ranges per project, in whole minutes: what is dirty, what a bucket covers, what is too old to touch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

MINUTE = timedelta(minutes=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Span = tuple[int, int]


def minute_of(moment: datetime) -> int:
    """The minute since the Unix epoch in which a moment lies."""
    return (moment - EPOCH) // MINUTE


def moment_of(minute: int) -> datetime:
    return EPOCH + minute * MINUTE


def minutes_in(width: timedelta) -> int:
    return width // MINUTE


def _merged(spans: Iterable[Span]) -> list[Span]:
    merged: list[Span] = []
    for lo, hi in sorted(spans):
        if lo >= hi:
            continue
        if merged and lo <= merged[-1][1]:
            if hi > merged[-1][1]:
                merged[-1] = (merged[-1][0], hi)
        else:
            merged.append((lo, hi))
    return merged


class Ranges:
    """Half-open minute ranges per project, always sorted, disjoint and with no empty one; immutable."""

    __slots__ = ("_spans",)

    def __init__(self, spans: Mapping[int, Iterable[Span]] | None = None) -> None:
        merged = {project: _merged(of) for project, of in (spans or {}).items()}
        self._spans: dict[int, list[Span]] = {project: of for project, of in sorted(merged.items()) if of}

    @classmethod
    def of(cls, rows: Iterable[tuple[int, datetime, datetime]]) -> Ranges:
        """From (project, lo, hi) rows; edges inside a minute are widened to it."""
        spans: dict[int, list[Span]] = {}
        for project, lo, hi in rows:
            spans.setdefault(project, []).append((minute_of(lo), -((EPOCH - hi) // MINUTE)))
        return cls(spans)

    def __bool__(self) -> bool:
        return bool(self._spans)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ranges) and self._spans == other._spans

    def __hash__(self) -> int:
        return hash(tuple(self.rows()))

    def __repr__(self) -> str:
        return f"Ranges({self._spans!r})"

    def __or__(self, other: Ranges) -> Ranges:
        spans = {project: list(of) for project, of in self._spans.items()}
        for project, of in other._spans.items():
            spans.setdefault(project, []).extend(of)
        return Ranges(spans)

    def __sub__(self, other: Ranges) -> Ranges:
        return Ranges({p: _without(of, other._spans.get(p, [])) for p, of in self._spans.items()})

    def rows(self) -> Iterator[tuple[int, int, int]]:
        """(project, lo minute, hi minute), in order."""
        for project, of in self._spans.items():
            for lo, hi in of:
                yield project, lo, hi

    @property
    def minutes(self) -> int:
        """How many minutes of projects there are."""
        return sum(hi - lo for _, lo, hi in self.rows())

    @property
    def projects(self) -> list[int]:
        return list(self._spans)

    @property
    def bounds(self) -> Span:
        """The least and the greatest edge over all projects; there must be a range."""
        return min(of[0][0] for of in self._spans.values()), max(of[-1][1] for of in self._spans.values())

    def widened(self, width: int) -> Ranges:
        """Every bucket of `width` minutes (aligned to UTC) that a range touches, whole."""
        return Ranges(
            {p: [(lo // width * width, -(-hi // width) * width) for lo, hi in of] for p, of in self._spans.items()}
        )

    def within(self, lo: int | None = None, hi: int | None = None) -> Ranges:
        """The parts at or after `lo` and before `hi`."""
        return Ranges(
            {
                p: [(a if lo is None else max(a, lo), b if hi is None else min(b, hi)) for a, b in of]
                for p, of in self._spans.items()
            }
        )

    def after(self, floors: Mapping[int, int], default: int) -> Ranges:
        """The parts at or after each project's floor."""
        return Ranges({p: [(max(a, floors.get(p, default)), b) for a, b in of] for p, of in self._spans.items()})


def _without(spans: list[Span], holes: list[Span]) -> list[Span]:
    for hole_lo, hole_hi in holes:
        spans = [part for lo, hi in spans for part in ((lo, min(hi, hole_lo)), (max(lo, hole_hi), hi))]
        spans = [(lo, hi) for lo, hi in spans if lo < hi]
    return spans


def moments(ranges: Ranges) -> list[tuple[int, datetime, datetime]]:
    """(project, lo, hi) rows, as SQL takes them."""
    return [(project, moment_of(lo), moment_of(hi)) for project, lo, hi in ranges.rows()]
