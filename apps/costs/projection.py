"""What will have been spent by a day: what is spent already and the forecast of the rest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from statistics import NormalDist
from typing import Any

import numpy as np

from apps.costs.daily import Daily
from apps.metrics.forecasting import Forecast, NotEnough, forecast

_PLACES = Decimal("1e-12")
EDGES = ("lower_80", "upper_80", "lower_95", "upper_95")
# The quantiles that the edges and the point stand for, as scores of the normal distribution.
_SCORES = tuple(NormalDist().inv_cdf(part) for part in (0.025, 0.10, 0.50, 0.90, 0.975))


def usd(value: float | Decimal) -> Decimal:
    """An estimate in dollars: eight digits that mean something, twelve decimals at most."""
    return Decimal(f"{value:.8g}").quantize(_PLACES)


def of_days(history: Daily, horizon: int) -> Forecast | None:
    """The forecast of today and the days after it; None where too few days are known."""
    try:
        return forecast(history.series(), horizon)
    except NotEnough:
        return None


@dataclass(frozen=True, slots=True)
class Projection:
    """Cumulated spending at the end of each coming day, today's first.

    Today is not over: its cost is what was forecast or, if more is spent already, that. No edge lies below what is
    spent.
    """

    today: date
    spent: Decimal
    point: tuple[float, ...]
    edges: dict[str, tuple[float, ...]]

    @classmethod
    def make(cls, spent: Decimal, history: Daily, made: Forecast, days: int) -> Projection:
        """From what is spent up to now, today's part included, through so many days."""
        today = float(history.costs[-1] or 0)
        more = max(0.0, today - float(made.point[0]))
        base = float(spent) - today + more

        def line(values: Any) -> tuple[float, ...]:
            return tuple(float(value) for value in np.maximum(base + values[:days], float(spent)))

        totals = {edge: getattr(made, f"total_{edge.replace('_', '')}") for edge in EDGES}
        return cls(history.today, spent, line(made.total), {edge: line(values) for edge, values in totals.items()})

    def shown(self) -> dict[str, Any]:
        """The end of it, as answers show it."""
        return {
            "projected_usd": usd(self.point[-1]),
            **{f"{edge}_usd": usd(values[-1]) for edge, values in self.edges.items()},
        }

    def passes(self, amount: Decimal, edge: str | None = None) -> date | None:
        """The first day at whose end more than the amount is spent; None where it never is."""
        line = self.point if edge is None else self.edges[edge]
        for number, value in enumerate(line):
            if value > float(amount):
                return self.today + timedelta(days=number)
        return None

    def chance(self, amount: Decimal) -> float:
        """How likely the end lies above the amount, read between the edges as between quantiles; 0.01 to 0.99.

        1 where it is passed already.
        """
        if self.spent > amount:
            return 1.0
        ends = [self.edges[edge][-1] for edge in ("lower_95", "lower_80")] + [self.point[-1]]
        ends += [self.edges[edge][-1] for edge in ("upper_80", "upper_95")]
        goal = float(amount)
        if ends[0] == ends[-1]:
            return 0.99 if ends[0] > goal else 0.01
        score = float(np.interp(goal, ends, _SCORES))
        if goal > ends[-1] and ends[-1] > ends[-2]:
            score += (goal - ends[-1]) / (ends[-1] - ends[-2]) * (_SCORES[-1] - _SCORES[-2])
        elif goal < ends[0] < ends[1]:
            score -= (ends[0] - goal) / (ends[1] - ends[0]) * (_SCORES[1] - _SCORES[0])
        return round(min(max(1 - NormalDist().cdf(score), 0.01), 0.99), 4)
