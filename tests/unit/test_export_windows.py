"""Windows of a long answer: every bucket in exactly one, cut as in the whole range, none too large."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.exports.failures import ExportFailed
from apps.exports.sources import windows
from apps.metrics import buckets
from apps.metrics.finish import TooManyRows
from apps.metrics.planner import Plan
from apps.metrics.runner import Answer
from apps.metrics.spec import MetricRef, QuerySpec

ZONES = ("UTC", "Australia/Lord_Howe", "America/St_Johns", "Europe/Berlin", "Asia/Kathmandu")
INTERVALS = ("5min", "15min", "1hour", "6hour", "1day", "1week", "1month")


def question(start: datetime, length: timedelta, interval: str | None, zone: str = "UTC") -> QuerySpec:
    return QuerySpec(
        organization_id=1,
        project_ids=(1,),
        start=start,
        end=start + length,
        metrics=(MetricRef("request_count", "sum", "n"),),
        interval=interval,
        tz=zone,
        group_by=("model",),
    )


@given(
    # Clocks change at Lord Howe, by half an hour, on the 4th of October.
    after=st.timedeltas(timedelta(), timedelta(days=60)),
    length=st.timedeltas(timedelta(minutes=1), timedelta(days=40)),
    interval=st.sampled_from(INTERVALS),
    zone=st.sampled_from(ZONES),
    size=st.integers(1, 50),
)
def test_buckets_are_cut_as_in_the_whole(
    after: timedelta, length: timedelta, interval: str, zone: str, size: int
) -> None:
    spec = question(datetime(2026, 9, 1, tzinfo=UTC) + after, length, interval, zone)
    whole = buckets.make(spec.start, spec.end, interval, ZoneInfo(zone))
    count, starts, seconds, at = len(whole.starts), list[datetime](), list[float](), spec.start
    for first in range(0, count, size):
        part = spec.window(first, min(first + size, count))
        assert part.buckets is not None
        assert part.start == at < part.end
        starts += part.buckets.starts
        seconds += part.buckets.seconds
        at = part.end
    assert at == spec.end
    assert (tuple(starts), tuple(seconds)) == (whole.starts, whole.seconds)


def test_a_range_that_begins_later_would_be_cut_otherwise() -> None:
    spec = question(datetime(2026, 10, 3, tzinfo=UTC), timedelta(days=2), "1hour", "Australia/Lord_Howe")
    part = spec.window(40, 42)
    assert part.buckets is not None
    later = buckets.make(part.start, part.end, "1hour", ZoneInfo(spec.tz))
    assert later.edges[0] != part.buckets.edges[0]


class Engine:
    """Answers with as many rows as its buckets have, and refuses what is too much as the engine does."""

    def __init__(self, sizes: list[int], begin: datetime) -> None:
        self.sizes, self.begin, self.asked = sizes, begin, 0

    def __call__(self, cursor: Any, spec: QuerySpec, state: Any) -> Answer:
        self.asked += 1
        assert spec.buckets is not None
        numbers = [(start - self.begin) // timedelta(hours=1) for start in spec.buckets.starts]
        rows = [{"bucket": number} for number in numbers for _ in range(self.sizes[number])]
        if len(rows) > spec.most_rows:
            raise TooManyRows
        return Answer(rows, Plan(spec, (), spec.start, spec.end, (), None, 0), len(rows))


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(windows, "read_state", lambda cursor, query: None)
    monkeypatch.setattr(windows, "MOST_ROWS", 100)
    monkeypatch.setattr(windows, "MAX_GROUPS_FETCHED", 1_000)

    def of(sizes: list[int]) -> tuple[Engine, QuerySpec]:
        begin = datetime(2026, 10, 1, tzinfo=UTC)
        made = Engine(sizes, begin)
        monkeypatch.setattr(windows, "attempt_in", made)
        return made, question(begin, timedelta(hours=len(sizes)), "1hour")

    return of


def test_every_row_once_in_few_windows(engine: Any) -> None:
    pick = random.Random(4)
    for _ in range(25):
        steady = pick.choice((0, 1, 3, 40))
        sizes = [
            pick.choice((0, steady, steady, pick.randrange(steady + 1), 700)) for _ in range(pick.randrange(1, 400))
        ]
        made, spec = engine(sizes)
        found = list(windows.windows(None, spec))  # type: ignore[arg-type]
        rows = [row["bucket"] for _, answer in found for row in answer.rows]
        assert rows == [number for number, size in enumerate(sizes) for _ in range(size)]
        assert all(len(answer.rows) <= 100 or part.end - part.start == timedelta(hours=1) for part, answer in found)
        assert made.asked < 3 * (10 + sum(sizes) / 50 + 3 * sizes.count(700))


def test_quiet_times_are_passed_in_steps_that_grow(engine: Any) -> None:
    made, spec = engine([0] * 5_000)
    assert list(windows.windows(None, spec))  # type: ignore[arg-type]
    assert made.asked < 10


def test_one_bucket_that_is_too_large_is_named(engine: Any) -> None:
    _, spec = engine([1, 1, 1_001, 1])
    with pytest.raises(ExportFailed, match="from 2026-10-01T02:00:00Z has more than 1000 groups"):
        list(windows.windows(None, spec))  # type: ignore[arg-type]
    assert list(windows.windows(None, replace(spec, end=spec.start + timedelta(hours=2))))  # type: ignore[arg-type]
