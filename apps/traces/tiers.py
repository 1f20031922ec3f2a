"""Which of the three storage tiers a database offers."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from django.db import DatabaseError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper


class Tier(StrEnum):
    """TimescaleDB with its community features, TimescaleDB under the Apache licence, or plain PostgreSQL."""

    TIMESCALE = "timescale"
    TIMESCALE_APACHE = "timescale_apache"
    POSTGRES = "postgres"

    @property
    def hypertables(self) -> bool:
        return self is not Tier.POSTGRES


def _scalar(connection: BaseDatabaseWrapper, sql: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        row = cursor.fetchone()
    return row[0] if row else None


def detect(connection: BaseDatabaseWrapper) -> Tier:
    """The tier that this database is used at.

    The extension must be created here, not only on offer; where it came after the tables, they stay what they are
    until `manage.py storage upgrade` has moved them.
    """
    plain = "SELECT 1 FROM pg_class WHERE oid = to_regclass('span') AND relkind = 'p'"
    return Tier.POSTGRES if _scalar(connection, plain) else offered(connection)


def offered(connection: BaseDatabaseWrapper) -> Tier:
    """The tier that the extensions in this database allow."""
    if _scalar(connection, "SELECT 1 FROM pg_extension WHERE extname = 'timescaledb'") is None:
        return Tier.POSTGRES
    # A session learns the licence only once the extension's library is loaded, which any use of it does.
    license_ = _scalar(connection, "SELECT current_setting('timescaledb.license', true)")
    return Tier.TIMESCALE_APACHE if license_ == "apache" else Tier.TIMESCALE


def install_extension(connection: BaseDatabaseWrapper) -> Tier:
    """Create the TimescaleDB extension where the server offers it and we may; then the tier.

    A server that has the extension's files but does not preload its library ends the session of whoever tries to
    create it, so the loader's own setting must be there first.
    """
    if offered(connection) is Tier.POSTGRES and _scalar(
        connection,
        "SELECT 1 FROM pg_available_extensions a, pg_settings s"
        " WHERE a.name = 'timescaledb' AND s.name = 'timescaledb.disable_load'",
    ):
        try:
            with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
                cursor.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
        except DatabaseError:
            return Tier.POSTGRES  # not allowed to: plain tables serve as well
    return offered(connection)
