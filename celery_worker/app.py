"""The Celery application: broker, limits, and how its processes end."""

from __future__ import annotations

import warnings
from typing import Any

from celery import Celery
from celery.exceptions import CPendingDeprecationWarning, SecurityWarning
from celery.signals import setup_logging, task_postrun, task_prerun, worker_process_init
from django.conf import settings

from analytics_hub.launch.process import follow_parent
from apps.common import ids
from apps.common.observe.background import HUB, KEY_PREFIX
from celery_worker import counting, stopping, work  # noqa: F401 - they listen to the worker's signals
from celery_worker.beat import SCHEDULE

# To run as root, as containers do, is a choice that needs no comment at every start.
warnings.filterwarnings("ignore", category=SecurityWarning)
# So is what happens to running tasks when the broker is lost (worker_cancel_long_running_tasks_on_connection_loss).
warnings.filterwarnings("ignore", category=CPendingDeprecationWarning)

app = Celery(
    "analytics_hub", task_cls="celery_worker.base:HubTask", include=["celery_worker.tasks", "celery_worker.reporting"]
)
app.set_default()  # also for threads other than the one that imports this
app.conf.update(
    broker_url=settings.REDIS_URL,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_pool_limit=10,
    # A dead broker is noticed at once; what must not be lost is in the database, not in the queue.
    task_publish_retry_policy={"max_retries": 1, "interval_start": 0},
    task_ignore_result=True,
    task_queues=work.queues(),
    task_create_missing_queues=False,
    task_default_queue=HUB,
    task_routes=work.routes(),
    task_annotations=work.options(),
    broker_transport_options={
        "visibility_timeout": work.VISIBILITY_SECONDS,
        "global_keyprefix": KEY_PREFIX,
        # Whoever asks over HTTP does not wait for a broker that hangs.
        **({"socket_connect_timeout": 1.0, "socket_timeout": 2.0} if settings.PROCESS == "web" else {}),
    },
    worker_prefetch_multiplier=1,
    worker_max_memory_per_child=400_000,
    worker_hijack_root_logger=False,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    beat_schedule=SCHEDULE,
    beat_scheduler="celery_worker.scheduler:LeasedScheduler",
    enable_utc=True,
    timezone="UTC",
)
# Celery closes the database connection after every task, and that is wanted: one kept open (CELERY_DB_REUSE_MAX) stays
# in use after the server has restarted, and every further task fails on it.


@worker_process_init.connect
def _end_with_the_worker(**_: Any) -> None:
    """A pool process whose parent was killed would wait for work for ever."""
    follow_parent()


@setup_logging.connect
def _log_like_the_rest(**_: Any) -> None:
    """That somebody listens keeps Celery from setting up loggers of its own: Django has set up the hub's."""


@task_prerun.connect
def _name_the_task(task_id: str, **_: Any) -> None:
    """The lines of a task carry its id where those of a request carry the request's."""
    ids.current.set(task_id)


@task_postrun.connect
def _forget_the_task(**_: Any) -> None:
    ids.current.set("")
