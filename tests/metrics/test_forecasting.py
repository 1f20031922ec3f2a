"""Forecasts: what they say of series with a known answer, and that no series makes them fail or say NaN."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.metrics.forecasting import Forecast, NotEnough, accuracy, batch, forecast, intervals
from apps.metrics.forecasting.backtest import MOST_ORIGINS, origins_of, score
from apps.metrics.forecasting.decomposed import seasonal_pattern, slope, theta
from apps.metrics.forecasting.smoothing import FAMILIES, grid, smooth, smooth_seasons

WEEK = np.array([10.0, 12, 14, 13, 11, 3, 2])


def arrays(made: Forecast) -> dict[str, Any]:
    found = {field.name: getattr(made, field.name) for field in fields(made)}
    return {name: value for name, value in found.items() if isinstance(value, np.ndarray)}


def check(made: Forecast, horizon: int, floor: float | None = 0.0) -> None:
    """What holds of every forecast."""
    for name, values in arrays(made).items():
        assert values.shape == (horizon,), name
        assert np.isfinite(values).all(), name
        assert floor is None or (values >= floor).all(), name
    for kind, point in (("", made.point), ("total_", made.total)):
        low80, high80 = getattr(made, f"{kind}lower80"), getattr(made, f"{kind}upper80")
        low95, high95 = getattr(made, f"{kind}lower95"), getattr(made, f"{kind}upper95")
        slack = 1e-9 * (1 + np.abs(high95))
        assert (low95 <= low80 + slack).all()
        assert (low80 <= point + slack).all()
        assert (point <= high80 + slack).all()
        assert (high80 <= high95 + slack).all()
    np.testing.assert_allclose(made.total, np.cumsum(made.point), rtol=1e-9, atol=1e-300)
    for error in (made.error, made.naive, made.seasonal_naive):
        assert error is None or (0 <= error.smape <= 200)
    for part in (made.coverage80, made.coverage95, made.total_coverage80, made.total_coverage95):
        assert part is None or 0 <= part <= 1


def test_a_pure_week_is_repeated_without_doubt() -> None:
    made = forecast(np.tile(WEEK, 12)[:80], 20)
    np.testing.assert_allclose(made.point, np.tile(WEEK, 20)[80:100], atol=1e-6)
    np.testing.assert_allclose(made.lower95, made.upper95, atol=1e-3)
    assert made.error is not None
    assert made.error.mape == pytest.approx(0, abs=1e-3)
    assert made.seasonal_naive is not None
    assert made.naive is not None
    assert made.naive.smape > made.seasonal_naive.smape


def test_a_line_goes_on() -> None:
    made = forecast(5 + 2.0 * np.arange(100), 30, 1)
    np.testing.assert_allclose(made.point, 5 + 2.0 * np.arange(100, 130), rtol=1e-3)


def test_growth_with_weeks_beats_both_naive_methods() -> None:
    rng = np.random.default_rng(5)
    days = np.arange(430)
    series = np.exp(0.004 * days) * np.tile(WEEK, 62)[:430] * rng.lognormal(0, 0.08, 430)
    made = forecast(series[:400], 30)
    error = np.abs(made.point - series[400:]).mean()
    assert error < 0.7 * np.abs(np.resize(series[393:400], 30) - series[400:]).mean()
    assert error < 0.5 * np.abs(series[399] - series[400:]).mean()
    assert made.total[-1] == pytest.approx(series[400:].sum(), rel=0.12)
    assert made.error is not None
    assert made.seasonal_naive is not None
    assert made.error.mase < made.seasonal_naive.mase  # type: ignore[operator]


def test_noise_is_covered_as_often_as_is_said() -> None:
    inside, sums, count = np.zeros(2), np.zeros(2), 40
    for seed in range(count):
        rng = np.random.default_rng([7, seed])
        series = 100 + 10 * rng.normal(size=210)
        made, actual = forecast(series[:180], 30), series[180:]
        total = actual.sum()
        for number, level in enumerate(("80", "95")):
            low, high = getattr(made, f"lower{level}"), getattr(made, f"upper{level}")
            inside[number] += np.mean((actual >= low) & (actual <= high))
            edges = getattr(made, f"total_lower{level}")[-1], getattr(made, f"total_upper{level}")[-1]
            sums[number] += edges[0] <= total <= edges[1]
    np.testing.assert_allclose(inside / count, [0.80, 0.95], atol=0.06)
    assert sums[0] / count >= 0.68
    assert sums[1] / count >= 0.88


def test_the_interval_of_a_sum_is_not_the_sum_of_intervals() -> None:
    rng = np.random.default_rng(8)
    made = forecast(100 + 10 * rng.normal(size=300), 30)
    assert made.total_upper80[-1] - made.total[-1] < 0.7 * (made.upper80 - made.point).sum()


STRANGE = {
    "zeros": np.zeros(60),
    "constant": np.full(60, 7.5),
    "one spike": np.where(np.arange(90) == 40, 1000.0, 0.0),
    "a spike at the end": np.where(np.arange(90) == 89, 1000.0, 1.0),
    "constant with a spike": np.where(np.arange(90) == 70, 1000.0, 10.0),
    "mostly zeros": np.where(np.arange(90) % 11 == 3, 5.0, 0.0),
    "gaps": np.where(np.arange(90) % 5 == 2, np.nan, 10.0 + np.arange(90) % 7),
    "a long gap": np.where((np.arange(90) > 30) & (np.arange(90) < 60), np.nan, 4.0),
    "unknown at the end": np.where(np.arange(90) > 80, np.nan, 4.0),
    "unknown at the beginning": np.where(np.arange(90) < 80, np.nan, 4.0),
    "infinite": np.where(np.arange(90) == 5, np.inf, 4.0 + np.arange(90)),
    "huge": 1e298 * (1 + np.arange(60) % 7),
    "tiny": 1e-300 * (1 + np.arange(60) % 7),
    "from 0 up": np.maximum(0, np.arange(60) - 50.0),
    "gone": np.where(np.arange(120) < 60, 50.0, 0.0),
    "three points": np.array([1.0, 2.0, 4.0]),
    "thirteen points": np.arange(13.0),
    "fourteen points": np.arange(14.0) % 7,
    "fifteen equal points": np.ones(15),
}


@pytest.mark.parametrize("name", STRANGE)
@pytest.mark.parametrize("horizon", [1, 7, 92, 366])
def test_strange_series_are_answered(name: str, horizon: int) -> None:
    check(forecast(STRANGE[name], horizon), horizon)


def test_what_is_nothing_stays_nothing() -> None:
    made = forecast(np.zeros(60), 30)
    assert made.total[-1] == made.total_upper95[-1] == 0
    assert made.error is not None
    assert made.error.mape is None
    assert made.error.mase is None
    assert made.error.smape == 0


def test_a_lone_spike_does_not_move_the_forecast() -> None:
    made = forecast(STRANGE["constant with a spike"], 14)
    np.testing.assert_allclose(made.point, 10)
    level = forecast(np.where(np.arange(90) < 70, 10.0, 30.0), 14)
    assert level.point[0] > 25, "a new level is none"


def test_sums_of_intermittent_series_are_not_nothing() -> None:
    rng = np.random.default_rng(9)
    series = np.where(rng.random(300) < 0.3, rng.lognormal(0, 0.3, 300), 0.0)
    made = forecast(series[:270], 30)
    assert made.total[-1] == pytest.approx(series.mean() * 30, rel=0.35)


@pytest.mark.parametrize("series", [[], [1.0], [1.0, 2.0], [np.nan] * 50, [1.0, np.nan, 2.0], [np.inf] * 9])
def test_too_little_is_said(series: list[float]) -> None:
    with pytest.raises(NotEnough):
        forecast(series, 7)


def test_few_points_have_a_mean_and_no_backtest() -> None:
    made = forecast([4.0, 6.0, 5.0, 5.0], 10)
    assert made.method == "mean"
    np.testing.assert_allclose(made.point, 5)
    assert made.origins == 0
    assert (made.error, made.naive, made.coverage80) == (None, None, None)
    assert made.upper80[0] > 5.5


@pytest.mark.parametrize(("horizon", "season"), [(0, 7), (1001, 7), (7, 0)])
def test_questions_that_mean_nothing(horizon: int, season: int) -> None:
    with pytest.raises(ValueError, match="horizon"):
        forecast(np.ones(30), horizon, season)


def test_below_zero_where_it_is_allowed() -> None:
    made = forecast(-5 - 1.0 * np.arange(60), 10, 1, floor=None)
    check(made, 10, floor=None)
    assert made.point[-1] < -70


@given(
    series=st.lists(
        st.one_of(st.floats(0, 1e9), st.just(0.0), st.just(float("nan")), st.floats(allow_nan=True)), max_size=70
    ),
    horizon=st.integers(1, 60),
    season=st.sampled_from([1, 2, 7, 12]),
)
@settings(max_examples=60, deadline=None)
def test_no_series_makes_it_fail(series: list[float], horizon: int, season: int) -> None:
    series = [abs(value) for value in series]
    try:
        made = forecast(series, horizon, season)
    except NotEnough:
        assert (np.array(series) < 1e300).sum() < 3
        return
    check(made, horizon)


@given(factor=st.floats(1e-9, 1e9), seed=st.integers(0, 50))
@settings(max_examples=15, deadline=None)
def test_the_unit_changes_nothing(factor: float, seed: int) -> None:
    series = np.random.default_rng(seed).lognormal(3, 0.4, 60)
    one, other = forecast(series, 14), forecast(series * factor, 14)
    for name, values in arrays(one).items():
        np.testing.assert_allclose(arrays(other)[name], values * factor, rtol=1e-6, atol=1e-9 * factor)


# -- parts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("points", [14, 15, 27, 28, 60, 400, 800])
@pytest.mark.parametrize("horizon", [1, 7, 30, 366])
def test_origins_know_enough_and_check_what_is_known(points: int, horizon: int) -> None:
    found, reach = origins_of(points, horizon, 7)
    assert 1 <= len(found) <= MOST_ORIGINS
    assert 1 <= reach <= horizon
    assert found[0] >= 7
    assert found[-1] + reach == points
    assert (np.diff(found) > 0).all()


def _by_hand(series: np.ndarray[Any, Any], alpha: float, beta: float, phi: float, start: int) -> tuple[float, float]:
    level, trend = float(series[:start].mean()), 0.0
    for value in series:
        ahead = level + phi * trend
        new = alpha * value + (1 - alpha) * ahead
        trend = beta * (new - level) + (1 - beta) * phi * trend
        level = new
    return level, trend


def test_smoothing_is_holts_recursion_on_every_row() -> None:
    rng = np.random.default_rng(11)
    series = 20 + np.cumsum(rng.normal(size=40))
    made = batch.make(series, np.array([25, 33]), 1)
    family = FAMILIES["damped_trend"]
    states = smooth(made, family)
    for row, length in enumerate((25, 33, 40)):
        for number, (alpha, beta, phi, _) in enumerate(family):
            level, trend = _by_hand(made.row(row), alpha, beta, phi, 8)
            assert states.level[row, number] == pytest.approx(level)
            assert states.trend[row, number] == pytest.approx(trend)
        assert len(made.row(row)) == length


def test_holt_winters_finds_a_season_and_keeps_its_phase() -> None:
    series = np.tile(WEEK, 6)[:40]
    made = batch.make(series, np.array([30]), 7)
    family = grid((0.1,), ((0, 0),), (0.1,))
    for ratio in (False, True):
        states = smooth_seasons(made, family, multiplicative=ratio)
        assert states.seasons is not None
        pattern = states.seasons[-1, 0]
        level = states.level[-1, 0]
        np.testing.assert_allclose(level * pattern if ratio else level + pattern, WEEK, rtol=1e-9)


@pytest.mark.parametrize("ratio", [False, True])
def test_holt_winters_is_its_recursion(ratio: bool) -> None:
    rng = np.random.default_rng(21)
    series = np.tile(WEEK, 8)[:50] * rng.lognormal(0, 0.2, 50)
    made = batch.make(series, np.array([31]), 7)
    alpha, beta, phi, gamma = 0.3, 0.2, 0.9, 0.25
    states = smooth_seasons(made, np.array([[alpha, beta, phi, gamma]]), multiplicative=ratio)
    assert states.seasons is not None
    for number in (0, 1):
        row = made.row(number)
        level, trend = float(row[:14].mean()), 0.0
        first = row[:14].reshape(2, 7).mean(axis=0)
        pattern = list(first / level if ratio else first - level)
        for place, value in enumerate(row):
            ahead, old = level + phi * trend, pattern[place % 7]
            if ratio:
                new = alpha * value / old + (1 - alpha) * ahead
                pattern[place % 7] = gamma * value / ahead + (1 - gamma) * old
            else:
                new = alpha * (value - old) + (1 - alpha) * ahead
                pattern[place % 7] = gamma * (value - new) + (1 - gamma) * old
            trend = beta * (new - level) + (1 - beta) * phi * trend
            level = new
        assert states.level[number, 0] == pytest.approx(level)
        assert states.trend[number, 0] == pytest.approx(trend)
        np.testing.assert_allclose(states.seasons[number, 0], pattern)


def test_theta_is_smoothing_with_half_the_slope() -> None:
    series = 4 + 0.5 * np.arange(60) + np.random.default_rng(22).normal(0, 0.1, 60)
    made = batch.make(series, np.array([40]), 1)
    states = smooth(made, FAMILIES["simple_smoothing"])
    chosen = int(np.argmin(states.errors[-1]))
    alpha, half = FAMILIES["simple_smoothing"][chosen, 0], np.polyfit(np.arange(60), series, 1)[0] / 2
    start = states.level[-1, chosen] + half * (1 - (1 - alpha) ** 60) / alpha
    np.testing.assert_allclose(theta(made, 5)[-1], start + half * np.arange(5))


def test_methods_are_chosen_by_their_totals_too() -> None:
    assert score(np.array([[1.0, -1.0], [2.0, -2.0]])) == 1.5
    assert score(np.array([[1.0, 1.0], [2.0, 2.0]])) == 3


def test_coverage_is_that_of_intervals_made_without_the_origin() -> None:
    errors = np.random.default_rng(23).normal(size=(9, 6))
    errors[4] = 1000
    found = intervals.coverage(errors, np.ones(9), intervals.OF_POINTS, 9)
    assert found[0.95] <= 8 / 9


def test_noise_alone_has_next_to_no_season() -> None:
    rng = np.random.default_rng(12)
    sizes = [np.abs(seasonal_pattern(rng.normal(size=70), 7, False)).max() for _ in range(50)]
    assert np.median(sizes) < 0.35
    pattern = seasonal_pattern(np.tile(WEEK, 10), 7, False)
    np.testing.assert_allclose(pattern, WEEK - WEEK.mean(), atol=1e-9)


def test_gaps_are_filled_from_the_same_weekday() -> None:
    series = np.tile(WEEK, 4)
    series[9] = np.nan
    assert batch.without_gaps(series, 7)[9] == WEEK[2]
    assert batch.without_gaps(series, 1)[9] == pytest.approx((WEEK[1] + WEEK[3]) / 2)


def test_measures_of_error() -> None:
    actual, predicted = np.array([0.0, 10, 20]), np.array([5.0, 12, 20])
    assert accuracy.mape(actual, predicted) == pytest.approx(10)
    assert accuracy.mape(np.zeros(3), predicted) is None
    assert accuracy.smape(actual, predicted) == pytest.approx((200 + 200 / 11) / 3)
    assert accuracy.mase(actual, predicted, np.array([1.0, 2, 4]), 1) == pytest.approx(7 / 3 / 1.5)
    assert accuracy.mase(actual, predicted, np.ones(9), 1) is None


def test_the_slope_is_that_of_the_line() -> None:
    assert slope(3 + 0.25 * np.arange(50.0)) == pytest.approx(0.25)


def test_more_stretches_make_narrower_intervals() -> None:
    errors = np.random.default_rng(13).normal(size=(20, 5))
    few, many = (intervals.bounds(errors, np.ones(20), 1.0, 5, intervals.OF_POINTS, windows) for windows in (2.0, 50.0))
    assert (few[0.95].upper > many[0.95].upper).all()
    assert many[0.95].upper.mean() == pytest.approx(1.96, rel=0.25)
    assert many[0.80].upper.mean() == pytest.approx(1.28, rel=0.25)
