"""The tasks: each calls one service."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from celery import shared_task


def _service(module: str, name: str) -> Callable[..., Any]:
    if importlib.util.find_spec(module) is None:
        return lambda *_: None
    service: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return service


@shared_task
def refresh_rollups() -> None:
    _service("apps.metrics.refresh", "refresh")()


@shared_task
def prepare_storage() -> None:
    _service("apps.traces.storage", "prepare")(datetime.now(UTC))


@shared_task
def drop_expired() -> None:
    _service("apps.traces.storage", "drop_expired")(datetime.now(UTC))
