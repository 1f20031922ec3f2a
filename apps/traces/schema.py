"""Names and the day partitions of the span tables. The tables themselves are made by frozen SQL in the migrations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

DAY_US = 86_400_000_000
DAY = timedelta(days=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# All are partitioned by start_time, a partition or chunk a day (UTC).
SPAN_TABLES = ("span", "span_content", "span_text")
# Storage parameters, which neither a partitioned table nor LIKE hands on to a partition.
OPTIONS = {"span_text": " WITH (toast_tuple_target = 128)"}
LOCK_CLASS = 0x5350414E  # "SPAN": keeps our advisory locks apart from anybody else's


def day_of_us(us: int) -> date:
    """The UTC day that holds this moment (microseconds since the Unix epoch)."""
    return date.fromordinal(719_163 + us // DAY_US)


def day_of(moment: datetime) -> date:
    return moment.astimezone(UTC).date()


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def days_between(first: date, last: date) -> list[date]:
    """Both ends included."""
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def partition_name(table: str, day: date) -> str:
    return f"{table}_p{day:%Y%m%d}"


def partition_day(name: str) -> date | None:
    """The day a partition's name says, or None for a name that is not ours."""
    try:
        return datetime.strptime(name.rpartition("_p")[2], "%Y%m%d").replace(tzinfo=UTC).date()
    except ValueError:
        return None


def partition_days(cursor: Any, table: str) -> dict[date, str]:
    """The days that have an attached partition, and its name."""
    cursor.execute(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = to_regclass(%s) AND NOT i.inhdetachpending",
        [table],
    )
    found = ((partition_day(name), name) for (name,) in cursor.fetchall())
    return {day: name for day, name in found if day is not None}


def make_partitions(cursor: Any, table: str, days: Iterable[date]) -> None:
    """Make and attach partitions; the caller knows that they are missing and holds the maintenance lock.

    A table made first and attached then takes no lock that readers or writers of the parent would feel;
    CREATE TABLE ... PARTITION OF takes the strongest one. A partition that was detached and not dropped comes back.
    """
    for day in days:
        name = partition_name(table, day)
        cursor.execute(f"CREATE TABLE IF NOT EXISTS {name} (LIKE {table} INCLUDING ALL){OPTIONS.get(table, '')}")
        cursor.execute(
            f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM (%s) TO (%s)",
            [midnight(day).isoformat(), midnight(day + DAY).isoformat()],
        )


def ensure_partitions(cursor: Any, table: str, days: Sequence[date]) -> int:
    """Make those of `days` that have no partition yet; returns how many were made."""
    missing = sorted(set(days) - set(partition_days(cursor, table)))
    make_partitions(cursor, table, missing)
    return len(missing)


def lock_maintenance(cursor: Any) -> None:
    """Until the transaction ends, be the only one that makes or drops partitions."""
    cursor.execute("SELECT pg_advisory_xact_lock(%s, 1)", [LOCK_CLASS])
