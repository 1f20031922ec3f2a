"""Telling a worker that there is something to do. A message that gets lost is sent again by the sweep."""

from __future__ import annotations

import logging
from typing import Any, Final
from uuid import UUID

import celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

TASK: Final = "celery_worker.tasks.run_export"
QUEUE: Final = "exports"


def run_export(job_id: UUID, *, expires: float | None = None) -> bool:
    """Send for a worker; whether that could be done. It takes up whichever job's turn it is (`claim`)."""
    options: dict[str, Any] = {"queue": QUEUE}
    if expires is not None:
        options["expires"] = expires
    try:
        celery.current_app.send_task(TASK, args=[str(job_id)], **options)
    except (OperationalError, RedisError, OSError) as error:
        logger.warning("export %s could not be enqueued and waits for the sweep: %s", job_id, type(error).__name__)
        return False
    return True
