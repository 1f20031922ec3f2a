"""What happens again and again, and how often."""

from __future__ import annotations

from typing import TypedDict

from django.conf import settings


class Entry(TypedDict):
    """One line of the beat table. An entry that could not be delivered in time is dropped: the next one does it."""

    task: str
    schedule: float
    options: dict[str, float]


def every(seconds: float, task: str) -> Entry:
    return {"task": f"celery_worker.tasks.{task}", "schedule": seconds, "options": {"expires": seconds * 2}}


SCHEDULE: dict[str, Entry] = {
    "refresh the rollups": every(settings.HUB.rollup_refresh_seconds, "refresh_rollups"),
    "index what spans say": every(settings.HUB.rollup_refresh_seconds, "read_texts"),
    "look under the tombstones of deleted traces": every(30, "sweep_deleted"),
    "keep exports going": every(10, "sweep_exports"),
    "run schedules of exports": every(20, "run_schedules"),
    "remove files of exports that nobody has": every(3600, "sweep_export_files"),
    "carry on with repricing": every(10, "carry_on_repricing"),
    "make partitions ahead": every(3600, "prepare_storage"),
    "drop what has expired": every(6 * 3600, "drop_expired"),
    "remove sign-ins that have expired": every(24 * 3600, "remove_expired_sign_ins"),
}
