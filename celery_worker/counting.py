"""What tasks tell of themselves: counters for Prometheus, and how each ended last."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from billiard.process import current_process
from celery.exceptions import TimeLimitExceeded, WorkerLostError
from celery.signals import task_failure, task_postrun, task_prerun, task_revoked

from apps.common.observe import background, telemetry

_begun: dict[str, float] = {}
_told: deque[str] = deque(maxlen=100)  # Celery tells of a task past its hard limit twice


def short(name: str | None) -> str:
    return (name or "").rpartition(".")[2]


@task_prerun.connect
def _begin(task_id: str, **_: Any) -> None:
    _begun[task_id] = time.monotonic()


@task_postrun.connect
def _end(task_id: str, task: Any, state: str | None = None, **_: Any) -> None:
    seconds = time.monotonic() - _begun.pop(task_id, time.monotonic())
    _count(short(task.name), (state or "unknown").lower(), seconds)


@task_failure.connect
def _killed(sender: Any, task_id: str, exception: BaseException, **_: Any) -> None:
    """A task whose process was ended is told of by the parent; its own failures have been counted where it ran."""
    if isinstance(exception, TimeLimitExceeded | WorkerLostError) and task_id not in _told:
        _told.append(task_id)
        _count(short(sender.name), "killed", None)


@task_revoked.connect
def _not_begun(sender: Any, expired: bool = False, **_: Any) -> None:
    telemetry.task_ended(short(sender.name), "expired" if expired else "revoked", None)


def _count(task: str, state: str, seconds: float | None) -> None:
    telemetry.task_ended(task, state, seconds)
    background.remember_run(task, state, seconds or 0.0, str(getattr(current_process(), "name", "")))
