"""What can be asked without any app: the readiness of database, migrations and cache, and what a scrape is told."""

from __future__ import annotations

import secrets
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from redis import Redis

from apps.common.observe.readiness import NotReady

_migrated = False


def database() -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version_num')::int / 10000")
        row = cursor.fetchone()
    return {"postgresql": row[0] if row else None}


def migrations() -> None:
    """Every migration on disk is applied. Once true it stays true for this process: its code does not change."""
    global _migrated
    if _migrated:
        return
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        raise NotReady(f"{len(plan)} migrations are not applied; run manage.py migrate")
    _migrated = True


def cache_server() -> dict[str, Any]:
    """A value written comes back. Without a cache server there is nothing to ask."""
    if not settings.REDIS_URL or not settings.HUB.cache_enabled:
        return {"used": False}
    key, value = "hub:ready", secrets.token_hex(4)
    cache.set(key, value, 10)
    if cache.get(key) is None:
        raise NotReady("the cache server does not answer")
    return {"used": True}


@lru_cache(maxsize=1)
def _broker() -> Redis | None:
    """The server behind broker and cache; a client of its own, since a scrape must neither trip nor heed a breaker."""
    if not settings.REDIS_URL:
        return None
    return Redis.from_url(settings.REDIS_URL, socket_connect_timeout=0.5, socket_timeout=0.5, max_connections=4)


def cache_size() -> float | None:
    broker = _broker()
    if broker is None:
        return None
    memory: dict[str, Any] = broker.info("memory")
    return float(memory["used_memory"])


# As celery_worker.app names them.
_QUEUE, _KEY_PREFIX = "hub", "hub:celery:"


def queue_depth() -> dict[tuple[str, ...], float] | None:
    """Tasks that wait, and those that a worker has taken."""
    broker = _broker()
    if broker is None:
        return None
    waiting, taken = broker.llen(f"{_KEY_PREFIX}{_QUEUE}"), broker.hlen(f"{_KEY_PREFIX}unacked")
    return {(_QUEUE, "waiting"): float(waiting), (_QUEUE, "taken"): float(taken)}
