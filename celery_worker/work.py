"""What each task may take: its queue, its time, and whether it may run a second time. The only place for these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kombu import Queue

from apps.common.observe.background import EXPORTS, HUB, MAINTENANCE, QUEUES

MINUTE, HOUR = 60, 3600
LAST_WORDS = 60  # between the soft limit, an exception in the task, and the hard one, which kills its process
# A message that no worker has acknowledged for so long is given to another one: longer than any task may take.
VISIBILITY_SECONDS = 6 * HOUR


@dataclass(frozen=True, slots=True)
class Work:
    """One task's share.

    Args:
        seconds: its soft limit.
        again: running it twice, also at once, does what running it once does. Its message is acknowledged when it has
            ended, so that the end of a worker leaves it to another one; else when it begins.
    """

    queue: str
    seconds: int
    again: bool = False

    @property
    def hard_seconds(self) -> int:
        return self.seconds + LAST_WORDS


# What is cut off goes on at the next beat: all of these keep their progress in the database. Those that run at once
# exclude each other there, by locks and by rows that are claimed.
TASKS: dict[str, Work] = {
    "refresh_rollups": Work(HUB, HOUR, again=True),
    "read_texts": Work(HUB, HOUR // 2, again=True),
    # Longer than the longest deadline that an export may have.
    "run_export": Work(EXPORTS, 5 * HOUR + 10 * MINUTE, again=True),
    "sweep_exports": Work(HUB, 10 * MINUTE, again=True),
    "run_schedules": Work(HUB, 10 * MINUTE, again=True),
    "sweep_export_files": Work(MAINTENANCE, HOUR, again=True),
    "carry_on_repricing": Work(MAINTENANCE, HOUR, again=True),
    "sweep_deleted": Work(MAINTENANCE, HOUR, again=True),
    "prepare_storage": Work(MAINTENANCE, 10 * MINUTE, again=True),
    "drop_expired": Work(MAINTENANCE, 4 * HOUR, again=True),
    "remove_expired_sign_ins": Work(MAINTENANCE, 10 * MINUTE, again=True),
}


def full_name(task: str) -> str:
    return f"celery_worker.tasks.{task}"


def queues() -> list[Queue]:
    return [Queue(name) for name in QUEUES]


def routes() -> dict[str, dict[str, str]]:
    return {full_name(name): {"queue": work.queue} for name, work in TASKS.items()}


def options() -> dict[str, dict[str, Any]]:
    """As Celery puts them on the tasks."""
    return {
        full_name(name): {
            "soft_time_limit": work.seconds,
            "time_limit": work.hard_seconds,
            "acks_late": work.again,
        }
        for name, work in TASKS.items()
    }
