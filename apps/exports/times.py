"""When a schedule runs, and which range a run is of: cron expressions and calendar periods in a time zone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice, pairwise
from typing import Final, Literal
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from apps.common.reads.reading import bad

Period = Literal["previous_day", "previous_week", "previous_month", "last_24_hours", "last_7_days", "last_30_days"]
PERIODS: Final[tuple[Period, ...]] = (
    *("previous_day", "previous_week", "previous_month"),
    *("last_24_hours", "last_7_days", "last_30_days"),
)
LEAST: Final = timedelta(minutes=5)
# Runs that are looked at: a whole day of the densest schedule that is let through, and the first ones of the next.
_LOOKED_AT: Final = 300
_MOST_BACK: Final = timedelta(days=2)


def check_cron(text: str, now: datetime) -> None:
    """
    Raises:
        ApiError: 1203 for what is no cron expression, 1202 for one that never comes, or too often.
    """
    if len(text.split()) != 5:
        what = "cron must have five fields: minute, hour, day of the month, month, day of the week"
        raise bad("cron", f"{what}, such as 0 6 * * MON.", 1203)
    try:
        # In UTC: what a change of clocks moves together or apart is no habit.
        runs = list(islice(CronSim(text, now.astimezone(UTC)), _LOOKED_AT))
    except (CronSimError, ValueError) as error:
        raise bad("cron", f"cron is no cron expression: {error}.", 1203) from None
    if not runs:
        raise bad("cron", "cron names a time that never comes.")
    if any(second - first < LEAST for first, second in pairwise(runs)):
        raise bad("cron", f"A schedule runs at most every {LEAST.seconds // 60} minutes.")


def runs(cron: str, zone: str, after: datetime) -> Iterator[datetime]:
    """The runs after a moment, UTC, each once.

    A time that a change of clocks leaves out is made up for right behind it; one that comes twice counts the first
    time, unless the schedule runs every hour or more often.
    """
    for run in CronSim(cron, after.astimezone(ZoneInfo(zone))):
        moment = run.astimezone(UTC)
        if moment > after:  # in an hour that comes twice it may name the first one again
            yield moment
            after = moment


def following(cron: str, zone: str, after: datetime) -> datetime | None:
    """The first run after a moment; None where there is none."""
    return next(runs(cron, zone, after), None)


def latest(cron: str, zone: str, due: datetime, now: datetime) -> datetime:
    """The last run that should have been by now, of the last two days; else the one that is due.

    What is due may be later than the run that it stands for, where that had to wait.
    """
    found = due
    for run in runs(cron, zone, now - _MOST_BACK):
        if run > now:
            break
        found = run
    return found


def range_of(period: str, zone: str, moment: datetime) -> tuple[datetime, datetime]:
    """The range of a run at that moment, UTC, half-open: whole days of the zone, or what lies behind the moment.

    `last_7_days` begins at the same time of the day a week ago, also where the clocks were changed in between.
    """
    here = ZoneInfo(zone)
    local = moment.astimezone(here)
    today = local.date()
    if period == "previous_day":
        return _midnight(today - timedelta(days=1), here), _midnight(today, here)
    if period == "previous_week":
        monday = today - timedelta(days=today.weekday())
        return _midnight(monday - timedelta(days=7), here), _midnight(monday, here)
    if period == "previous_month":
        first = today.replace(day=1)
        return _midnight((first - timedelta(days=1)).replace(day=1), here), _midnight(first, here)
    if period == "last_24_hours":
        return (moment - timedelta(hours=24)).astimezone(UTC), moment.astimezone(UTC)
    days = {"last_7_days": 7, "last_30_days": 30}[period]
    return (local - timedelta(days=days)).astimezone(UTC), moment.astimezone(UTC)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    """Where a day of the zone begins; if the clocks skip midnight, when they do."""
    return datetime.combine(day, time(), zone).astimezone(UTC)
