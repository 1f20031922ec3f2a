"""Cron expressions and periods, above all where clocks are changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.common.errors import ApiError
from apps.exports.times import LEAST, PERIODS, check_cron, following, latest, range_of, runs

BERLIN = "Europe/Berlin"
NOW = datetime(2026, 11, 21, 12, 34, 56, tzinfo=UTC)
ZONES = ["UTC", BERLIN, "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Africa/Cairo", "Pacific/Apia"]
MOMENTS = st.integers(1_735_689_600, 1_830_297_600).map(lambda second: datetime.fromtimestamp(second, UTC))


def utc(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC)


def some(cron: str, zone: str, after: datetime, count: int) -> list[datetime]:
    """The first runs, and the same asked one by one."""
    found = list(islice(runs(cron, zone, after), count))
    alone = []
    for _ in range(count):
        run = following(cron, zone, after)
        assert run is not None
        alone.append(run)
        after = run
    assert found == alone
    return found


@pytest.mark.parametrize(
    ("cron", "code"),
    [
        *(("* * * * *", 1202), ("*/4 * * * *", 1202), ("0,58 * * * *", 1202), ("58 22,x * * *", 1203)),
        *(("0,58 0,23 * * *", 1202), ("0 0 30 2 *", 1203), ("@daily", 1203), ("0 0 * *", 1203), ("", 1203)),
        *(("0 0 0 * * *", 1203), ("a b c d e", 1203), ("60 * * * *", 1203), ("0 0 31 2,4 *", 1203)),
        ("0 0 31 2 MON-FRI/9#1", 1203),
    ],
)
def test_expressions_that_are_refused(cron: str, code: int) -> None:
    with pytest.raises(ApiError) as caught:
        check_cron(cron, NOW)
    assert (caught.value.entry.code, caught.value.field) == (code, "cron")


@pytest.mark.parametrize(
    "cron", ["*/5 * * * *", "0 6 * * MON", "0 0 L * *", "30 2 * * *", "0 0 29 2 *", "5,10 0 1 1 *"]
)
def test_expressions_that_are_taken(cron: str) -> None:
    check_cron(cron, NOW)


def test_a_time_that_the_clocks_skip_is_made_up_for() -> None:
    # In Berlin 02:00 became 03:00 on 29 March 2026.
    assert some("30 2 * * *", BERLIN, utc(2026, 3, 28, 12), 3) == [
        utc(2026, 3, 29, 1),  # 03:00
        utc(2026, 3, 30, 0, 30),
        utc(2026, 3, 31, 0, 30),
    ]


def test_a_time_that_comes_twice_counts_once() -> None:
    # In Berlin 03:00 became 02:00 on 25 October 2026.
    expected = [utc(2026, 10, 25, 0, 30), utc(2026, 10, 26, 1, 30)]
    assert some("30 2 * * *", BERLIN, utc(2026, 10, 24, 12), 2) == expected
    # Asked in the second of the two hours, too.
    assert following("30 2 * * *", BERLIN, utc(2026, 10, 25, 1, 15)) == expected[1]
    every_hour = some("15 * * * *", BERLIN, utc(2026, 10, 24, 23, 30), 3)
    assert every_hour == [utc(2026, 10, 25, hour, 15) for hour in (0, 1, 2)]


@settings(deadline=None)
@given(MOMENTS, st.sampled_from(ZONES), st.sampled_from(["30 2 * * *", "*/5 * * * *", "0 0 1 * *", "15 1,2 * * SUN"]))
def test_runs_go_forward(after: datetime, zone: str, cron: str) -> None:
    found = some(cron, zone, after, 5)
    assert found[0] > after
    assert found == sorted(set(found))


def test_of_missed_runs_the_last_one_counts() -> None:
    due = utc(2026, 11, 1)
    assert latest("0 0 * * *", "UTC", due, utc(2026, 11, 10, 7)) == utc(2026, 11, 10)
    assert latest("0 0 * * *", "UTC", due, utc(2026, 11, 1, 0, 0, 30)) == due
    assert latest("0 0 1 * *", "UTC", due, utc(2026, 11, 10, 7)) == due  # sparser than what is looked back at
    assert latest("*/5 * * * *", "UTC", due, utc(2036, 11, 1, 0, 7)) == utc(2036, 11, 1, 0, 5)
    # One that had to wait is still the run of its own time.
    assert latest("0 0 * * *", "UTC", utc(2026, 11, 1, 0, 5), utc(2026, 11, 1, 0, 5, 20)) == due


def test_days_of_a_zone() -> None:
    assert range_of("previous_day", BERLIN, utc(2026, 3, 29, 22)) == (utc(2026, 3, 28, 23), utc(2026, 3, 29, 22))
    assert range_of("previous_day", BERLIN, utc(2026, 10, 26, 8)) == (utc(2026, 10, 24, 22), utc(2026, 10, 25, 23))
    assert range_of("previous_week", "UTC", utc(2026, 11, 23)) == (utc(2026, 11, 16), utc(2026, 11, 23))
    assert range_of("previous_week", "UTC", utc(2026, 11, 22, 23)) == (utc(2026, 11, 9), utc(2026, 11, 16))
    assert range_of("previous_month", BERLIN, utc(2026, 4, 1, 3)) == (utc(2026, 2, 28, 23), utc(2026, 3, 31, 22))
    # Cairo has no midnight on 24 April 2026: its clocks go from 00:00 to 01:00.
    assert range_of("previous_day", "Africa/Cairo", utc(2026, 4, 25, 12)) == (
        utc(2026, 4, 23, 22),
        utc(2026, 4, 24, 21),
    )


def test_what_lies_behind_the_moment() -> None:
    moment = utc(2026, 10, 26, 8)
    assert range_of("last_24_hours", BERLIN, moment) == (utc(2026, 10, 25, 8), moment)
    assert range_of("last_7_days", BERLIN, moment) == (utc(2026, 10, 19, 7), moment)  # 09:00 both times
    assert range_of("last_30_days", "UTC", moment) == (utc(2026, 9, 26, 8), moment)


@settings(deadline=None)
@given(MOMENTS, st.sampled_from(ZONES), st.sampled_from(PERIODS))
def test_ranges_end_by_then_and_whole_ones_tile(moment: datetime, zone: str, period: str) -> None:
    start, end = range_of(period, zone, moment)
    assert start < end <= moment
    if period.startswith("previous"):
        local = [edge.astimezone(ZoneInfo(zone)) for edge in (start, end)]
        assert [edge.hour <= 1 for edge in local] == [True, True]
        before = range_of(period, zone, end - timedelta(seconds=1))
        assert before[1] <= end
        assert range_of(period, zone, end)[1] == end
        assert range_of(period, zone, start)[1] == start


def test_the_interval_in_the_message() -> None:
    assert timedelta(minutes=5) == LEAST
