"""Local days and weeks around the end of a range."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)
WEEKS = 8


@dataclass(frozen=True, slots=True)
class Calendar:
    """The clock of a zone, and the local day that is under way, or has just ended, at the end of a range."""

    zone: ZoneInfo
    start: datetime
    end: datetime

    @property
    def today(self) -> date:
        return self.local(self.end - timedelta(microseconds=1))

    def local(self, moment: datetime) -> date:
        return moment.astimezone(self.zone).date()

    def midnight(self, day: date) -> datetime:
        """When a local day begins."""
        return datetime.combine(day, time(), self.zone).astimezone(UTC)

    def back(self, days: int) -> datetime:
        """The same time of the local clock as the end of the range, so many days before."""
        local = self.end.astimezone(self.zone)
        return datetime.combine(local.date() - days * DAY, local.time(), self.zone).astimezone(UTC)

    @property
    def whole(self) -> bool:
        """Whether the range ends with its last day."""
        return self.end == self.midnight(self.today + DAY)

    @property
    def monday(self) -> date:
        """Of the week of the last day."""
        return self.today - self.today.weekday() * DAY

    @property
    def weeks(self) -> tuple[date, ...]:
        """The Mondays of the weeks that the trend shows."""
        return tuple(self.monday - 7 * n * DAY for n in reversed(range(WEEKS)))

    @property
    def first(self) -> date:
        """The first day that any block of the summary needs: one before the range, one week before the trend's."""
        return min(self.local(self.start) - DAY, self.weeks[0] - 7 * DAY, self.today - 13 * DAY)

    def days(self) -> tuple[date, ...]:
        """The local days that the range touches."""
        first = self.local(self.start)
        return tuple(first + n * DAY for n in range((self.today - first).days + 1))
