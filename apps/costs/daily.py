"""What was spent on every local day: the history that forecasts and budgets start from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

from apps.common.errors import ApiError
from apps.metrics.reports.base import Asking
from apps.metrics.spec import MetricRef, QuerySpec
from apps.traces.versions import ALWAYS, counted, days_of

# Whole weeks, and inside the 400 days for which the cells of quarters and hours are kept that other zones need.
MOST_DAYS = 392
DAY = timedelta(days=1)
METRICS = (
    MetricRef("total_cost", "sum", "cost"),
    MetricRef("total_cost", "count", "priced"),
    MetricRef("request_count", "sum", "requests"),
)


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """The moment at which a local day begins."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def day_of(moment: datetime, zone: ZoneInfo) -> date:
    """The local day of a moment."""
    return moment.astimezone(zone).date()


@dataclass(frozen=True, slots=True)
class Daily:
    """Cost by local day.

    Args:
        first: the day of the first request; that of `today` where there is none.
        costs: of every day from the first to today, which is not over. None where there were requests and none had a
            price; 0 where there were none.
        unpriced: requests of these days that are in no cost.
    """

    first: date
    today: date
    costs: tuple[Decimal | None, ...]
    unpriced: int

    def series(self) -> NDArray[np.float64]:
        """The days that are over, NaN where the cost is unknown."""
        return np.array([np.nan if cost is None else float(cost) for cost in self.costs[:-1]], dtype=np.float64)

    def spent(self, start: date, end: date) -> Decimal:
        """The exact sum of the days in [start, end)."""
        low, high = (max((day - self.first) // DAY, 0) for day in (start, end))
        return sum((cost for cost in self.costs[low:high] if cost is not None), Decimal())


def daily(asking: Asking, base: QuerySpec, today: date) -> Daily:
    """Ask for the days up to and with today, as far back as they are kept.

    Raises:
        ApiError: as `runner.answer_in`.
    """
    zone = ZoneInfo(base.tz)
    end = midnight(today + DAY, zone)
    reaches = _reaches()
    for number, days in enumerate(reaches):
        asked = replace(base, metrics=METRICS, interval="1day", start=midnight(today - days * DAY, zone), end=end)
        try:
            rows = asking.rows(asked)
            break
        except ApiError as error:
            # Users by the hour, which other zones' days need, are kept for fewer days than the rest.
            if error.entry.code != 1204 or number + 1 == len(reaches):
                raise
    found = {day_of(row["timestamp"], zone): row for row in rows if row["requests"]}
    first = min(found, default=today)
    costs: list[Decimal | None] = []
    for number in range((today - first) // DAY + 1):
        row = found.get(first + number * DAY)
        costs.append(Decimal() if row is None else row["cost"])
    unpriced = sum(row["requests"] - row["priced"] for row in found.values())
    return Daily(first, today, tuple(costs), unpriced)


def version_of_days(base: QuerySpec) -> tuple[object, ...]:
    """The version of the history: that of its days, and the settings of retention.

    Unlike `apps.metrics.versions.version_of` it holds no minute, though the history reaches behind the raw spans: of
    whole days in the past, what is frozen and what is recomputed says the same.
    """
    days = ALWAYS if base.involves_attribution else days_of(base.start, base.end)
    counters, kept_days, floor = counted(base.project_ids, [days])
    return (*counters, kept_days, floor)


def _reaches() -> Sequence[int]:
    """How far back to ask, the longest first; a day is left for zones and one for retention that moves on meanwhile."""
    kept = (
        settings.HUB.rollup_1h_retention_days,
        settings.HUB.cells_1h_retention_days,
        settings.HUB.raw_retention_days,
    )
    return sorted({MOST_DAYS, *(days - 2 for days in kept if 2 < days - 2 < MOST_DAYS), 3}, reverse=True)
