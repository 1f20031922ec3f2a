"""Forecasts of a series with intervals, chosen and measured by a backtest. docs/forecast.md says how.

numpy alone: statsmodels would cost every process 190 MB and its first request three seconds.
"""

from __future__ import annotations

from apps.metrics.forecasting.forecast import MOST_POINTS, Forecast, NotEnough, forecast

__all__ = ["MOST_POINTS", "Forecast", "NotEnough", "forecast"]
