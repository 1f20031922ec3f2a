"""The readiness check of storage."""

from __future__ import annotations

from typing import Any

from django.db import connection

from apps.common.observe.readiness import NotReady
from apps.traces import storage


def storage_tier() -> dict[str, Any]:
    """The tables of spans are there; says on which tier they stand."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('span') IS NOT NULL AND to_regclass('span_content') IS NOT NULL")
        row = cursor.fetchone()
    if row is None or not row[0]:
        raise NotReady("the tables of spans are missing; run manage.py migrate")
    return {"tier": storage.tier()}
