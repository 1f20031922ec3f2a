"""Methods without parameters: what every better one has to beat (FPP3, section 5.2)."""

from __future__ import annotations

import numpy as np

from apps.metrics.forecasting.batch import Array, Batch

WEEKS = (2, 4, 8)
MEAN_OVER = 56


def simple(batch: Batch, horizon: int) -> dict[str, Array]:
    """naive, drift, mean and, with a season, seasonal_naive and seasonal_mean over so many seasons."""
    steps = np.arange(1, horizon + 1)
    rows = [batch.row(number) for number in range(len(batch.lengths))]
    last = np.array([row[-1] for row in rows])[:, None]
    slope = np.array([(row[-1] - row[0]) / max(len(row) - 1, 1) for row in rows])[:, None]
    found = {
        "naive": np.repeat(last, horizon, axis=1),
        "drift": last + slope * steps,
        "mean": np.repeat(np.array([row[-MEAN_OVER:].mean() for row in rows])[:, None], horizon, axis=1),
    }
    season = batch.season
    if season > 1 and batch.shortest >= season:
        found["seasonal_naive"] = np.stack([_repeated(row[-season:], horizon) for row in rows])
        for count in WEEKS:
            if batch.shortest >= count * season:
                means = [row[-count * season :].reshape(count, season).mean(axis=0) for row in rows]
                found[f"seasonal_mean_{count}"] = np.stack([_repeated(mean, horizon) for mean in means])
    return found


def _repeated(one: Array, horizon: int) -> Array:
    return np.resize(one, horizon)
