"""Prediction intervals from the errors of the backtest.

Split conformal prediction (Lei, G'Sell, Rinaldo, Tibshirani and Wasserman 2018): the interval is the point and the
quantiles of errors that were really made, which holds without a belief about their distribution. Errors grow with the
horizon and with how restless the series is, so they are first divided by both: by the usual step at their origin and
by c h^b, fitted to the root mean squares by horizon. The quantile's rank is raised for the small number of errors, and
once more because errors of one origin go together.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from apps.metrics.forecasting.batch import Array

LEVELS = (0.80, 0.95)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Lower and upper edge by horizon, of one level."""

    lower: Array
    upper: Array


@dataclass(frozen=True, slots=True)
class Growth:
    """The power of the horizon by which errors usually and at most grow, and what the choice of the method hides.

    The method is the one that did best on these very errors, so they are smaller than those to come: by `chosen` for
    one stretch, the less the more stretches there were. Found on generated series (bench/forecast.py), other seeds
    than those reported.
    """

    usual: float
    highest: float
    chosen: float


# Of a point: noise does not grow, a wandering level by the root. Of a sum: noise by the root, a wrong level as h.
OF_POINTS, OF_SUMS = Growth(0.25, 1.0, 0.25), Growth(1.0, 2.0, 0.6)
_PRIOR = 2.0


@dataclass(frozen=True, slots=True)
class Shape:
    """How errors grow: the root mean square at horizon h is c h^b."""

    c: float
    b: float

    def at(self, horizon: int) -> Array:
        made: Array = self.c * np.arange(1.0, horizon + 1.0) ** self.b
        return made


def shape_of(errors: Array, growth: Growth, windows: float) -> Shape:
    """Fit c h^b to errors (origins, horizon), weighted by 1/h since far horizons share most of their errors.

    The power is drawn towards the usual one as if that had been seen in two stretches more.
    """
    size = np.asarray(np.sqrt(np.mean(errors**2, axis=0)), dtype=np.float64)
    steps = np.arange(1, len(size) + 1)
    overall = float(np.sqrt(np.mean(errors**2)))
    known = size > 0
    if known.sum() < 3:
        return Shape(overall or 0.0, growth.usual)
    x, y = np.log(steps[known]), np.log(size[known])
    weights = 1 / steps[known]
    mean = np.average(x, weights=weights)
    spread = float(np.sum(weights * (x - mean) ** 2))
    b = float(np.sum(weights * (x - mean) * y)) / spread if spread > 0 else 0.0
    b = (min(max(b, 0.0), growth.highest) * windows + growth.usual * _PRIOR) / (windows + _PRIOR)
    # c makes the shape right on average.
    return Shape(float(np.sqrt(np.mean(errors**2) / np.mean(steps ** (2 * b)))), b)


def widened(level: float, count: float) -> float:
    """How much further out the quantile lies for few independent errors: Student's t by the normal quantile.

    By the expansion of Abramowitz and Stegun 26.7.5.
    """
    z = NormalDist().inv_cdf(0.5 + level / 2)
    v = max(count - 1, 1.5)
    t = z + (z**3 + z) / (4 * v) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
    return t / z


def bounds(
    errors: Array, steps: Array, now: float, horizon: int, growth: Growth, windows: float
) -> dict[float, Bounds]:
    """Distances from the point, negative below it, for each level.

    Args:
        errors: (origins, horizon) actual minus predicted.
        steps: the usual step of the series at each origin; `now`: at its end.
        windows: stretches of the backtest that do not overlap.
    """
    scaled = errors / steps[:, None]
    shape = shape_of(scaled, growth, windows)
    reach = now * shape.at(horizon)
    if shape.c == 0:
        nothing = np.zeros(horizon)
        return {level: Bounds(nothing, nothing) for level in LEVELS}
    pooled = np.sort((scaled / shape.at(errors.shape[1])).ravel())
    apart = np.sort(np.abs(pooled))
    count = windows if growth is OF_SUMS else independent(errors, windows)
    made = {}
    for level in LEVELS:
        wide = widened(level, count) * (1 + growth.chosen / windows)
        tail = (1 - level) / 2
        both = _quantile(apart, level)
        low = (_quantile(pooled, tail) - both) / 2
        high = (_quantile(pooled, 1 - tail) + both) / 2
        made[level] = Bounds(min(low, 0.0) * wide * reach, max(high, 0.0) * wide * reach)
    return made


def independent(errors: Array, windows: float) -> float:
    """So many errors as if each were independent.

    Origins lie closer than the horizon, so there are only `windows` stretches that do not overlap; inside one, errors
    count by the share of their variance that the stretch's mean does not explain.
    """
    within = float(np.mean(errors**2))
    common = float(np.mean(errors.mean(axis=1) ** 2)) / within if within > 0 else 1.0
    return windows / float(max(common, 1 / errors.shape[1]))


def _quantile(ordered: Array, rank: float) -> float:
    """The conformal quantile: rank (n + 1) p of n values, beyond the last one the last."""
    place = rank * (len(ordered) + 1) - 1
    return float(np.interp(place, np.arange(len(ordered)), ordered))


def coverage(errors: Array, steps: Array, growth: Growth, windows: float) -> dict[float, float]:
    """The part of the backtest's errors inside intervals made from the other origins' errors."""
    origins, horizon = errors.shape
    inside = dict.fromkeys(LEVELS, 0)
    slack = 1e-9 * float(np.abs(errors).max(initial=0.0))
    for one in range(origins):
        others = np.arange(origins) != one
        for level, made in bounds(errors[others], steps[others], float(steps[one]), horizon, growth, windows).items():
            inside[level] += int(np.sum((errors[one] >= made.lower - slack) & (errors[one] <= made.upper + slack)))
    return {level: count / errors.size for level, count in inside.items()}
