"""From a series to its forecast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from apps.metrics.forecasting import accuracy, batch, intervals
from apps.metrics.forecasting.backtest import Backtest, Tried, backtest
from apps.metrics.forecasting.batch import Array
from apps.metrics.forecasting.intervals import LEVELS, Bounds

MOST_POINTS = 800
MOST_HORIZON = 1_000
_HUGE = 1e300
# Below so many known points there is no forecast; below so many it is a mean without a backtest.
FEWEST, FEWEST_TESTED = 3, 14
_STUDENT = {0.80: 1.886, 0.95: 4.303}  # two degrees of freedom, of three points


class NotEnough(ValueError):
    """Fewer known points than a forecast needs."""


@dataclass(frozen=True, slots=True)
class Error:
    """Of one method in the backtest. `mape` leaves out points that were 0, None where all were; `mase` is None where
    the history never changed."""

    mape: float | None
    smape: float
    mase: float | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """A forecast by horizon, and how such forecasts did on the past.

    Args:
        total: cumulated points: element h is the sum of the first h + 1.
        total_lower80 ...: intervals of these sums, from the errors of sums in the backtest.
        origins: of the backtest; 0 where there were too few points for one. `reach`: points checked from each.
        error: None without a backtest, as coverage is.
        coverage80, coverage95: parts of the backtest's points inside intervals made from the other origins.
    """

    point: Array
    lower80: Array
    upper80: Array
    lower95: Array
    upper95: Array
    total: Array
    total_lower80: Array
    total_upper80: Array
    total_lower95: Array
    total_upper95: Array
    method: str
    origins: int = 0
    reach: int = 0
    error: Error | None = None
    naive: Error | None = None
    seasonal_naive: Error | None = None
    coverage80: float | None = None
    coverage95: float | None = None
    total_coverage80: float | None = None
    total_coverage95: float | None = None


def forecast(series: ArrayLike, horizon: int, season: int = 7, *, floor: float | None = 0.0) -> Forecast:
    """Forecast a series.

    Args:
        series: evenly spaced; NaN, infinities and what is beyond 1e300 are unknown points. Of more than 800 points
            the last count.
        season: points in a season, 1 for none.
        floor: neither points nor bounds lie below it; None for a series that may have any value.

    Raises:
        NotEnough: fewer than 3 known points.
        ValueError: a horizon outside 1 to 1000, or a season below 1.
    """
    if not 1 <= horizon <= MOST_HORIZON or season < 1:
        raise ValueError(f"horizon must be 1 to {MOST_HORIZON} and season at least 1")
    values = _known(np.asarray(series, dtype=np.float64).ravel()[-MOST_POINTS:])
    if np.isfinite(values).sum() < FEWEST:
        raise NotEnough(f"a forecast needs {FEWEST} known points")
    # Far from the ends of the floating point range, whatever the unit; never 0.
    unit = float(np.max(np.abs(values[np.isfinite(values)]))) or 1.0
    filled = batch.without_gaps(values / unit, season if len(values) >= 2 * season else 1)
    low = None if floor is None else floor / unit
    if np.isfinite(values).sum() < FEWEST_TESTED:
        return _untested(filled, horizon, low, unit)
    if len(filled) < 2 * season:
        season = 1
    tested = backtest(filled, horizon, season, floor=low)
    return _answer(filled, horizon, season, tested, low, unit)


def _known(values: Array) -> Array:
    """Without unknown points at the beginning; infinite ones are unknown, and such as leave no room for sums."""
    values = np.where(np.abs(values) < _HUGE, values, np.nan)
    known = np.flatnonzero(~np.isnan(values))
    return values[known[0] :] if len(known) else values[:0]


def _answer(series: Array, horizon: int, season: int, tested: Backtest, floor: float | None, unit: float) -> Forecast:
    best = next(iter(tested.tried.values()))
    steps, now = tested.steps[:-1], float(tested.steps[-1])
    windows = (len(series) - int(tested.origins[0])) / tested.actual.shape[1]
    points = intervals.bounds(best.errors, steps, now, horizon, intervals.OF_POINTS, windows)
    sums = np.cumsum(best.errors, axis=1)
    totals = intervals.bounds(sums, steps, now, horizon, intervals.OF_SUMS, windows)
    inside = intervals.coverage(best.errors, steps, intervals.OF_POINTS, windows)
    inside_sums = intervals.coverage(sums, steps, intervals.OF_SUMS, windows)
    seasonal = tested.tried.get("seasonal_naive")
    return Forecast(
        **_figures(best.ahead, points, totals, floor, unit),
        method=best.name,
        origins=len(tested.origins),
        reach=tested.actual.shape[1],
        error=_error(series, season, tested, best),
        naive=_error(series, season, tested, tested.tried["naive"]),
        seasonal_naive=_error(series, season, tested, seasonal) if seasonal else None,
        coverage80=inside[0.80],
        coverage95=inside[0.95],
        total_coverage80=inside_sums[0.80],
        total_coverage95=inside_sums[0.95],
    )


def _error(series: Array, season: int, tested: Backtest, one: Tried) -> Error:
    actual = tested.actual
    predicted = actual - one.errors
    return Error(
        accuracy.mape(actual, predicted),
        accuracy.smape(actual, predicted),
        accuracy.mase(actual, predicted, series, season),
    )


def _untested(series: Array, horizon: int, floor: float | None, unit: float) -> Forecast:
    """The mean of the last week, and how far points lay from their mean; too few points to say how good that is."""
    last = series[-7:]
    spread = float(np.std(series, ddof=1))
    count = len(last)
    wide = {level: _STUDENT[level] * spread * (1 + 1 / count) ** 0.5 for level in LEVELS}
    steps = np.arange(1, horizon + 1)
    # Of the sum: noise grows with the root, the mean's own error with the number of points.
    grown = spread * np.sqrt(steps + steps**2 / count)
    points = {level: Bounds(np.full(horizon, -wide[level]), np.full(horizon, wide[level])) for level in LEVELS}
    totals = {level: Bounds(-_STUDENT[level] * grown, _STUDENT[level] * grown) for level in LEVELS}
    made = _figures(np.full(horizon, float(last.mean())), points, totals, floor, unit)
    return Forecast(**made, method="mean")


def _figures(
    point: Array, points: dict[float, Bounds], totals: dict[float, Bounds], floor: float | None, unit: float
) -> dict[str, Any]:
    """Points and bounds in the series' own unit, none below the floor."""
    total = np.cumsum(point)

    def scaled(values: Array, lowest: Array | None) -> Array:
        made: Array = (values if lowest is None else np.maximum(values, lowest)) * unit
        return made

    low = None if floor is None else np.full(len(point), floor)
    low_total = None if low is None else np.cumsum(low)
    figures = {"point": scaled(point, low), "total": scaled(total, low_total)}
    for level in LEVELS:
        name = f"{level * 100:.0f}"
        figures[f"lower{name}"] = scaled(point + points[level].lower, low)
        figures[f"upper{name}"] = scaled(point + points[level].upper, low)
        figures[f"total_lower{name}"] = scaled(total + totals[level].lower, low_total)
        figures[f"total_upper{name}"] = scaled(total + totals[level].upper, low_total)
    return figures
