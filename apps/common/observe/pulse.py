"""A thread in each web process that writes down, every few seconds, what only this process knows: pool and counts."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from django.db import connections
from django.db.backends.postgresql.base import DatabaseWrapper
from psycopg_pool import ConnectionPool

from apps.common.observe import telemetry

SECONDS = 5.0
logger = logging.getLogger(__name__)
# What apps write down as well; each fails alone, and the thread's connection is given back afterwards.
ALSO: list[Callable[[], object]] = []


def start() -> None:
    """Start the thread. Only where a pool and callers can be: in a web process, after its fork."""
    threading.Thread(target=_run, name="pulse", daemon=True).start()


def _run() -> None:
    while True:
        try:
            beat()
        except Exception:  # the outermost loop of a thread
            logger.exception("the pool's figures could not be written down")
        for write in ALSO:
            try:
                write()
            except Exception:
                logger.exception("counts could not be written down; they are held for the next time")
        connections.close_all()
        time.sleep(SECONDS)


def beat() -> None:
    telemetry.turn_window()
    # Django's own `connection.pool` would open a pool that nobody has asked for yet.
    pools: dict[str, ConnectionPool[Any]] = DatabaseWrapper._connection_pools  # type: ignore[attr-defined]
    stats = [pool.get_stats() for pool in list(pools.values())]

    def total(name: str) -> int:
        return sum(one.get(name, 0) for one in stats)

    size, idle = total("pool_size"), total("pool_available")
    telemetry.db_pool_connections.labels("idle").set(idle)
    telemetry.db_pool_connections.labels("used").set(size - idle)
    telemetry.db_pool_waiting.set(total("requests_waiting"))
    telemetry.db_pool_size.set(total("pool_max"))
