"""Is a series going up, going down, or cannot one tell? Rank tests that need no normal distribution.

Three tests, chosen by the interval and the length of the series alone, never by their result:

- `mann_kendall` where no season repeats: S = sum of sign(x_j - x_i) over i < j.
- `mann_kendall_weekdays_removed`, days over two weeks and more: the same on the series less each weekday's median.
- `seasonal_kendall`, parts of days over two days and more: S is added up within each time of day, and the variance has
  the covariances between these, so that what happens to a whole day counts once and not 24 times.

The slope is Sen's: the median of the slopes of all compared pairs, with his interval. The first two tests widen the
variance of S by what the autocorrelation of successive points makes of it.

Sources: Mann, Econometrica 13 (1945) 245-259; Kendall, Rank Correlation Methods, 4th ed. 1975 (ties); Theil 1950; Sen,
JASA 63 (1968) 1379-1389; Hirsch, Slack & Smith, Water Resources Research 18 (1982) 107-121; Hirsch & Slack, ibid. 20
(1984) 727-732 (covariances); Hamed & Rao, Journal of Hydrology 204 (1998) 182-196 (variance under autocorrelation);
Yue & Wang, Water Resources Management 18 (2004) 201-218 (lag one of the series less its trend); Marriott & Pope,
Biometrika 41 (1954) 390-402 (bias of an autocorrelation).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from apps.metrics.significance import normal_quantile, normal_two_sided

MIN_POINTS = 10
MIN_CYCLES = 4
DAY = timedelta(days=1)
Floats = NDArray[np.float64]
Method = Literal["mann_kendall", "mann_kendall_weekdays_removed", "seasonal_kendall"]


@dataclass(frozen=True, slots=True)
class Trend:
    """What a test found.

    Args:
        n: points with a value.
        steps: from the first point to the last.
        cycles: full seasons, 0 where none was taken into account.
        s: the statistic, tau the same divided by the number of pairs compared.
        inflation: the variance used by that of independent values.
        slope: per step; low and high its interval.
    """

    method: Method
    n: int
    steps: int
    cycles: int
    s: float
    tau: float
    variance: float
    inflation: float
    p: float
    slope: float
    low: float
    high: float


def pairs_of(values: Floats) -> tuple[Floats, Floats]:
    """Differences and distances of all pairs of values that are there."""
    at = np.flatnonzero(~np.isnan(values))
    first, second = np.triu_indices(len(at), 1)
    return values[at[second]] - values[at[first]], (at[second] - at[first]).astype(np.float64)


def kendall_variance(values: Floats) -> float:
    """Var(S) of independent values: (n (n-1) (2n+5) - sum over ties t (t-1) (2t+5)) / 18."""
    known = values[~np.isnan(values)]
    n = float(len(known))
    ties = np.unique(known, return_counts=True)[1].astype(np.float64)
    return float((n * (n - 1) * (2 * n + 5) - (ties * (ties - 1) * (2 * ties + 5)).sum()) / 18)


def _p_value(s: float, variance: float) -> float:
    """Two-sided, with the continuity correction."""
    if variance <= 0:
        return 1.0
    return normal_two_sided(max(0.0, abs(s) - 1.0) / math.sqrt(variance))


def _sen(slopes: Floats, variance: float, alpha: float) -> tuple[float, float, float]:
    """The median slope and its interval: the slopes of the ranks (N -+ z sqrt(Var S)) / 2."""
    ordered = np.sort(slopes)
    count = len(ordered)
    reach = normal_quantile(1 - alpha / 2) * math.sqrt(max(variance, 0.0))
    low = max(0, math.floor((count - reach) / 2) - 1)
    high = min(count - 1, math.ceil((count + reach) / 2))
    return float(np.median(ordered)), float(ordered[low]), float(ordered[high])


def _ranks(values: Floats) -> Floats:
    """Mid-ranks of the values that are there, NaN elsewhere."""
    made = np.full(len(values), np.nan)
    known = ~np.isnan(values)
    _, inverse, counts = np.unique(values[known], return_inverse=True, return_counts=True)
    ends = counts.cumsum()
    made[known] = (ends - (counts - 1) / 2.0)[inverse]
    return made


def inflation_of(values: Floats, slope: float, fitted: int) -> float:
    """By how much autocorrelation widens Var(S), at least 1.

    1 + 2 / (n (n-1) (n-2)) * sum over lags k of (n-k) (n-k-1) (n-k-2) r^k (Hamed & Rao's weights), where r is the
    lag-one autocorrelation of the ranks of the series less its trend. An estimate of r is too low by about
    (2 + fitted) / n for a trend and `fitted` further levels taken out, so r = (n r_1 + 2 + fitted) / (n - 4 - fitted),
    between 0 and 0.98: without this a series with r = 0.6 and no trend is called one in every fourth case.
    """
    ranks = _ranks(values - slope * np.arange(len(values)))
    n = int((~np.isnan(ranks)).sum())
    centred = np.nan_to_num(ranks - np.nanmean(ranks))
    power = float(centred @ centred)
    if n <= 4 + fitted or power == 0:
        return 1.0
    first = float(centred[:-1] @ centred[1:]) / power
    r = min(max((n * first + 2 + fitted) / (n - 4 - fitted), 0.0), 0.98)
    lags = np.arange(1, n - 2)
    weights = (n - lags) * (n - lags - 1.0) * (n - lags - 2.0)
    return 1.0 + 2.0 / (n * (n - 1.0) * (n - 2.0)) * float(weights @ r**lags)


def mann_kendall(values: Floats, alpha: float = 0.05) -> Trend:
    """Mann-Kendall with the tie correction, for autocorrelated points; from 10 of them on."""
    return _kendall(values, alpha, "mann_kendall", min(4, len(values) // 6), 0)


def without_seasons(values: Floats, season: int, alpha: float = 0.05) -> Trend:
    """Mann-Kendall on the series less the level of each place in the season; from two full seasons on.

    The levels are medians of what remains of the series without its slope, which is the median slope between equal
    places of the season: levels of the series itself would swallow a part of its trend.
    """
    slopes = []
    for place in range(season):
        differences, distances = pairs_of(values[place::season])
        slopes.append(differences / (distances * season))
    together = np.concatenate(slopes)
    rest = values - (float(np.median(together)) if len(together) else 0.0) * np.arange(len(values))
    level = values.copy()
    for place in range(season):
        members = rest[place::season]
        if not np.isnan(members).all():
            level[place::season] -= np.nanmedian(members)
    return _kendall(
        level, alpha, "mann_kendall_weekdays_removed", 6 if len(values) < 4 * season else 4, len(values) // season
    )


def _kendall(values: Floats, alpha: float, method: Method, fitted: int, cycles: int) -> Trend:
    differences, distances = pairs_of(values)
    slopes = differences / distances
    s = float(np.sign(differences).sum())
    plain = kendall_variance(values)
    inflation = inflation_of(values, float(np.median(slopes)), fitted)
    variance = plain * inflation
    slope, low, high = _sen(slopes, variance, alpha)
    n = int((~np.isnan(values)).sum())
    p = _p_value(s, variance)
    return Trend(method, n, len(values) - 1, cycles, s, s / len(slopes), variance, inflation, p, slope, low, high)


def seasonal_kendall(values: Floats, season: int, alpha: float = 0.05) -> Trend:
    """Seasonal Kendall: S within each season, its variance with the covariances between seasons.

    cov(g, h) = (K_gh + 4 sum_i R_ig R_ih - n (n_g + 1) (n_h + 1)) / 3 with K_gh the sum over pairs of cycles of
    sign((x_jg - x_ig) (x_jh - x_ih)) and R_ig = (n_g + 1 + sum_j sign(x_ig - x_jg)) / 2, gaps counting 0 in both.
    """
    cycles = -(-len(values) // season)
    padded = np.full(cycles * season, np.nan)
    padded[: len(values)] = values
    table: NDArray[np.float64] = padded.reshape(cycles, season)
    first, second = np.triu_indices(cycles, 1)
    differences = table[second] - table[first]
    known = ~np.isnan(differences)
    slopes = (differences / ((second - first) * float(season))[:, None])[known]
    signs = np.where(known, np.sign(differences), 0.0)
    s = float(signs.sum())
    single, covariance = _covariances(table, signs)
    variance = max(single, covariance)
    slope, low, high = _sen(slopes, variance, alpha)
    return Trend(
        method="seasonal_kendall",
        n=int((~np.isnan(values)).sum()),
        steps=len(values) - 1,
        cycles=len(values) // season,
        s=s,
        tau=s / len(slopes),
        variance=variance,
        inflation=variance / single if single else 1.0,
        p=_p_value(s, variance),
        slope=slope,
        low=low,
        high=high,
    )


def _covariances(table: Floats, signs: Floats) -> tuple[float, float]:
    """Var(S) of a table of (cycle, season): of independent seasons, and with the covariances between them."""
    cycles, season = table.shape
    counts = (~np.isnan(table)).sum(axis=0).astype(np.float64)
    ranks = np.empty((cycles, season))
    for cycle in range(cycles):
        above = np.nan_to_num(np.sign(table[cycle] - table))
        ranks[cycle] = (counts + 1 + above.sum(axis=0)) / 2
    shared = signs.T @ signs
    covariance = (shared + 4 * ranks.T @ ranks - cycles * np.outer(counts + 1, counts + 1)) / 3
    single = np.array([kendall_variance(table[:, place]) for place in range(season)])
    np.fill_diagonal(covariance, single)
    return float(single.sum()), float(covariance.sum())


def trend_of(values: Floats, step: timedelta, alpha: float = 0.05) -> Trend | str:
    """The test that fits a series of evenly spaced values (NaN where there is none), or why there is none.

    Parts of days over two days and more are compared with the same time of other days, days over two weeks and more
    less their weekday's median. The first takes four days at least: of three no order is rarer than chance.
    """
    known = int((~np.isnan(values)).sum())
    if known < MIN_POINTS:
        return f"{known} points with a value; a trend takes {MIN_POINTS}"
    if step < DAY and len(values) >= 2 * (DAY // step):
        season = DAY // step
        if len(values) < MIN_CYCLES * season:
            return f"{len(values) // season} whole days; hours of days take {MIN_CYCLES} of them"
        if not _repeats(values, season):
            return "no time of day has values on two days"
        return seasonal_kendall(values, season, alpha)
    if step == DAY and len(values) >= 14:
        return without_seasons(values, 7, alpha)
    return mann_kendall(values, alpha)


def _repeats(values: Floats, season: int) -> bool:
    """Whether some place of the season has two values."""
    return any(int((~np.isnan(values[place::season])).sum()) > 1 for place in range(season))
