"""Ranges of minutes against plain sets of minutes."""

from __future__ import annotations

import itertools
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from apps.metrics.ranges import EPOCH, Ranges, minute_of, moment_of

_spans = st.dictionaries(
    st.integers(1, 3), st.lists(st.tuples(st.integers(-50, 200), st.integers(-50, 200)), max_size=6), max_size=3
)


def _minutes(ranges: Ranges) -> set[tuple[int, int]]:
    return {(project, minute) for project, lo, hi in ranges.rows() for minute in range(lo, hi)}


def _plain(spans: dict[int, list[tuple[int, int]]]) -> set[tuple[int, int]]:
    return {(project, minute) for project, of in spans.items() for lo, hi in of for minute in range(lo, hi)}


@given(_spans)
def test_ranges_hold_exactly_their_minutes_and_are_disjoint(spans: dict[int, list[tuple[int, int]]]) -> None:
    ranges = Ranges(spans)
    assert _minutes(ranges) == _plain(spans)
    assert ranges.minutes == len(_plain(spans))
    rows = list(ranges.rows())
    assert all(a[0] != b[0] or a[2] < b[1] for a, b in itertools.pairwise(rows))


@given(_spans, _spans)
def test_union_and_difference(one: dict[int, list[tuple[int, int]]], two: dict[int, list[tuple[int, int]]]) -> None:
    assert _minutes(Ranges(one) | Ranges(two)) == _plain(one) | _plain(two)
    assert _minutes(Ranges(one) - Ranges(two)) == _plain(one) - _plain(two)


@given(_spans, st.sampled_from([15, 60, 1440]))
def test_widened_covers_whole_buckets_and_no_others(spans: dict[int, list[tuple[int, int]]], width: int) -> None:
    buckets = {(project, minute // width) for project, minute in _plain(spans)}
    assert {(p, m // width) for p, m in _minutes(Ranges(spans).widened(width))} == buckets
    assert Ranges(spans).widened(width).minutes == len(buckets) * width


@given(_spans, st.integers(-60, 210))
def test_within_and_after(spans: dict[int, list[tuple[int, int]]], edge: int) -> None:
    plain, ranges = _plain(spans), Ranges(spans)
    assert _minutes(ranges.within(lo=edge)) == {(p, m) for p, m in plain if m >= edge}
    assert _minutes(ranges.within(hi=edge)) == {(p, m) for p, m in plain if m < edge}
    assert _minutes(ranges.after({1: edge}, -1000)) == {(p, m) for p, m in plain if p != 1 or m >= edge}


def test_edges_inside_a_minute_are_widened_to_it() -> None:
    second = timedelta(seconds=1)
    ranges = Ranges.of([(1, EPOCH + second, EPOCH + 61 * second)])
    assert list(ranges.rows()) == [(1, 0, 2)]
    assert moment_of(minute_of(EPOCH - second)) == EPOCH - 60 * second
