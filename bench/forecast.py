"""Forecasts beside naive and seasonal naive ones, and how often the intervals held.

    python -m bench.forecast [--seed 20261121]

Each series is cut before its end a few times; what follows the cut is not shown to the forecast. Generated series show
every kind of trend, season and noise; the real ones come with statsmodels (`pip install -e .[bench]`).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from apps.metrics.forecasting import accuracy, forecast
from bench.series import Array, Series, real, synthetic


@dataclass(frozen=True, slots=True)
class Result:
    """Of one series, over its windows: errors by method as (MASE, sMAPE), parts inside the intervals, milliseconds."""

    series: Series
    errors: dict[str, tuple[float, float]]
    inside: dict[str, float]
    milliseconds: float

    def ratio(self, other: str, measure: int = 0) -> float:
        mine, theirs = self.errors["forecast"][measure], self.errors[other][measure]
        return mine / theirs if theirs > 0 else 1.0


def measure(series: Series) -> Result:
    """Forecast every window of a series."""
    errors: dict[str, list[tuple[float, float]]] = {"forecast": [], "naive": [], "seasonal_naive": []}
    inside: dict[str, list[float]] = {name: [] for name in ("80", "95", "total 80", "total 95")}
    seconds = 0.0
    for window in range(series.windows):
        end = len(series.values) - window * series.step
        history, actual = series.values[: end - series.horizon], series.values[end - series.horizon : end]
        begun = time.perf_counter()
        floor = 0.0 if np.nanmin(series.values) >= 0 else None
        made = forecast(history, series.horizon, series.season, floor=floor)
        seconds += time.perf_counter() - begun
        known = np.isfinite(actual)
        plain = history[np.isfinite(history)]
        predictions = {
            "forecast": made.point,
            "naive": np.full(series.horizon, plain[-1]),
            "seasonal_naive": np.resize(plain[-series.season :], series.horizon),
        }
        for name, predicted in predictions.items():
            errors[name].append(_errors(actual[known], predicted[known], plain, series.season))
        total = float(actual.sum())
        for level in ("80", "95"):
            low, high = getattr(made, f"lower{level}"), getattr(made, f"upper{level}")
            inside[level].append(_inside(actual[known], low[known], high[known]))
            if known.all():
                low, high = getattr(made, f"total_lower{level}"), getattr(made, f"total_upper{level}")
                inside[f"total {level}"].append(_inside(np.array([total]), low[-1:], high[-1:]))
    means = {name: (_mean(one[0] for one in found), _mean(one[1] for one in found)) for name, found in errors.items()}
    held = {name: _mean(found) for name, found in inside.items()}
    return Result(series, means, held, seconds / series.windows * 1000)


def _errors(actual: Array, predicted: Array, history: Array, season: int) -> tuple[float, float]:
    return accuracy.mase(actual, predicted, history, season) or 0.0, accuracy.smape(actual, predicted)


def _inside(actual: Array, low: Array, high: Array) -> float:
    slack = 1e-9 * max(float(np.abs(actual).max()), 1e-9)
    return float(np.mean((actual >= low - slack) & (actual <= high + slack)))


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return float(np.mean(found)) if found else float("nan")


HEAD = f"{'':34} {'series':>6} {'MASE':>6} {'/s.naive':>8} {'wins':>5} {'/naive':>6} {'wins':>5} {'sMAPE/s.n.':>10}"
HEAD += f" {'80%':>6} {'95%':>6} {'sum 80':>6} {'sum 95':>6} {'ms':>5}"


def line(name: str, results: list[Result]) -> str:
    """Medians over series, parts of series that were better, means of coverage."""
    ratios = {other: [one.ratio(other) for one in results] for other in ("seasonal_naive", "naive")}
    cells = [f"{name:34}", f"{len(results):6}", f"{np.median([one.errors['forecast'][0] for one in results]):6.3f}"]
    for other, width in (("seasonal_naive", 8), ("naive", 6)):
        cells.append(f"{np.median(ratios[other]):{width}.3f} {np.mean(np.array(ratios[other]) < 1):5.0%}")
    cells.append(f"{np.median([one.ratio('seasonal_naive', 1) for one in results]):10.3f}")
    cells += [f"{np.nanmean([one.inside[key] for one in results]):6.1%}" for key in results[0].inside]
    return " ".join([*cells, f"{np.median([one.milliseconds for one in results]):5.0f}"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=20261121, help="of the generated series")
    arguments = parser.parse_args()
    made = [measure(series) for series in synthetic(arguments.seed)]
    print(HEAD)
    for group in dict.fromkeys(one.series.group for one in made):
        print(line(f"generated: {group}", [one for one in made if one.series.group == group]))
    print(line("generated: all", made))
    public = [measure(series) for series in real()]
    for one in public:
        print(line(one.series.name, [one]))
    print(line("real: all", public))
    print(line("all", [*made, *public]))


if __name__ == "__main__":
    main()
