"""Exponential smoothing in its error-correction form (Hyndman and Athanasopoulos, FPP3, chapter 8), over a grid.

One pass over the points moves the states of every row and every parameter set; a row's state stays where its points
end. Of each family a row takes the parameters with the least squared one-step error over its own points.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from apps.metrics.forecasting.batch import Array, Batch

Grid = Array  # (parameter sets, 4): alpha, beta as a part of alpha, phi, gamma
_TINY = 1e-9


@dataclass(frozen=True, slots=True)
class States:
    """Where a pass ended: (rows, sets) of level, trend and mean squared error; (rows, sets, season) of seasons."""

    level: Array
    trend: Array
    errors: Array
    seasons: Array | None = None


def grid(alphas: tuple[float, ...], trends: tuple[tuple[float, float], ...], gammas: tuple[float, ...] = (0,)) -> Grid:
    """Every combination; a trend is (beta, phi)."""
    return np.array([(alpha, beta, phi, gamma) for alpha, (beta, phi), gamma in product(alphas, trends, gammas)])


ALPHAS = (0.03, 0.08, 0.15, 0.3, 0.5, 0.7, 0.95)
FAMILIES: dict[str, Grid] = {
    "simple_smoothing": grid(ALPHAS, ((0, 0),)),
    "holt": grid(ALPHAS[1:], ((0.03, 1), (0.1, 1), (0.3, 1))),
    "damped_trend": grid(ALPHAS[1:], ((0.1, 0.95), (0.3, 0.95), (0.1, 0.85), (0.3, 0.85))),
}
_SEASON_ALPHAS, _GAMMAS = (0.03, 0.1, 0.25, 0.5, 0.8), (0.03, 0.12, 0.3)
SEASONAL: dict[str, Grid] = {
    "": grid(_SEASON_ALPHAS, ((0, 0),), _GAMMAS),
    "_damped": grid(_SEASON_ALPHAS, ((0.1, 0.95), (0.03, 0.98)), _GAMMAS),
}


def smoothing(batch: Batch, horizon: int) -> dict[str, Array]:
    """simple_smoothing, holt and damped_trend."""
    return {
        name: best(smooth(batch, family), family, horizon) for name, family in FAMILIES.items() if batch.shortest >= 4
    }


def holt_winters(batch: Batch, horizon: int) -> dict[str, Array]:
    """Additive and, of a series that is always well above 0, multiplicative seasons; each flat and damped."""
    season = batch.season
    if season < 2 or batch.shortest < 2 * season:
        return {}
    found = {}
    final = batch.row(-1)
    kinds = ("additive", "multiplicative") if positive(final) else ("additive",)
    for kind, (suffix, family) in product(kinds, SEASONAL.items()):
        states = smooth_seasons(batch, family, multiplicative=kind == "multiplicative")
        made = best(states, family, horizon)
        chosen = np.argmin(states.errors, axis=1)
        assert states.seasons is not None
        seasons = states.seasons[np.arange(len(chosen)), chosen]
        pattern = np.take_along_axis(seasons, batch.phases(horizon), axis=1)
        name = f"holt_winters_{kind}{suffix}"
        found[name] = made * pattern if kind == "multiplicative" else made + pattern
    return found


def positive(series: Array) -> bool:
    """Whether ratios mean something: no point is near 0 beside the others."""
    return bool(series.min() > 0.02 * series.mean() > 0)


def best(states: States, family: Grid, horizon: int) -> Array:
    """(rows, horizon): level and damped trend of each row's best parameter set."""
    chosen = np.argmin(states.errors, axis=1)
    rows = np.arange(len(chosen))
    phi = family[chosen, 2]
    damped = np.cumsum(phi[:, None] ** np.arange(1, horizon + 1), axis=1)
    made: Array = states.level[rows, chosen, None] + damped * states.trend[rows, chosen, None]
    return made


def smooth(batch: Batch, family: Grid) -> States:
    """A pass without seasons."""
    alpha, beta, phi, _ = family.T
    shape = (len(batch.lengths), len(family))
    count = max(1, min(10, batch.shortest // 3))
    level = np.repeat(batch.values[:, :count].mean(axis=1)[:, None], len(family), axis=1)
    trend, errors = np.zeros(shape), np.zeros(shape)
    slope_gain = alpha * beta
    for point, first in enumerate(batch.active()):
        moved = phi * trend[first:]
        ahead = level[first:] + moved
        error = batch.values[first:, point, None] - ahead
        level[first:] = ahead + alpha * error
        trend[first:] = moved + slope_gain * error
        if point >= count:
            errors[first:] += error * error
    return States(level, trend, errors)


def smooth_seasons(batch: Batch, family: Grid, *, multiplicative: bool) -> States:
    """A pass with seasons, additive (A, Ad, A) or multiplicative (M, Ad, M)."""
    alpha, beta, phi, gamma = family.T
    season = batch.season
    rows, sets = len(batch.lengths), len(family)
    start = batch.values[:, : 2 * season].reshape(rows, 2, season)
    base = start.mean(axis=(1, 2))
    pattern = start.mean(axis=1)
    pattern = pattern / np.maximum(base, _TINY)[:, None] if multiplicative else pattern - base[:, None]
    level = np.repeat(base[:, None], sets, axis=1)
    trend, errors = np.zeros((rows, sets)), np.zeros((rows, sets))
    seasons = np.repeat(pattern[:, None, :], sets, axis=1)
    for point, first in enumerate(batch.active()):
        phase = point % season
        moved = phi * trend[first:]
        ahead = level[first:] + moved
        cycle = seasons[first:, :, phase]
        if multiplicative:
            ahead = np.maximum(ahead, _TINY)
            expected = ahead * cycle
            error = batch.values[first:, point, None] - expected
            share = error / np.maximum(expected, _TINY)
            level[first:] = ahead * (1 + alpha * share)
            trend[first:] = moved + alpha * beta * ahead * share
            seasons[first:, :, phase] = cycle * (1 + gamma * share)
        else:
            error = batch.values[first:, point, None] - ahead - cycle
            level[first:] = ahead + alpha * error
            trend[first:] = moved + alpha * beta * error
            seasons[first:, :, phase] = cycle + gamma * (1 - alpha) * error
        if point >= season:
            errors[first:] += error * error
    return States(level, trend, errors, seasons)
