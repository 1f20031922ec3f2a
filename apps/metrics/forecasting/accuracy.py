"""Measures of error, each with what it means where it cannot be computed."""

from __future__ import annotations

import numpy as np

from apps.metrics.forecasting.batch import Array


def mape(actual: Array, predicted: Array) -> float | None:
    """Mean of |actual - predicted| / |actual| in percent, over the points whose actual value is not 0.

    None where all are 0: the measure has no value there (Hyndman and Koehler 2006).
    """
    counted = actual != 0
    if not counted.any():
        return None
    return float(np.mean(np.abs((actual - predicted)[counted] / actual[counted])) * 100)


def smape(actual: Array, predicted: Array) -> float:
    """Mean of 2 |actual - predicted| / (|actual| + |predicted|) in percent, 0 to 200; 0 where both are 0."""
    size = np.abs(actual) + np.abs(predicted)
    apart = np.abs(actual - predicted)
    return float(np.mean(np.divide(2 * apart, size, out=np.zeros_like(apart), where=size > 0)) * 100)


def scale(history: Array, season: int) -> float:
    """What MASE divides by: the mean absolute error of the (seasonal) naive method inside the history."""
    lag = season if len(history) > season else 1
    if len(history) <= lag:
        return 0.0
    return float(np.mean(np.abs(history[lag:] - history[:-lag])))


def mase(actual: Array, predicted: Array, history: Array, season: int) -> float | None:
    """Mean absolute error by `scale` (Hyndman and Koehler 2006); None where the history never changed."""
    by = scale(history, season)
    return float(np.mean(np.abs(actual - predicted))) / by if by > 0 else None
