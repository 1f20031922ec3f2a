"""Where the spending of a budget stands: exact sums by the metrics engine, and the forecast of the rest.

docs/budgets.md defines every figure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from apps.common.errors import ApiError
from apps.costs.budgets.models import Budget
from apps.costs.budgets.periods import Span, span_of
from apps.costs.daily import DAY, METRICS, MOST_DAYS, daily, midnight
from apps.costs.outlook import backtest
from apps.costs.projection import EDGES, Projection, of_days
from apps.metrics.reports.base import Asking, Report, made
from apps.metrics.spec import Filter, QuerySpec

_WIDE = Context(prec=60, rounding=ROUND_HALF_EVEN)
_SIX = Decimal("1e-6")
# Dimension of spans, column of budgets.
SCOPE: dict[str, str] = {
    "provider": "providers",
    "model": "model_names",
    "environment": "environments",
    "team": "teams",
    "user_id": "users",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What of a budget its state depends on, and on which day it is asked for."""

    amount: Decimal
    thresholds: tuple[Decimal, ...]
    enforced: bool
    span: Span
    today: date


def limits_of(budget: Budget, today: date) -> Limits:
    thresholds = tuple(sorted(budget.thresholds))
    return Limits(budget.amount, thresholds, budget.hard_stop and budget.active, span_of(budget, today), today)


def base_of(budget: Budget, projects: dict[str, int], span: Span) -> QuerySpec:
    """The question about the running period.

    Args:
        projects: all of the organization that the caller sees, which are meant where the budget names none.
    """
    zone = ZoneInfo(budget.timezone)
    chosen = set(budget.project_ids) or set(projects.values())
    filters = tuple(
        Filter(name, "in", tuple(getattr(budget, column))) for name, column in SCOPE.items() if getattr(budget, column)
    )
    return QuerySpec(
        organization_id=budget.organization_id,
        project_ids=tuple(sorted(chosen)),
        start=midnight(span.counted_from, zone),
        end=midnight(span.end, zone),
        metrics=METRICS,
        tz=budget.timezone,
        filters=filters,
    )


def history_of(base: QuerySpec, today: date) -> QuerySpec:
    """The question behind the forecast, whose version covers the period's too."""
    zone = ZoneInfo(base.tz)
    start = min(base.start, midnight(today - MOST_DAYS * DAY, zone))
    return replace(base, start=start, end=max(base.end, midnight(today + DAY, zone)))


def status(base: QuerySpec, limits: Limits) -> Report:
    """What is spent, and what that means: no forecast, so cheap enough to be polled."""
    return made(base, lambda asking: _spent(asking, base, limits))


def state(base: QuerySpec, limits: Limits) -> Report:
    """The status with the forecast of the period's end."""

    def make(asking: Asking) -> dict[str, Any]:
        blocks = _spent(asking, base, limits)
        return {**blocks, "forecast": _forecast(asking, base, limits, blocks["spent_usd"])}

    return made(history_of(base, limits.today), make)


def _spent(asking: Asking, base: QuerySpec, limits: Limits) -> dict[str, Any]:
    span = limits.span
    rows = _rows(asking, base)
    spent = sum((row["cost"] for row in rows if row["cost"] is not None), Decimal())
    return {
        "state": "scheduled" if span.scheduled(limits.today) else "running",
        "period_start": span.start,
        "period_end": span.end - DAY,
        "counted_from": base.start,
        "spent_usd": spent,
        "remaining_usd": limits.amount - spent,
        "fraction": _fraction(spent, limits.amount),
        "thresholds": [_threshold(part, rows, limits.amount, base.start) for part in limits.thresholds],
        "exceeded": spent > limits.amount,
        "hard_stop_reached": limits.enforced and spent >= limits.amount,
        "unpriced_requests": sum(row["requests"] - row["priced"] for row in rows),
    }


def _rows(asking: Asking, base: QuerySpec) -> list[dict[str, Any]]:
    """The period by hour, which tells when a threshold was reached; by day where hours are no longer kept."""
    try:
        return asking.rows(replace(base, interval="1hour", tz="UTC"))
    except ApiError as error:
        if error.entry.code != 1204:
            raise
    return asking.rows(replace(base, interval="1day"))


def _fraction(part: Decimal, whole: Decimal) -> Decimal:
    return _WIDE.divide(part, whole).quantize(_SIX, context=_WIDE)


def _threshold(part: Decimal, rows: list[dict[str, Any]], amount: Decimal, start: datetime) -> dict[str, Any]:
    """Whether it is reached, and in which bucket the sum first was: spans that come late may move it back."""
    goal, spent, reached = amount * part, Decimal(), None
    for row in rows:
        spent += row["cost"] or 0
        if spent >= goal:
            reached = max(row["timestamp"], start)
            break
    return {"threshold": part, "amount_usd": goal, "reached": reached is not None, "reached_in": reached}


def _forecast(asking: Asking, base: QuerySpec, limits: Limits, spent: Decimal) -> dict[str, Any] | None:
    """Of the running period; None before it begins, and where too few days are known."""
    if limits.span.scheduled(limits.today):
        return None
    history = daily(asking, replace(base, interval=None), limits.today)
    days = (limits.span.end - limits.today) // DAY
    found = of_days(history, days)
    if found is None:
        return None
    line = Projection.make(spent, history, found, days)
    passed = spent > limits.amount
    return {
        **line.shown(),
        "forecast_to_exceed": None if passed else line.passes(limits.amount),
        "exceed_earliest": None if passed else line.passes(limits.amount, EDGES[1]),
        "exceed_latest": None if passed else line.passes(limits.amount, EDGES[0]),
        "exceed_probability": line.chance(limits.amount),
        "method": found.method,
        "backtest": backtest(found),
    }
