"""Calendar periods of local days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from apps.costs.budgets.models import Budget, Period
from apps.costs.outlook import add_months


@dataclass(frozen=True, slots=True)
class Span:
    """The days in [start, end); `counted_from` is later than the start where the budget begins inside."""

    start: date
    end: date
    counted_from: date

    def scheduled(self, today: date) -> bool:
        """Whether nothing counts yet."""
        return today < self.counted_from


def period_of(kind: str, day: date) -> tuple[date, date]:
    """The period that holds a day: its first day, and the first day after it. Weeks begin on Monday."""
    if kind == Period.DAY:
        return day, day + timedelta(days=1)
    if kind == Period.WEEK:
        start = day - timedelta(days=day.weekday())
        return start, start + timedelta(days=7)
    if kind == Period.MONTH:
        start = day.replace(day=1)
        return start, add_months(start, 1)
    start = day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
    return start, add_months(start, 3)


def span_of(budget: Budget, today: date) -> Span:
    """The period that is running; of a budget that is still to begin, its first."""
    start, end = period_of(budget.period, max(today, budget.starts_on))
    return Span(start, end, max(start, budget.starts_on))
