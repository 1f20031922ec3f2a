"""Rolling origins: every method forecasts from many points of the past, and what came is known (FPP3, section 5.10)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apps.metrics.forecasting import batch as batches
from apps.metrics.forecasting.batch import Array, Whole
from apps.metrics.forecasting.decomposed import decomposed
from apps.metrics.forecasting.simple import simple
from apps.metrics.forecasting.smoothing import holt_winters, smoothing

MOST_ORIGINS = 24
COMBINED = 3
# Of so few seasons no trend is believed.
SHORT = 4
TRENDED = frozenset({"drift", "holt", "damped_trend", "theta"})


@dataclass(frozen=True, slots=True)
class Tried:
    """One method: its errors (origins, horizon) in the backtest, its forecast from the end, its score."""

    name: str
    errors: Array
    ahead: Array
    score: float


@dataclass(frozen=True, slots=True)
class Backtest:
    """What came of it.

    Args:
        actual: (origins, horizon).
        tried: every method by name, the best first.
        steps: the usual step of the series at each origin and, last, at its end.
    """

    origins: Whole
    actual: Array
    tried: dict[str, Tried]
    steps: Array


def origins_of(points: int, horizon: int, season: int) -> tuple[Whole, int]:
    """How many points are known at each origin, and how far each can be checked.

    The newer half of the series is forecast, from at most 24 origins; of a short series at least two seasons are
    known at each (one, where it has less than four).
    """
    least = 2 * season if points >= 4 * season else season + 1
    begin = max(min(least, points - 2), points // 2, 2)
    reach = max(1, min(horizon, (points - begin) // 2))
    last = points - reach
    begin = min(begin, last)
    found = np.unique(np.linspace(begin, last, min(MOST_ORIGINS, last - begin + 1)).round().astype(np.int64))
    return found, reach


def backtest(series: Array, horizon: int, season: int, *, floor: float | None) -> Backtest:
    """Try every method.

    Args:
        floor: no forecast is below it.
    """
    origins, reach = origins_of(len(series), horizon, season)
    batch = batches.make(series, origins, season)
    actual = np.lib.stride_tricks.sliding_window_view(series, reach)[origins]
    forecasts: dict[str, Array] = {}
    for method in (simple, smoothing, holt_winters, decomposed):
        forecasts.update(method(batch, horizon))
    short = len(series) < SHORT * season
    tried = {}
    for name, made in forecasts.items():
        if np.isfinite(made).all() and not (short and name in TRENDED):
            tried[name] = _tried(name, made if floor is None else np.maximum(made, floor), actual)
    best = sorted(tried.values(), key=lambda one: one.score)[:COMBINED]
    if len(best) == COMBINED:
        tried["combination"] = _combined(best, actual)
    ordered = dict(sorted(tried.items(), key=lambda item: item[1].score))
    return Backtest(origins, actual, ordered, _steps(series, origins, season))


def _tried(name: str, made: Array, actual: Array) -> Tried:
    errors = actual - made[:-1, : actual.shape[1]]
    return Tried(name, errors, made[-1], score(errors))


def _combined(best: list[Tried], actual: Array) -> Tried:
    """The median of the best three."""
    errors = np.median([one.errors for one in best], axis=0)
    return Tried("combination", errors, np.median([one.ahead for one in best], axis=0), score(errors))


def score(errors: Array) -> float:
    """What methods are chosen by: the mean absolute error of the points and of the total, by point.

    By the points alone a series that is mostly 0 would be forecast as 0, and its total as nothing.
    """
    return float(np.mean(np.abs(errors)) + np.mean(np.abs(errors.mean(axis=1))))


def _steps(series: Array, origins: Whole, season: int) -> Array:
    """The mean absolute (seasonal) difference before each origin and before the end: half the last ones, half all."""
    lag = season if len(series) >= 2 * season else 1
    differences = np.abs(series[lag:] - series[:-lag])
    made = []
    for origin in (*origins, len(series)):
        before = differences[: max(origin - lag, 1)]
        made.append((before[-8 * max(season, 4) :].mean() + before.mean()) / 2)
    found: Array = np.maximum(np.array(made), 1e-12 * float(np.abs(series).max()) or 1.0)
    return found
