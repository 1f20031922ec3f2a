"""Which workers there are and what they work on, asked of them over the broker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from celery import current_app

COMMAND: Final = "hub_at_work"  # celery_worker.reporting answers it
WAIT_SECONDS: Final = 0.7  # nobody knows how many will answer, so all of it is waited


@dataclass(frozen=True, slots=True)
class Running:
    """A task that a worker is at."""

    task: str
    arguments: tuple[str, ...]
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker, as it describes itself."""

    name: str
    queues: tuple[str, ...]
    processes: int
    stopping: bool
    running: tuple[Running, ...]


def workers(seconds: float = WAIT_SECONDS) -> list[Worker]:
    """Those that answer in time, by name.

    Raises:
        kombu.exceptions.OperationalError, redis.RedisError, OSError: the broker is away.
    """
    answers: Any = current_app.control.broadcast(COMMAND, reply=True, timeout=seconds)
    found = [_worker(name, told) for answer in answers or () for name, told in answer.items() if "queues" in told]
    return sorted(found, key=lambda one: one.name)


def _worker(name: str, told: Mapping[str, Any]) -> Worker:
    running = tuple(
        Running(one["task"], tuple(one["arguments"]), _moment(one["since"])) for one in told.get("running", ())
    )
    return Worker(name, tuple(told["queues"]), int(told["processes"]), bool(told["stopping"]), running)


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
