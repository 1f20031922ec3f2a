"""Storage upkeep: the tier, partitions made ahead, retention."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from django.conf import settings
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from apps.traces import schema, tiers
from apps.traces.tiers import Tier

DAYS_AHEAD = 3


def tier(connection: BaseDatabaseWrapper | None = None) -> Tier:
    """The storage tier of the database."""
    return tiers.detect(connection or connections["default"])


def raw_floor(now: datetime) -> datetime:
    """The oldest start that is surely still kept: whole days go, the day this falls in stays."""
    return schema.midnight(schema.day_of(now) - timedelta(days=settings.HUB.raw_retention_days))


def content_floor(now: datetime) -> datetime:
    return schema.midnight(schema.day_of(now) - timedelta(days=settings.HUB.content_retention_days))


def _floor_day(table: str, now: datetime) -> date:
    return schema.day_of(raw_floor(now) if table == "span" else content_floor(now))


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


def _missing(cursor: object, table: str, now: datetime) -> list[date]:
    wanted = schema.days_between(_floor_day(table, now), schema.day_of(now) + timedelta(days=DAYS_AHEAD))
    return sorted(set(wanted) - set(schema.partition_days(cursor, table)))
