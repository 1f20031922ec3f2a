"""Splitting a range into the cheapest sources that together answer for it exactly.

Every point of the range lies in exactly one segment. Cells are used only where they are clean, built and kept;
a dirty or unfinished bucket is split into finer cells and, below the finest, raw minutes. What is older than the raw
spans is frozen: cells are all there is, so they are taken as they are, and an edge inside a cell moves outwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from apps.metrics.buckets import ceil, floor
from apps.metrics.rollups import RAW
from apps.metrics.state import Range

MAX_DIRTY = 200


@dataclass(frozen=True, slots=True)
class Rung:
    """One level of cells as the cover sees it, coarse ones first in a ladder."""

    name: str
    width: timedelta
    watermark: datetime
    kept_from: datetime


@dataclass(frozen=True, slots=True)
class Segment:
    """Ascending, disjoint half-open ranges that one source answers for."""

    source: str
    ranges: tuple[Range, ...]


class NotKept(Exception):
    """Part of the range is older than every source that could answer."""

    def __init__(self, before: datetime) -> None:
        super().__init__(f"nothing is kept before {before.isoformat()}")
        self.before = before


def coalesce(ranges: Sequence[Range], most: int = MAX_DIRTY) -> tuple[Range, ...]:
    """At most `most` ranges that hold all the given ones: the narrowest gaps are closed first.

    Calling more of the time dirty is always right, only dearer; a statement with thousands of ranges is dearer still.
    """
    merged: list[Range] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        elif low < high:
            merged.append((low, high))
    if len(merged) <= most:
        return tuple(merged)
    gaps = sorted(range(1, len(merged)), key=lambda i: merged[i][0] - merged[i - 1][1], reverse=True)
    cuts = sorted(gaps[: most - 1])
    starts, ends = [0, *cuts], [*cuts, len(merged)]
    return tuple((merged[i][0], merged[j - 1][1]) for i, j in zip(starts, ends, strict=True))


def cover(
    start: datetime, end: datetime, ladder: Sequence[Rung], dirty: Sequence[Range], raw_from: datetime
) -> tuple[Segment, ...]:
    """The segments for [start, end), coarsest source first, raw last.

    Raises:
        NotKept: the range begins before the raw spans and there are no cells.
    """
    found: dict[str, list[Range]] = {name: [] for name in (*(rung.name for rung in ladder), RAW)}
    live = start
    if start < raw_from:
        live = _frozen(start, end, ladder, raw_from, found)
    if live < end:
        _split(live, end, ladder, coalesce(dirty), found)
    return tuple(Segment(name, _joined(ranges)) for name, ranges in found.items() if ranges)


def _finest_whole(moment: datetime, ladder: Sequence[Rung]) -> Rung:
    """The finest level that still has every cell of the coarser cell around this moment."""
    chosen = ladder[0]
    for coarser, rung in pairwise(ladder):
        if floor(moment, coarser.width) < rung.kept_from:
            break
        chosen = rung
    return chosen


def _frozen(
    start: datetime, end: datetime, ladder: Sequence[Rung], raw_from: datetime, found: dict[str, list[Range]]
) -> datetime:
    """Cover what is older than the raw spans with cells as they are; answers where the living part begins."""
    if not ladder:
        raise NotKept(raw_from)
    low = floor(start, _finest_whole(start, ladder).width)
    high = ceil(raw_from, _finest_whole(raw_from, ladder).width)
    high = min(high, ceil(end, _finest_whole(end, ladder).width))
    _take(low, high, ladder, found)
    return high


def _take(low: datetime, high: datetime, ladder: Sequence[Rung], found: dict[str, list[Range]]) -> None:
    if low >= high or not ladder:
        return
    rung, finer = ladder[0], ladder[1:]
    first, last = ceil(low, rung.width), floor(high, rung.width)
    if first >= last:
        _take(low, high, finer, found)
        return
    found[rung.name].append((first, last))
    _take(low, first, finer, found)
    _take(last, high, finer, found)


def _split(
    low: datetime, high: datetime, ladder: Sequence[Rung], dirty: Sequence[Range], found: dict[str, list[Range]]
) -> None:
    if low >= high:
        return
    if not ladder:
        found[RAW].append((low, high))
        return
    rung, finer = ladder[0], ladder[1:]
    first = ceil(max(low, rung.kept_from), rung.width)
    last = floor(min(high, rung.watermark), rung.width)
    inside = [span for span in dirty if span[0] < high and span[1] > low]
    at = low
    for begin, stop in _clean(first, last, rung.width, inside):
        found[rung.name].append((begin, stop))
        _split(at, begin, finer, inside, found)
        at = stop
    _split(at, high, finer, inside, found)


def _clean(first: datetime, last: datetime, width: timedelta, dirty: Sequence[Range]) -> list[Range]:
    """The runs of whole buckets in [first, last) that touch no dirty range."""
    runs: list[Range] = []
    at = first
    for low, high in dirty:
        stop = min(floor(low, width), last)
        if at < stop:
            runs.append((at, stop))
        at = max(at, ceil(high, width))
    if at < last:
        runs.append((at, last))
    return runs


def _joined(ranges: list[Range]) -> tuple[Range, ...]:
    """Ascending, with neighbours that touch made one."""
    joined: list[Range] = []
    for low, high in sorted(ranges):
        if joined and joined[-1][1] == low:
            joined[-1] = (joined[-1][0], high)
        else:
            joined.append((low, high))
    return tuple(joined)
