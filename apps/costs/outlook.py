"""The forecast report: the days to come, their total, and where the month will end. docs/forecast.md has the method."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from apps.costs.daily import DAY, Daily, daily, midnight
from apps.costs.projection import EDGES, Projection, of_days, usd
from apps.metrics.forecasting import Forecast
from apps.metrics.reports.base import Asking, Report, made
from apps.metrics.spec import QuerySpec

MOST_DAYS_AHEAD = 366


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be forecast: so many local days, today's first."""

    period: str
    today: date
    days: int


def add_months(day: date, months: int) -> date:
    """The same day of a later month, or that month's last."""
    first = day.replace(day=1)
    for _ in range(months):
        first = next_month(first)
    return min(first + timedelta(days=day.day - 1), next_month(first) - DAY)


def next_month(day: date) -> date:
    """The first day of the month after that of a day."""
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


def outlook(base: QuerySpec, asked: Asked) -> Report:
    """The report.

    Raises:
        ApiError: as `runner.answer`.
    """
    return made(base, lambda asking: _blocks(asking, base, asked))


def _blocks(asking: Asking, base: QuerySpec, asked: Asked) -> dict[str, Any]:
    history = daily(asking, base, asked.today)
    month_end = next_month(asked.today)
    left = (month_end - asked.today) // DAY
    found = of_days(history, max(asked.days, left))
    return {
        "history": {
            "first_date": history.first,
            "days": len(history.costs) - 1,
            "unpriced_requests": history.unpriced,
        },
        "forecast": _forecast(asked, found),
        "month": _month(history, found, month_end, left),
        "data": _days(asked, found, ZoneInfo(base.tz)),
    }


def _forecast(asked: Asked, found: Forecast | None) -> dict[str, Any]:
    last = asked.days - 1
    totals: dict[str, Any] = {f"{edge}_usd": None for edge in EDGES}
    if found is not None:
        totals = {f"{edge}_usd": usd(getattr(found, f"total_{edge.replace('_', '')}")[last]) for edge in EDGES}
    return {
        "status": "ok" if found is not None else "not_enough_data",
        "start_date": asked.today,
        "end_date": asked.today + last * DAY,
        "days": asked.days,
        "total_cost_usd": None if found is None else usd(found.total[last]),
        **totals,
        "method": None if found is None else found.method,
        "backtest": None if found is None else backtest(found),
    }


def backtest(found: Forecast) -> dict[str, Any] | None:
    """How the method did on the past; None where there was too little of it."""
    if found.error is None:
        return None

    def shown(one: Any) -> dict[str, Any] | None:
        return one and {name: None if value is None else round(value, 4) for name, value in asdict(one).items()}

    return {
        "origins": found.origins,
        "days_ahead": found.reach,
        **(shown(found.error) or {}),
        "coverage_80": _part(found.coverage80),
        "coverage_95": _part(found.coverage95),
        "total_coverage_80": _part(found.total_coverage80),
        "total_coverage_95": _part(found.total_coverage95),
        "naive": shown(found.naive),
        "seasonal_naive": shown(found.seasonal_naive),
    }


def _part(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _month(history: Daily, found: Forecast | None, end: date, left: int) -> dict[str, Any]:
    start = history.today.replace(day=1)
    spent = history.spent(start, history.today + DAY)
    if found is None:
        projected: dict[str, Any] = {"projected_usd": None, **{f"{edge}_usd": None for edge in EDGES}}
    else:
        projected = Projection.make(spent, history, found, left).shown()
    return {"start_date": start, "end_date": end - DAY, "spent_usd": spent, **projected}


def _days(asked: Asked, found: Forecast | None, zone: ZoneInfo) -> list[dict[str, Any]]:
    if found is None:
        return []
    rows = []
    for number in range(asked.days):
        day = asked.today + number * DAY
        edges = {f"{edge}_usd": usd(getattr(found, edge.replace("_", ""))[number]) for edge in EDGES}
        rows.append({"date": day, "timestamp": midnight(day, zone), "cost_usd": usd(found.point[number]), **edges})
    return rows
