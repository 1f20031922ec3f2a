"""The cover: every point of the range in exactly one segment, cells only where they can be trusted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.metrics.buckets import ceil, floor
from apps.metrics.cover import MAX_DIRTY, NotKept, Rung, Segment, coalesce, cover
from apps.metrics.rollups import RAW
from apps.metrics.state import Range

T = datetime(2026, 11, 5, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
LONG_AGO = T - 1000 * DAY
WIDTHS = {"1d": DAY, "1h": HOUR, "15m": 15 * MINUTE, "1m": MINUTE}


def ladder(watermark: datetime, kept: datetime = LONG_AGO, names: str = "1d 1h 15m 1m") -> list[Rung]:
    return [Rung(name, WIDTHS[name], watermark, kept) for name in names.split()]


def as_dict(segments: tuple[Segment, ...]) -> dict[str, tuple[Range, ...]]:
    return {segment.source: segment.ranges for segment in segments}


def test_whole_days_are_taken_whole() -> None:
    assert as_dict(cover(T - 7 * DAY, T, ladder(T), (), LONG_AGO)) == {"1d": ((T - 7 * DAY, T),)}


def test_edges_come_from_finer_cells_and_partial_minutes_from_raw() -> None:
    start, end = T - 2 * DAY - timedelta(seconds=90), T - DAY + HOUR + 16 * MINUTE
    assert as_dict(cover(start, end, ladder(T), (), LONG_AGO)) == {
        "1d": ((T - 2 * DAY, T - DAY),),
        "1h": ((T - DAY, T - DAY + HOUR),),
        "15m": ((T - DAY + HOUR, T - DAY + HOUR + 15 * MINUTE),),
        "1m": (
            (T - 2 * DAY - MINUTE, T - 2 * DAY),
            (T - DAY + HOUR + 15 * MINUTE, end),
        ),
        RAW: ((start, T - 2 * DAY - MINUTE),),
    }


def test_a_dirty_minute_is_read_raw_and_its_neighbours_from_finer_cells() -> None:
    dirty = T - DAY + 10 * HOUR + 20 * MINUTE
    found = as_dict(cover(T - 2 * DAY, T, ladder(T), ((dirty, dirty + MINUTE),), LONG_AGO))
    assert found["1d"] == ((T - 2 * DAY, T - DAY),)
    assert found["1h"] == ((T - DAY, T - DAY + 10 * HOUR), (T - DAY + 11 * HOUR, T))
    assert found[RAW] == ((dirty, dirty + MINUTE),)
    assert sum((high - low for low, high in found["1m"]), timedelta()) == 14 * MINUTE


def test_above_the_watermark_raw_answers() -> None:
    mark = T + HOUR + 16 * MINUTE
    found = as_dict(cover(T, T + 2 * HOUR, ladder(mark), (), LONG_AGO))
    assert found[RAW] == ((mark, T + 2 * HOUR),)
    assert found["1h"] == ((T, T + HOUR),)


def test_without_cells_raw_answers() -> None:
    assert as_dict(cover(T, T + HOUR, [], (), LONG_AGO)) == {RAW: ((T, T + HOUR),)}


def test_the_frozen_past_is_answered_by_cells_as_they_are() -> None:
    raw_from = T - 90 * DAY
    stale = ladder(LONG_AGO)
    found = as_dict(cover(T - 100 * DAY, T - 95 * DAY, stale, ((LONG_AGO, T),), raw_from))
    assert found == {"1d": ((T - 100 * DAY, T - 95 * DAY),)}


def test_an_edge_inside_a_frozen_cell_moves_outwards() -> None:
    raw_from = T - 90 * DAY
    rungs = [Rung("1d", DAY, T, LONG_AGO), Rung("1h", HOUR, T, T - 60 * DAY)]
    start = T - 100 * DAY + 5 * HOUR + timedelta(seconds=3)
    found = as_dict(cover(start, T - 95 * DAY - HOUR, rungs, (), raw_from))
    assert found == {"1d": ((T - 100 * DAY, T - 95 * DAY),)}


def test_finer_cells_kept_as_long_as_raw_leave_no_hole_at_the_border() -> None:
    raw_from = T - 90 * DAY + 7 * HOUR
    rungs = [Rung("1d", DAY, T, LONG_AGO), Rung("1h", HOUR, T, raw_from)]
    found = as_dict(cover(T - 92 * DAY, T, rungs, (), raw_from))
    assert found["1d"] == ((T - 92 * DAY, T),)


def test_before_the_raw_spans_something_must_be_kept() -> None:
    with pytest.raises(NotKept):
        cover(T - 100 * DAY, T, [], (), T - 90 * DAY)


def test_too_many_dirty_ranges_are_closed_at_the_narrowest_gaps() -> None:
    many = [(T + i * 10 * MINUTE, T + i * 10 * MINUTE + MINUTE) for i in range(1000)]
    far = (T + 30 * DAY, T + 30 * DAY + MINUTE)
    found = coalesce([*many, far])
    assert len(found) == MAX_DIRTY
    assert far in found
    assert all(any(low <= a and b <= high for low, high in found) for a, b in [*many, far])


minutes = st.integers(-3 * 1440, 3 * 1440)
moments = st.one_of(
    minutes.map(lambda n: T + n * MINUTE),
    st.integers(-3 * 86_400_000_000, 3 * 86_400_000_000).map(lambda n: T + timedelta(microseconds=n)),
    st.integers(-3, 3).map(lambda n: T + n * DAY),
    st.integers(-72, 72).map(lambda n: T + n * HOUR),
)
dirt = st.lists(st.tuples(minutes, st.integers(1, 400)), max_size=12).map(
    lambda found: [(T + low * MINUTE, T + (low + length) * MINUTE) for low, length in found]
)


@st.composite
def ladders(draw: st.DrawFn) -> list[Rung]:
    """Any choice of levels; coarser cells are kept at least as long as finer ones."""
    names = [name for name in WIDTHS if draw(st.booleans())]
    kept = sorted(draw(st.lists(moments, min_size=len(names), max_size=len(names))))
    return [Rung(name, WIDTHS[name], draw(moments), at) for name, at in zip(names, kept, strict=True)]


@settings(max_examples=400, deadline=None)
@given(a=moments, b=moments, rungs=ladders(), dirty=dirt, raw_from=moments)
def test_the_properties_of_any_cover(
    a: datetime, b: datetime, rungs: list[Rung], dirty: list[Range], raw_from: datetime
) -> None:
    start, end = min(a, b), max(a, b) + timedelta(microseconds=1)
    raw_from = floor(raw_from, DAY)
    if start < raw_from and not rungs:
        return
    segments = cover(start, end, rungs, dirty, raw_from)
    by_name = {rung.name: rung for rung in rungs}
    pieces = sorted((low, high, segment.source) for segment in segments for low, high in segment.ranges)
    # Exactly once: neighbours meet, and nothing reaches beyond the range but what is frozen.
    assert all(one[1] == two[0] for one, two in pairwise(pieces))
    assert pieces[0][0] == start or (pieces[0][0] < start < raw_from)
    assert pieces[-1][1] == end or pieces[-1][1] > end
    for low, high, source in pieces:
        assert low < high
        if source == RAW:
            assert low >= raw_from
            continue
        rung = by_name[source]
        assert floor(low, rung.width) == low
        assert floor(high, rung.width) == high
        # A cell that reaches over the border of the frozen past is taken as it is, like all before it.
        if start >= raw_from or low >= ceil(raw_from, rungs[0].width):
            assert high <= rung.watermark
            assert low >= rung.kept_from
            assert not any(dirty_low < high and dirty_high > low for dirty_low, dirty_high in dirty)
    if start >= raw_from:
        assert (pieces[0][0], pieces[-1][1]) == (start, end)
