"""Charts of series with gaps: gaps stay gaps, and an earlier period lies beside this one bucket by bucket."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from apps.console.charts import Chart, Series
from apps.console.lines import beside, spaced

T0 = datetime(2026, 11, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
PLACES = st.sets(st.integers(0, 40), min_size=2, max_size=20).map(sorted)


def rows_at(places: list[int]) -> list[dict[str, Any]]:
    return [{"timestamp": (T0 + place * HOUR).isoformat(), "n": place} for place in places]


@given(PLACES)
def test_a_gap_holds_a_moment_of_its_own(places: list[int]) -> None:
    times = [T0 + place * HOUR for place in places]
    made = spaced(times)
    step = min(after - before for before, after in itertools.pairwise(times))
    assert sorted(made) == made
    assert set(times) <= set(made)
    gaps = sum(after - before > step * 1.5 for before, after in itertools.pairwise(times))
    assert len(made) == len(times) + gaps


@given(PLACES, st.integers(1, 100))
def test_the_earlier_period_lies_under_its_own_buckets(places: list[int], days: int) -> None:
    later = timedelta(days=days)
    times = [T0 + later + hour * HOUR for hour in range(41)]
    values = beside(rows_at(places), times, "n", later)
    assert values == [place if place in places else None for place in range(41)]


def test_what_lies_outside_is_left_out() -> None:
    times = [T0, T0 + HOUR]
    assert beside(rows_at([30]), times, "n", HOUR) == [None, None]
    assert beside([{"timestamp": T0.isoformat(), "n": 1}], [], "n", HOUR) == []


def test_zeros_alone_are_drawn_where_they_say_something() -> None:
    for values, zeros, empty in (([0, None], False, True), ([0, None], True, False), ([None], True, True)):
        chart = Chart("Rate", "rate", [T0], [Series("yes", values)], zeros=zeros)
        assert chart.empty is empty
