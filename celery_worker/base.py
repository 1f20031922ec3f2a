"""What every task does with an error that may pass: it is tried again, a moment later."""

from __future__ import annotations

import random
from typing import Any

import psycopg
import psycopg_pool
from celery import Task
from django.db import InterfaceError, OperationalError
from redis.exceptions import ConnectionError as BrokerConnectionError
from redis.exceptions import TimeoutError as BrokerTimeout

from apps.common.resilience import FIRST_SECONDS, MOST_SECONDS, TRIES
from apps.common.valkey import CacheDown

# A server that is away, or a network between: not what a task itself does wrong.
PASSING = (
    *(OperationalError, InterfaceError, psycopg.OperationalError, psycopg_pool.PoolTimeout),
    *(BrokerConnectionError, BrokerTimeout, CacheDown, ConnectionError, TimeoutError),
)


def pause(tries: int) -> float:
    """Seconds until the next try after so many: doubling, capped, and spread so that many do not come back at once."""
    longest = min(MOST_SECONDS, FIRST_SECONDS * 2 ** (tries - 1))
    return random.uniform(longest / 2, longest)  # noqa: S311 - it spreads, it hides nothing


class HubTask(Task[Any, Any]):
    """The class of all tasks."""

    abstract = True
    max_retries = TRIES - 1

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().__call__(*args, **kwargs)
        except PASSING as error:
            # Sent anew instead of waited for here: the process is free for others in the meantime.
            raise self.retry(exc=error, countdown=pause(self.request.retries + 1)) from error
