"""Continuous aggregates over the minute cells."""

from __future__ import annotations

from datetime import datetime

from django.db.backends.utils import CursorWrapper

HYPERTABLES = frozenset({"usage_1m"})
AGGREGATES = frozenset({"usage_15m", "usage_1h", "usage_1d"})
SOURCES = {"usage_project_1h": "usage_1m"}


def drop_chunks(cursor: CursorWrapper, table: str, floor: datetime) -> int:
    return 0
