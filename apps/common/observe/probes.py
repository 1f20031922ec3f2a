"""What can be asked without any app: the readiness of database, migrations and cache, and what a scrape is told."""

from __future__ import annotations

import secrets
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from apps.common.observe.background import broker
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


def cache_size() -> float | None:
    server = broker()
    if server is None:
        return None
    memory: dict[str, Any] = server.info("memory")
    return float(memory["used_memory"])
