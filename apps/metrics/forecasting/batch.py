"""Many beginnings of one series at once: every method forecasts from all origins of the backtest in one pass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Whole = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows that hold the same series up to growing lengths.

    Args:
        values: (rows, points); what lies behind a row's length means nothing.
        lengths: of each row, ascending.
        season: points in a season, 1 for none.
    """

    values: Array
    lengths: Whole
    season: int

    @property
    def shortest(self) -> int:
        return int(self.lengths[0])

    def active(self) -> list[int]:
        """For each point, the first row that still holds it."""
        points = np.arange(self.values.shape[1])
        return [int(row) for row in np.searchsorted(self.lengths, points, side="right")]

    def row(self, number: int) -> Array:
        return self.values[number, : self.lengths[number]]

    def phases(self, horizon: int) -> Whole:
        """(rows, horizon): the place in the season of every point that is forecast."""
        found: Whole = (self.lengths[:, None] + np.arange(horizon)[None, :]) % self.season
        return found

    def replaced(self, values: Array) -> Batch:
        return Batch(values, self.lengths, self.season)


# Of an outlier: so many scaled median deviations away, and at most so many of its kind in the window.
FAR, FEW = 6.0, 2
_LEAST_SPREAD = 0.05


def make(series: Array, origins: Whole, season: int) -> Batch:
    """Rows up to each origin and up to the end, outliers taken out of each row by what that row knows."""
    lengths = np.append(origins, len(series))
    values = np.zeros((len(lengths), len(series)))
    for number, length in enumerate(lengths):
        values[number, :length] = without_outliers(series[:length], season)
    return Batch(values, lengths, season)


def without_outliers(series: Array, season: int) -> Array:
    """The series with lone outliers put to the median around them (Hampel's identifier).

    A point is one if it lies more than 6 scaled median deviations from the median of the two seasons around it and no
    more than two such points lie there: a third makes it a change of level. Around a median of 0 (mostly nothing)
    nothing is an outlier.
    """
    width = 2 * season + 1 if season > 1 else 15
    if len(series) < width or width > 61:
        return series
    windows = np.lib.stride_tricks.sliding_window_view(series, width)
    middle = np.median(windows, axis=1)
    spread = 1.4826 * np.median(np.abs(windows - middle[:, None]), axis=1)
    spread = np.maximum(spread, _LEAST_SPREAD * np.abs(middle))
    # The window of a point near an end is the first or the last one.
    place = np.clip(np.arange(len(series)) - width // 2, 0, len(windows) - 1)
    far = np.abs(series - middle[place]) > FAR * spread[place]
    far &= middle[place] != 0
    crowded = np.convolve(far, np.ones(width), mode="same") > FEW
    return np.where(far & ~crowded, middle[place], series)


def without_gaps(series: Array, season: int) -> Array:
    """The series with unknown points (NaN) filled: a line between known points of the same phase, else of any."""
    known = np.isfinite(series)
    if known.all():
        return series
    filled = series.copy()
    places = np.arange(len(series))
    for phase in range(season):
        of_phase = places % season == phase
        here = of_phase & known
        if here.sum() >= 2:
            filled[of_phase & ~known] = np.interp(places[of_phase & ~known], places[here], series[here])
    left = ~np.isfinite(filled)
    filled[left] = np.interp(places[left], places[known], series[known])
    return filled
