"""Storage upkeep: the tier, partitions made ahead, retention."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from apps.orgs.models import Project
from apps.traces import schema, tiers
from apps.traces.tiers import Tier

DAYS_AHEAD = 3


def tier(connection: BaseDatabaseWrapper | None = None) -> Tier:
    """The storage tier of the database."""
    return tiers.detect(connection or connections["default"])


def day_floor(now: datetime, days: int) -> datetime:
    """Whole days go; the day that `days` ago falls in stays."""
    return schema.midnight(schema.day_of(now) - timedelta(days=days))


def _kept_days(table: str, raw: int | None, content: int | None) -> int:
    """The days that these settings of a project (None: the installation's) keep a table; content goes with its span."""
    raw_days: int = settings.HUB.raw_retention_days if raw is None else min(raw, settings.HUB.raw_retention_days)
    if table == "span":
        return raw_days
    content_days: int = settings.HUB.content_retention_days
    return min(raw_days, content_days if content is None else min(content, content_days))


def kept_from(table: str, now: datetime) -> datetime:
    """The edge of the retention as it is set, for all projects."""
    return day_floor(now, _kept_days(table, None, None))


def raw_floor(now: datetime) -> datetime:
    """The oldest start from which on raw spans are whole, but for projects with a shorter retention of their own.

    What went under a shorter setting does not come back when the setting grows, so the edge that was once reached
    is remembered.
    """
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT floor FROM retention_floor WHERE relation = 'span' AND project_id = 0")
        row = cursor.fetchone()
    return max(kept_from("span", now), row[0]) if row else kept_from("span", now)


def project_floors(table: str, now: datetime) -> dict[int, datetime]:
    """The edges of projects that keep this table for a shorter time than the installation."""
    rows = Project.objects.values_list("pk", "raw_retention_days", "content_retention_days")
    floors = {project: day_floor(now, _kept_days(table, raw, content)) for project, raw, content in rows}
    return {project: floor for project, floor in floors.items() if floor > kept_from(table, now)}


def prepare(now: datetime | None = None, *, connection: BaseDatabaseWrapper | None = None) -> int:
    """Make the partitions that spans may fall in, from the retention's edge to three days ahead.

    Safe to call at any time and by several processes at once. TimescaleDB makes its chunks by itself.

    Returns:
        how many partitions were made.
    """
    database = connection or connections["default"]
    moment = now or datetime.now(UTC)
    if tier(database).hypertables:
        return 0
    with database.cursor() as cursor:
        missing = {table: _missing(cursor, table, moment) for table in schema.SPAN_TABLES}
    if not any(missing.values()):
        return 0
    with transaction.atomic(using=database.alias), database.cursor() as cursor:
        schema.lock_maintenance(cursor)
        return sum(schema.ensure_partitions(cursor, table, days) for table, days in missing.items())


def _missing(cursor: Any, table: str, now: datetime) -> list[date]:
    wanted = schema.days_between(schema.day_of(kept_from(table, now)), schema.day_of(now) + timedelta(days=DAYS_AHEAD))
    return sorted(set(wanted) - set(schema.partition_days(cursor, table)))
