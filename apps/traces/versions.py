"""The version of projects' spans: a number for each range of days that is never the same again after a write.

Each project and UTC day has a counter (`data_version`); a mark that is not yet folded counts as one for every day it
covers. What answers are made of it is said in apps.metrics.versions.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection

from apps.common.reads.reading import next_minute

Days = tuple[date, date]  # both inclusive
ALWAYS: Days = (date.min, date.max - timedelta(days=1))

_MOMENT = "({} - interval '1 microsecond')"
_DAY = "({} AT TIME ZONE 'UTC')::date"
# One statement, so that a fold in between counts neither twice nor not at all.
_VERSION = f"""
SELECT ARRAY(
    SELECT ((
        SELECT coalesce(sum(v.version), 0) FROM data_version v
        WHERE v.project_id = ANY(%(projects)s::integer[]) AND v.day BETWEEN r.first AND r.last
    ) + (
        SELECT coalesce(sum(
            least(r.last, {_DAY.format(_MOMENT.format("m.hi"))}) - greatest(r.first, {_DAY.format("m.lo")}) + 1
        ), 0)
        FROM span_mark m
        WHERE m.project_id = ANY(%(projects)s::integer[])
            AND {_DAY.format("m.lo")} <= r.last AND {_DAY.format(_MOMENT.format("m.hi"))} >= r.first
    ))::bigint
    FROM unnest(%(firsts)s::date[], %(lasts)s::date[]) WITH ORDINALITY AS r (first, last, number)
    ORDER BY r.number
),
(SELECT min(raw_retention_days) FROM orgs_project WHERE id = ANY(%(projects)s::integer[])),
(SELECT floor FROM retention_floor WHERE relation = 'span' AND project_id = 0)
"""


class Counted(NamedTuple):
    """What the database says of the data.

    Args:
        counters: the version of each range of days.
        kept_days: the shortest raw retention of one of the projects' own, if any has one.
        floor: the edge that retention once reached.
    """

    counters: tuple[int, ...]
    kept_days: int | None
    floor: datetime | None


def counted(project_ids: Sequence[int], days: Sequence[Days]) -> Counted:
    """The versions of the projects' data in these ranges of days, read in one statement."""
    asked: dict[str, Any] = {
        "projects": list(project_ids),
        "firsts": [first for first, _ in days],
        "lasts": [last for _, last in days],
    }
    with connection.cursor() as cursor:
        cursor.execute(_VERSION, asked)
        counters, kept_days, floor = cursor.fetchone()
    return Counted(tuple(counters), kept_days, floor)


def days_of(start: datetime, end: datetime) -> Days:
    """The UTC days that a range touches."""
    return start.astimezone(UTC).date(), (end - timedelta(microseconds=1)).astimezone(UTC).date()


def since(project_ids: Sequence[int], start: datetime) -> tuple[Any, ...]:
    """The version of traces that begin at `start` or later.

    All days count, since a span of any day may change what its trace says or when it begins. What retention takes
    away is no write: behind its edge every minute is a version of its own.
    """
    (counter,), kept_days, floor = counted(project_ids, [ALWAYS])
    now = datetime.now(UTC)
    days: int = settings.HUB.raw_retention_days
    edge = now - timedelta(days=days if kept_days is None else min(days, kept_days))
    if floor is not None:
        edge = max(edge, floor)
    return counter, floor, kept_days, next_minute(now) if start < edge else None
