"""Time buckets of an interval, in any time zone, as a list of edges.

Python's zone database is the only authority: the database gets edges or a step and an origin, never a zone's name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from itertools import pairwise
from zoneinfo import ZoneInfo

STEPS: dict[str, timedelta] = {
    "1min": timedelta(minutes=1),
    "5min": timedelta(minutes=5),
    "15min": timedelta(minutes=15),
    "1hour": timedelta(hours=1),
    "6hour": timedelta(hours=6),
    "1day": timedelta(days=1),
    "1week": timedelta(days=7),
    "1month": timedelta(days=28),
}
INTERVALS: tuple[str, ...] = tuple(STEPS)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MONDAY = datetime(1970, 1, 5, tzinfo=UTC)
UTC_ZONE = ZoneInfo("UTC")


def floor(moment: datetime, width: timedelta, origin: datetime = EPOCH) -> datetime:
    """The last multiple of `width` since `origin` that is not after the moment."""
    return moment - (moment - origin) % width


def ceil(moment: datetime, width: timedelta, origin: datetime = EPOCH) -> datetime:
    """The first multiple of `width` since `origin` that is not before the moment."""
    return moment + (origin - moment) % width


@dataclass(frozen=True)
class Buckets:
    """The buckets that a range touches: bucket i is [edges[i], edges[i + 1]).

    The first may begin before the range and the last end after it. With `step` set the edges are evenly spaced.
    """

    start: datetime
    end: datetime
    edges: tuple[datetime, ...]
    step: timedelta | None

    @property
    def starts(self) -> tuple[datetime, ...]:
        return self.edges[:-1]

    @cached_property
    def seconds(self) -> tuple[float, ...]:
        """The length of every bucket inside the range."""
        return tuple((min(high, self.end) - max(low, self.start)).total_seconds() for low, high in pairwise(self.edges))

    def aligned_to(self, width: timedelta) -> bool:
        """Whether no cell of this width (aligned to UTC) crosses an edge between two buckets."""
        if self.step is not None:
            return not self.step % width and not (self.edges[0] - EPOCH) % width
        return not any((edge - EPOCH) % width for edge in self.edges)


def make(start: datetime, end: datetime, interval: str, zone: ZoneInfo = UTC_ZONE) -> Buckets:
    """The buckets of [start, end), aligned to the zone's clock."""
    if interval in ("1min", "5min", "15min", "1hour"):
        step = STEPS[interval]
        # Hours go on through a change of clocks; only a zone off by a part of an hour shifts them.
        offset = start.astimezone(zone).utcoffset() or timedelta()
        return _even(start, end, step, EPOCH - offset)
    if zone == UTC_ZONE and interval != "1month":
        return _even(start, end, STEPS[interval], MONDAY)
    edges = list(_calendar(start, end, interval, zone))
    first = max(i for i, edge in enumerate(edges) if edge <= start)
    kept = tuple(edges[first:])
    steps = {high - low for low, high in pairwise(kept)}
    return Buckets(start, end, kept, steps.pop() if len(steps) == 1 else None)


def _even(start: datetime, end: datetime, step: timedelta, origin: datetime) -> Buckets:
    first = floor(start, step, origin)
    count = -((first - end) // step)
    return Buckets(start, end, tuple(first + step * i for i in range(count + 1)), step)


def _calendar(start: datetime, end: datetime, interval: str, zone: ZoneInfo) -> Iterator[datetime]:
    """Increasing edges from one at or before the start to the first at or after the end."""
    local = start.astimezone(zone).date() - timedelta(days=1)
    last: datetime | None = None
    for day, clock in _local_edges(local, interval):
        edge = datetime.combine(day, clock, zone).astimezone(UTC)
        if last is not None and edge <= last:
            continue  # a change of clocks at this hour folds two edges into one
        yield edge
        last = edge
        if edge >= end:
            return


def _local_edges(day: date, interval: str) -> Iterator[tuple[date, time]]:
    if interval == "1week":
        day -= timedelta(days=day.weekday())
    elif interval == "1month":
        day = day.replace(day=1)
    hours = (0, 6, 12, 18) if interval == "6hour" else (0,)
    while True:
        for hour in hours:
            yield day, time(hour)
        if interval == "1month":
            day = (day + timedelta(days=32)).replace(day=1)
        else:
            day += timedelta(days=7 if interval == "1week" else 1)
