"""Series to forecast: made by rules from seeds, and real public ones that statsmodels ships."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
TRENDS = ("flat", "linear", "growing", "falling")
SEASONS = ("none", "weekday", "workweek")
KINDS = ("quiet", "noisy", "skewed", "wandering", "shifts", "spikes", "intermittent")
LENGTHS = (75, 180, 430)


@dataclass(frozen=True, slots=True)
class Series:
    """A series, its season's length, the horizon it is forecast by; windows at its end, `step` apart, are held out."""

    name: str
    group: str
    values: Array
    season: int
    horizon: int
    windows: int = 3
    step: int = 15


def synthetic(seed: int) -> Iterator[Series]:
    """Trend x season x kind of noise, daily, their lengths in turn: the same seed makes the same series."""
    for number, (trend, season, kind) in enumerate(product(TRENDS, SEASONS, KINDS)):
        length = LENGTHS[number % len(LENGTHS)]
        rng = np.random.default_rng([seed, number])
        yield Series(f"{trend} {season} {kind} {length}", kind, _made(rng, trend, season, kind, length), 7, 30)


def _made(rng: np.random.Generator, trend: str, season: str, kind: str, length: int) -> Array:
    days = np.arange(length)
    level = {
        "flat": np.ones(length),
        "linear": 1 + rng.uniform(0.5, 2) * days / length,
        "growing": np.exp(rng.uniform(0.3, 1.5) * days / length),
        "falling": np.exp(-rng.uniform(0.3, 1.2) * days / length),
    }[trend]
    if season == "weekday":
        pattern = 1 + rng.uniform(0.1, 0.4) * rng.normal(size=7)
        level = level * np.maximum(pattern, 0.2)[(days + rng.integers(7)) % 7]
    elif season == "workweek":
        level = level * np.where((days + rng.integers(7)) % 7 < 5, 1.0, rng.uniform(0.05, 0.5))
    values = rng.uniform(1, 1000) * level * _noise(rng, kind, length)
    return np.maximum(values, 0)


def _noise(rng: np.random.Generator, kind: str, length: int) -> Array:
    if kind == "quiet":
        return 1 + 0.03 * rng.normal(size=length)
    if kind == "noisy":
        return 1 + 0.2 * rng.normal(size=length)
    if kind == "skewed":
        return rng.lognormal(0, 0.5, length)
    if kind == "wandering":
        return np.asarray(np.exp(np.cumsum(rng.normal(0, 0.04, length))) * rng.lognormal(0, 0.05, length))
    base = np.asarray(rng.lognormal(0, 0.1, length))
    if kind == "shifts":
        for place in rng.choice(length, size=max(1, length // 120), replace=False):
            base[place:] *= rng.uniform(0.5, 2)
    elif kind == "spikes":
        base[rng.random(length) < 0.015] *= rng.uniform(4, 10)
    elif kind == "intermittent":
        base *= rng.random(length) < rng.uniform(0.2, 0.6)
    return base


def real() -> Iterator[Series]:
    """Public series that come with statsmodels: nobody has to fetch anything."""
    from statsmodels import datasets

    sunspots = datasets.sunspots.load_pandas().data["SUNACTIVITY"].to_numpy(float)
    yield Series("sunspots, yearly", "real", sunspots, 11, 11, 8, 11)
    nile = datasets.nile.load_pandas().data["volume"].to_numpy(float)
    yield Series("flow of the Nile, yearly", "real", nile, 1, 8, 6, 8)
    weekly = datasets.co2.load_pandas().data["co2"]
    yield Series("CO2 at Mauna Loa, monthly", "real", weekly.resample("MS").mean().to_numpy(float), 12, 18, 8, 18)
    elnino = datasets.elnino.load_pandas().data.drop(columns="YEAR").to_numpy(float).ravel()
    yield Series("sea surface, El Nino, monthly", "real", elnino, 12, 18, 8, 18)
    macro = datasets.macrodata.load_pandas().data
    for column in ("realgdp", "realcons", "realinv", "realdpi", "cpi", "m1", "tbilrate", "unemp"):
        yield Series(f"US {column}, quarterly", "real", macro[column].to_numpy(float), 4, 8, 8, 8)
    danish = datasets.danish_data.load_pandas().data
    for column in ("lrm", "lry"):
        yield Series(f"Danish {column}, quarterly", "real", danish[column].to_numpy(float), 4, 6, 3, 6)
    german = datasets.interest_inflation.load_pandas().data
    yield Series("German inflation (Dp), quarterly", "real", german["Dp"].to_numpy(float), 4, 8, 8, 8)
