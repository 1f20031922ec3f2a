"""One metric: its value under every aggregation it has, beside that of the period before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from difflib import get_close_matches
from typing import Any

from apps.common.errors import ApiError
from apps.common.reads.reading import Problems
from apps.metrics import params
from apps.metrics.catalog import CATALOGUE, DIMENSION_NAMES, Metric
from apps.metrics.finish import change_pct
from apps.metrics.reports.base import RANGE_PARAMETERS, Asking, Report, base_spec, made
from apps.metrics.spec import MetricRef, QuerySpec
from apps.orgs.scopes import Scope

PARAMETERS = RANGE_PARAMETERS


def metric_named(name: str) -> Metric:
    """The metric of a path.

    Raises:
        ApiError: 1300 that names the nearest ones.
    """
    try:
        return params.metric(name)
    except ApiError:
        nearest = get_close_matches(name.lower(), tuple(CATALOGUE), n=3, cutoff=0.5)
        hint = f" Did you mean {nearest[0]}?" if nearest else ""
        details = {"nearest": nearest, "known": list(CATALOGUE)}
        raise ApiError(1300, f"There is no metric {name[:64]!r}.{hint}", field="name", details=details) from None


def from_query(entry: Metric, source: Mapping[str, str], scope: Scope, now: datetime) -> QuerySpec:
    """The question for a metric under all its aggregations."""
    spec = base_spec(source, scope, now, Problems())
    return replace(spec, metrics=tuple(MetricRef(entry.name, name, name) for name in entry.aggregations))


def metric_report(base: QuerySpec, entry: Metric) -> Report:
    """The values of the question's metrics (aggregations of one metric) now and in the period before.

    Raises:
        ApiError: as `runner.answer`.
    """
    span = base.end - base.start

    def make(asking: Asking) -> dict[str, Any]:
        now = asking.rows(base)[0]
        before = asking.rows(replace(base, compare_to=span).shifted())[0]
        names = [ref.alias for ref in base.metrics]
        return {
            "metric": {
                "name": entry.name,
                "unit": entry.unit,
                "description": entry.description,
                "default_aggregation": entry.natural,
                "dimensions": list(DIMENSION_NAMES),
            },
            "value": now[entry.natural],
            "current_period": _period(base.start, base.end, now, names),
            "previous_period": _period(base.start - span, base.start, before, names),
            "changes_pct": {name: change_pct(now[name], before[name]) for name in names},
        }

    return made(base, make)


def _period(start: datetime, end: datetime, row: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    return {"start_time": start, "end_time": end, "values": {name: row[name] for name in names}}
