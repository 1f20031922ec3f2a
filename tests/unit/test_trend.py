"""Trend tests against SciPy and worked examples, and how often they call a trend what is none."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from apps.metrics import trend
from apps.metrics.trend import Floats, Trend, trend_of

HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)
WEEKDAYS = np.array([0, 0, 0, 0, 0, -3, -3.0])
HOURS = np.sin(np.arange(24) / 24 * 2 * np.pi) * 3
ROUNDS = 160
# 160 rounds at 5%: how often a test may be wrong, with room for chance; the seeds are fixed.
MOST = 0.1


def series(values: list[float | None]) -> Floats:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


@given(st.lists(st.integers(0, 8), min_size=10, max_size=40))
@settings(max_examples=150, deadline=None)
def test_mann_kendall_is_kendalls_tau_against_time(values: list[int]) -> None:
    made = trend.mann_kendall(series([float(value) for value in values]))
    pairs = list(combinations(range(len(values)), 2))
    assert made.s == sum(np.sign(values[j] - values[i]) for i, j in pairs)
    assert made.slope == pytest.approx(np.median([(values[j] - values[i]) / (j - i) for i, j in pairs]))
    assert made.low <= made.slope <= made.high
    if len(set(values)) == 1:
        assert made.p == 1.0
        return
    # SciPy corrects neither for continuity nor for autocorrelation.
    right = stats.kendalltau(range(len(values)), values, method="asymptotic").pvalue
    plain = trend.kendall_variance(series([float(value) for value in values]))
    assert stats.norm.sf(abs(made.s) / plain**0.5) * 2 == pytest.approx(right, rel=1e-9)
    assert made.inflation >= 1.0
    assert made.p == pytest.approx(2 * stats.norm.sf(max(0, abs(made.s) - 1) / (plain * made.inflation) ** 0.5))


def test_the_interval_of_the_slope_is_sens() -> None:
    random = np.random.default_rng(1)
    values = random.normal(size=40) + np.arange(40) * 0.05
    made = trend._sen(
        np.array([(values[j] - values[i]) / (j - i) for i, j in combinations(range(40), 2)]), 40 * 39 * 85 / 18, 0.05
    )
    right = stats.theilslopes(values, np.arange(40), alpha=0.95)
    assert made[0] == pytest.approx(right.slope)
    # Ours takes the ranks outward where SciPy rounds them.
    assert made[1] <= right.low_slope <= made[0] <= right.high_slope <= made[2]
    assert made[2] - made[1] <= 1.1 * (right.high_slope - right.low_slope)


def test_gaps_are_left_out_and_keep_their_place() -> None:
    full = series([float(value * 2) for value in range(12)])
    gap = full.copy()
    gap[[3, 7]] = np.nan
    made = trend.mann_kendall(gap)
    assert (made.n, made.slope, made.tau) == (10, 2.0, 1.0)


def test_seasonal_kendall_by_hand() -> None:
    """Two seasons of three cycles, one gap: S, variance and covariance by the sums of Hirsch & Slack, one by one."""
    table = [[1.0, 5.0], [2.0, np.nan], [4.0, 3.0]]
    values = np.array(table).ravel()
    made = trend.seasonal_kendall(values, 2)

    def sign(a: float, b: float) -> float:
        return 0.0 if np.isnan(a) or np.isnan(b) else float(np.sign(b - a))

    columns = [[row[g] for row in table] for g in range(2)]
    s = sum(sign(c[i], c[j]) for c in columns for i, j in combinations(range(3), 2))
    counts = [3, 2]
    ranks = [
        [(counts[g] + 1 + sum(sign(c[j], c[i]) for j in range(3))) / 2 for i in range(3)] for g, c in enumerate(columns)
    ]
    shared = sum(
        sign(columns[0][i], columns[0][j]) * sign(columns[1][i], columns[1][j]) for i, j in combinations(range(3), 2)
    )
    covariance = (shared + 4 * sum(a * b for a, b in zip(*ranks, strict=True)) - 3 * 4 * 3) / 3
    single = 3 * 2 * 11 / 18 + 2 * 1 * 9 / 18
    assert (made.s, made.cycles) == (s, 3) == (2.0, 3)
    assert made.variance == pytest.approx(max(single, single + 2 * covariance))


def test_two_days_that_differ_are_no_trend() -> None:
    """The covariances see that all hours rose together: S^2 of two cycles is its own variance."""
    values = np.concatenate([np.zeros(24), np.ones(24)]) + np.arange(48) * 1e-6
    made = trend.seasonal_kendall(values, 24)
    assert made.variance == pytest.approx(made.s**2)
    assert made.p > 0.3


def autocorrelated(random: np.random.Generator, n: int, r: float) -> Floats:
    steps = random.standard_normal(n + 100)
    for at in range(1, n + 100):
        steps[at] += r * steps[at - 1]
    return steps[100:]


def rejected(make: Callable[[np.random.Generator], Floats], step: timedelta, seed: int, rounds: int = ROUNDS) -> float:
    random = np.random.default_rng(seed)
    found = 0
    for _ in range(rounds):
        made = trend_of(make(random), step)
        assert isinstance(made, Trend)
        found += made.p < 0.05
    return found / rounds


@pytest.mark.parametrize("r", [0.0, 0.6])
@pytest.mark.parametrize("n", [12, 30])
def test_points_that_hang_together_are_no_trend(n: int, r: float) -> None:
    assert rejected(lambda random: autocorrelated(random, n, r), WEEK, n) <= MOST


@pytest.mark.parametrize("r", [0.0, 0.6])
@pytest.mark.parametrize("n", [14, 20, 30])
def test_weekends_are_no_trend(n: int, r: float) -> None:
    assert rejected(lambda random: autocorrelated(random, n, r) + np.resize(WEEKDAYS, n), DAY, n) <= MOST


@pytest.mark.parametrize("days", [5, 7])
def test_hours_of_odd_days_are_no_trend(days: int) -> None:
    """A day that is high as a whole is one surprise, not 24."""

    def make(random: np.random.Generator) -> Floats:
        odd = np.repeat(random.standard_normal(days), 24)
        return random.standard_normal(days * 24) + odd + np.tile(HOURS, days)  # type: ignore[no-any-return]

    assert rejected(make, HOUR, days) <= MOST


def test_trends_are_found() -> None:
    def rising(n: int, season: Floats, rise: float) -> Callable[[np.random.Generator], Floats]:
        return lambda random: random.standard_normal(n) + np.resize(season, n) + np.arange(n) / n * rise

    assert rejected(rising(30, np.zeros(1), 3), WEEK, 1, 60) > 0.8
    assert rejected(rising(30, WEEKDAYS, 3), DAY, 2, 60) > 0.8
    assert rejected(rising(168, HOURS, 3), HOUR, 3, 60) > 0.8


def test_what_is_too_little() -> None:
    assert trend_of(np.arange(9.0), DAY) == "9 points with a value; a trend takes 10"
    assert trend_of(np.arange(72.0), HOUR) == "3 whole days; hours of days take 4 of them"
    once = np.full(96, np.nan)
    once[:10] = 1.0
    assert trend_of(once, HOUR) == "no time of day has values on two days"


@pytest.mark.parametrize(
    ("n", "step", "method"),
    [
        (47, HOUR, "mann_kendall"),
        (96, HOUR, "seasonal_kendall"),
        (13, DAY, "mann_kendall"),
        (14, DAY, "mann_kendall_weekdays_removed"),
        (60, WEEK, "mann_kendall"),
    ],
)
def test_which_test(n: int, step: timedelta, method: str) -> None:
    made = trend_of(np.arange(float(n)), step)
    assert isinstance(made, Trend)
    assert (made.method, made.steps) == (method, n - 1)
    assert (made.slope, made.low, made.high) == pytest.approx((1.0, 1.0, 1.0))


def test_a_constant_is_no_trend() -> None:
    for n, step in ((96, HOUR), (30, DAY), (12, WEEK)):
        made = trend_of(np.full(n, 7.0), step)
        assert isinstance(made, Trend)
        assert (made.p, made.slope, made.s) == (1.0, 0.0, 0.0)
