"""django-timescaledb's backend, usable on a server without the extension.

Its own `prepare_database` lets `migrate` die where TimescaleDB is not installed; here the extension is created only
where the server offers it and allows it, and everything else is plain PostgreSQL.
"""

from __future__ import annotations

import logging
from typing import Any

from django.db import DatabaseError
from timescale.db.backends.postgresql.base import DatabaseWrapper as TimescaleWrapper

from apps.common.observe import statements, telemetry

logger = logging.getLogger(__name__)


class DatabaseWrapper(TimescaleWrapper):  # type: ignore[misc]  # the package carries no types
    """PostgreSQL, with the TimescaleDB extension where it can be had; every statement is timed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.execute_wrappers.append(statements.execute_wrapper)

    def get_new_connection(self, conn_params: Any) -> Any:
        try:
            return super().get_new_connection(conn_params)
        except Exception as error:
            telemetry.database_failed(statements.kind_of(error))
            raise

    def prepare_database(self) -> None:
        with self.cursor() as cursor:
            # A server that offers the extension without preloading its library ends the session of who creates it;
            # the setting is there only where the library is loaded.
            cursor.execute(
                "SELECT 1 FROM pg_available_extensions e, pg_settings s"
                " WHERE e.name = 'timescaledb' AND s.name = 'timescaledb.disable_load'"
            )
            if cursor.fetchone() is None:
                return
        try:
            super().prepare_database()
        except DatabaseError as error:
            logger.warning("TimescaleDB is installed but cannot be enabled here: %s", type(error).__name__)
