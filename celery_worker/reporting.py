"""What a worker answers when the administration asks what it is at."""

from __future__ import annotations

from typing import Any

from celery.worker import state as worker_state
from celery.worker.control import inspect_command

from apps.common.observe.workers import COMMAND
from celery_worker.stopping import stopping

MOST_ARGUMENTS = 5


@inspect_command(name=COMMAND)
def at_work(state: Any, **_: Any) -> dict[str, Any]:
    """Its queues, its pool, and the tasks that it works on."""
    consumer = state.consumer
    return {
        "queues": sorted(queue.name for queue in consumer.task_consumer.queues),
        "processes": consumer.pool.num_processes,
        "stopping": stopping(),
        "running": [
            {
                "task": request.name.rpartition(".")[2],
                "arguments": [str(argument) for argument in request.args][:MOST_ARGUMENTS],
                "since": request.time_start,
            }
            for request in list(worker_state.active_requests)
        ],
    }
