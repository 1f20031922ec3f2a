"""The trends report: which metrics go up or down over a range, and which only seem to.

The tests are those of apps.metrics.trend; the p-values of one answer are adjusted by Holm's method, since of twenty
metrics one would be called rising by chance. One question: all metrics by bucket.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np

from apps.common.reads import reading
from apps.common.reads.reading import Problems
from apps.metrics import params
from apps.metrics.buckets import STEPS
from apps.metrics.reports.base import RANGE_PARAMETERS, Asking, Report, base_spec, made
from apps.metrics.significance import holm
from apps.metrics.spec import MetricRef, QuerySpec
from apps.metrics.trend import Floats, Trend, trend_of
from apps.orgs.scopes import Scope

PARAMETERS = (*RANGE_PARAMETERS, "timezone", "metrics", "aggregation", "interval", "granularity", "alpha")
DEFAULT = ("request_count", "error_rate", "duration", "ttft", "tokens_per_second", "total_cost", "total_tokens")
MOST_METRICS = 10
MAX_POINTS = 1_100
FLAT_PCT = 5.0
COUNTED = "bucket_requests"
_MONTH = timedelta(days=30.436875)


def from_query(source: Mapping[str, str], scope: Scope, now: datetime) -> tuple[QuerySpec, float]:
    """The question behind the parameters, and the level of significance."""
    problems = Problems()
    start, end = problems.take(lambda: reading.time_range(source, now, params.DEFAULT_RANGE), (now, now))
    default = _interval(end - start)
    interval = problems.take(lambda: params.interval_of(source, default), default) or default
    alpha = problems.take(lambda: alpha_of(source.get("alpha")), 0.05)
    metrics = problems.take(lambda: _metrics(source), ())
    spec = base_spec(source, scope, now, problems, interval=interval)
    points = len(spec.buckets.starts) if spec.buckets else 0
    if points > MAX_POINTS:
        fitting = next(name for name, step in STEPS.items() if (end - start) / step < MAX_POINTS)
        message = f"A trend is computed over at most {MAX_POINTS} points; interval {fitting} would fit."
        raise reading.bad("interval", message, 1204, fitting_interval=fitting)
    return replace(spec, metrics=metrics), alpha


def _interval(span: timedelta) -> str:
    """Quarters of an hour below two days, days from four weeks on, hours between."""
    if span < timedelta(days=2):
        return "15min"
    return "1hour" if span < timedelta(days=28) else "1day"


def alpha_of(value: Any) -> float:
    """The level of significance, 0.0001 to 0.5."""
    alpha = 0.05 if value is None else float(reading.number(value, "alpha"))
    if not 0.0001 <= alpha <= 0.5:
        raise reading.bad("alpha", "alpha must be from 0.0001 to 0.5.")
    return alpha


def _metrics(source: Mapping[str, str]) -> tuple[MetricRef, ...]:
    names = list(dict.fromkeys(name for name in source.get("metrics", ",".join(DEFAULT)).split(",") if name))
    if not 1 <= len(names) <= MOST_METRICS:
        raise reading.bad("metrics", f"1 to {MOST_METRICS} metrics.", 1205)
    how = source.get("aggregation")
    return tuple(params.reference(name, how, name) for name in names)


def trends(base: QuerySpec, alpha: float = 0.05) -> Report:
    """The report of a question's range, projects, filters, interval and metrics.

    Raises:
        ApiError: as `runner.answer`.
    """
    counted = MetricRef("request_count", "sum", COUNTED)

    def make(asking: Asking) -> dict[str, Any]:
        rows = asking.rows(replace(base, metrics=(counted, *base.metrics)))
        moments, series = whole_buckets(base, rows)
        found = [trend_of(series[ref.alias], _step(base), alpha) for ref in base.metrics]
        adjusted = iter(holm([test.p for test in found if isinstance(test, Trend)]))
        data = []
        for ref, test in zip(base.metrics, found, strict=True):
            p = next(adjusted) if isinstance(test, Trend) else None
            data.append(_row(ref, test, p, series[ref.alias], base, alpha))
        columns = {ref.metric: series[ref.alias] for ref in base.metrics}
        shown = [
            {"timestamp": moment, **{name: _shown(values[at]) for name, values in columns.items()}}
            for at, moment in enumerate(moments)
        ]
        return {"data": data, "series": shown}

    return made(base, make)


def whole_buckets(spec: QuerySpec, rows: Sequence[Mapping[str, Any]]) -> tuple[list[datetime], dict[str, Floats]]:
    """The buckets that lie in the range as a whole, from the first with a request on, and the values in them.

    Half a bucket would look like a fall; what lies before a project's first request is no history of it. A bucket
    without requests counts 0 where the value is a number of things, else it has none.
    """
    buckets = spec.buckets
    if buckets is None:
        raise TypeError("a trend takes an interval")
    whole = [low for low, high in pairwise(buckets.edges) if low >= spec.start and high <= spec.end]
    known = {row["timestamp"]: row for row in rows}
    first = next((at for at, moment in enumerate(whole) if moment in known), len(whole))
    moments = whole[first:]
    series = {}
    for ref in spec.metrics:
        empty = 0.0 if ref.aggregation in ("sum", "count") or ref.metric == "throughput" else np.nan
        values = [_number(known[moment][ref.alias]) if moment in known else empty for moment in moments]
        series[ref.alias] = np.array(values, dtype=np.float64)
    return moments, series


def _number(value: Any) -> float:
    return np.nan if value is None else float(value)


def _shown(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _step(spec: QuerySpec) -> timedelta:
    """The distance of two points; of months their mean."""
    return _MONTH if spec.interval == "1month" else STEPS[spec.interval or "1day"]


def direction_of(test: Trend, p: float, alpha: float, level: float) -> str:
    """`up` or `down` if the adjusted p is below alpha; `flat` if the slope's interval over the whole range stays within
    5% of the median; else `unclear`: what is not significant is not therefore constant.
    """
    if p < alpha:
        return "up" if test.s > 0 else "down"
    reach = max(abs(test.low), abs(test.high)) * test.steps
    return "flat" if reach == 0 or (level and reach <= abs(level) * FLAT_PCT / 100) else "unclear"


def _row(
    ref: MetricRef, test: Trend | str, p: float | None, values: Floats, spec: QuerySpec, alpha: float
) -> dict[str, Any]:
    entry = params.metric(ref.metric)
    known = values[~np.isnan(values)]
    level = float(np.median(known)) if len(known) else None
    row: dict[str, Any] = {
        "metric": ref.metric,
        "aggregation": ref.aggregation,
        "unit": entry.unit,
        "direction": "not_enough_data",
        "reason": test if isinstance(test, str) else None,
        "points": len(known),
        "median": _rounded(level),
    }
    names = ("method", "cycles", "tau", "p_value", "p_adjusted", "variance_inflation", "slope_per_day")
    row |= dict.fromkeys((*names, "slope_per_day_low", "slope_per_day_high", "slope_pct_per_day"))
    if isinstance(test, str) or p is None or level is None:
        return row
    days = _step(spec) / timedelta(days=1)
    slope, low, high = (value / days for value in (test.slope, test.low, test.high))
    return row | {
        "direction": direction_of(test, p, alpha, level),
        "method": test.method,
        "cycles": test.cycles,
        "tau": _rounded(test.tau),
        "p_value": _rounded(test.p),
        "p_adjusted": _rounded(p),
        "variance_inflation": _rounded(test.inflation),
        "slope_per_day": _rounded(slope),
        "slope_per_day_low": _rounded(low),
        "slope_per_day_high": _rounded(high),
        "slope_pct_per_day": round(slope / abs(level) * 100, 4) if level else None,
    }


def _rounded(value: float | None) -> float | None:
    """Nine significant digits: what is estimated has no more."""
    return None if value is None else float(f"{value:.9g}")
