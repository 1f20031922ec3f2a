"""Methods on the seasonally adjusted series: the season is taken out, the rest is forecast, the season put back.

Theta: Assimakopoulos and Nikolopoulos (2000), in the form of simple smoothing with drift of Hyndman and Billah (2003).
"""

from __future__ import annotations

import numpy as np

from apps.metrics.forecasting.batch import Array, Batch
from apps.metrics.forecasting.smoothing import FAMILIES, best, positive, smooth

# Seasons that the pattern is taken from: newer habits count, one odd week does not.
MOST_SEASONS = 10
# Points that the line of Theta is laid through, in seasons' lengths.
_LINE_POINTS = 120


def decomposed(batch: Batch, horizon: int) -> dict[str, Array]:
    """theta and adjusted_damped; without a season, theta alone."""
    if batch.season < 2 or batch.shortest < 2 * batch.season:
        return {"theta": theta(batch, horizon)} if batch.shortest >= 4 else {}
    found = {}
    kinds = ("additive", "multiplicative") if positive(batch.row(-1)) else ("additive",)
    for kind in kinds:
        ratio = kind == "multiplicative"
        patterns = np.stack([seasonal_pattern(batch.row(n), batch.season, ratio) for n in range(len(batch.lengths))])
        places = np.arange(batch.values.shape[1]) % batch.season
        whole = patterns[:, places]
        adjusted = batch.replaced(batch.values / whole if ratio else batch.values - whole)
        ahead = np.take_along_axis(patterns, batch.phases(horizon), axis=1)
        family = FAMILIES["damped_trend"]
        for name, made in (
            ("theta", theta(adjusted, horizon)),
            ("adjusted_damped", best(smooth(adjusted, family), family, horizon)),
        ):
            found[f"{name}_{kind}"] = made * ahead if ratio else made + ahead
    return found


def theta(batch: Batch, horizon: int) -> Array:
    """Simple smoothing with a drift of half the slope of the line through the points."""
    family = FAMILIES["simple_smoothing"]
    states = smooth(batch, family)
    chosen = np.argmin(states.errors, axis=1)
    level = states.level[np.arange(len(chosen)), chosen]
    alpha = family[chosen, 0]
    slopes = np.array([slope(batch.row(number)) for number in range(len(batch.lengths))])
    left = (1 - (1 - alpha) ** batch.lengths) / alpha
    steps = np.arange(horizon)[None, :] + left[:, None]
    made: Array = level[:, None] + slopes[:, None] / 2 * steps
    return made


def slope(row: Array) -> float:
    """Of the least-squares line."""
    row = row[-_LINE_POINTS:]
    places = np.arange(len(row)) - (len(row) - 1) / 2
    return float(places @ row / max(float(places @ places), 1.0))


def seasonal_pattern(row: Array, season: int, ratio: bool) -> Array:
    """By phase (point number modulo season), what is typical beside the centred moving average.

    The median over the last seasons, shrunk where it explains little, so that a series without a season keeps none;
    differences add up to 0, ratios average 1.
    """
    row_start = max(0, len(row) - MOST_SEASONS * season) // season * season
    part = row[row_start:]
    smoothed = moving_average(part, season)
    apart = part / np.maximum(smoothed, 1e-9) if ratio else part - smoothed
    places = np.arange(len(part)) % season
    pattern = np.array([np.median(apart[places == phase]) for phase in range(season)])
    noise = apart - pattern[places]
    centre = 1.0 if ratio else 0.0
    # James-Stein: a phase's figure of pure noise has this variance.
    explained = float(np.mean((pattern - pattern.mean()) ** 2))
    by_chance = float(np.var(noise)) * season / len(part) * 1.5
    kept = max(0.0, 1 - by_chance / explained) if explained > 0 else 0.0
    pattern = (pattern / pattern.mean()) if ratio and pattern.mean() > 0 else pattern - pattern.mean()
    made: Array = centre + kept * (pattern - centre)
    return np.maximum(made, 0.02) if ratio else made


def moving_average(row: Array, season: int) -> Array:
    """Centred over one season (an even one with half weights at its ends), its first and last values held."""
    weights = np.ones(season) if season % 2 else np.concatenate(([0.5], np.ones(season - 1), [0.5]))
    inner = np.convolve(row, weights / season, mode="valid")
    before = (len(row) - len(inner)) // 2
    return np.pad(inner, (before, len(row) - len(inner) - before), mode="edge")
