"""Telling a worker that there is something to do. A message that gets lost is sent again by the sweep."""

from __future__ import annotations

import logging
from typing import Final
from uuid import UUID

import celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from apps.common.observe.background import EXPORTS, queue_depths

logger = logging.getLogger(__name__)

TASK: Final = "celery_worker.tasks.run_export"


def run_export(job_id: UUID) -> bool:
    """Send for a worker; whether that could be done. It takes up whichever job's turn it is (`claim`)."""
    try:
        celery.current_app.send_task(TASK, args=[str(job_id)], queue=EXPORTS)
    except (OperationalError, RedisError, OSError) as error:
        logger.warning("export %s could not be enqueued and waits for the sweep: %s", job_id, type(error).__name__)
        return False
    return True


def waiting() -> int:
    """How many messages no worker has taken yet; 0 where nobody knows."""
    try:
        depths = queue_depths() or {}
    except RedisError:
        return 0
    return int(depths.get((EXPORTS, "waiting"), 0))
