"""Background work as others see it: its queues, who sends what is periodic, and how each task ended last.

All of it is in the broker's database, beside the queues, so that emptying the cache does not take it. Nobody may depend
on it: it is lost with the broker's data.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from django.conf import settings
from redis import Redis
from redis.exceptions import RedisError

HUB: Final = "hub"  # short and often: rollups, texts, what keeps exports going
EXPORTS: Final = "exports"  # the exports themselves
MAINTENANCE: Final = "maintenance"  # retention, partitions, repricing
QUEUES: Final = (HUB, EXPORTS, MAINTENANCE)
KEY_PREFIX: Final = "hub:celery:"  # of Celery's own keys
LEASE: Final = "hub:background:beat"  # which beat sends
SENT: Final = "hub:background:sent"  # by entry of the beat table: when it was sent last
RAN: Final = "hub:background:ran"  # by task: how it ended last
MOST_TAKEN = 10_000


@lru_cache(maxsize=1)
def broker() -> Redis | None:
    """The server behind broker and cache; a client of its own, since a scrape must neither trip nor heed a breaker."""
    if not settings.REDIS_URL:
        return None
    return Redis.from_url(settings.REDIS_URL, socket_connect_timeout=0.5, socket_timeout=0.5, max_connections=4)


def queue_depths() -> dict[tuple[str, ...], float] | None:
    """Tasks that wait, and those that a worker has taken, by queue."""
    server = broker()
    if server is None:
        return None
    with server.pipeline(transaction=False) as asked:
        for queue in QUEUES:
            asked.llen(f"{KEY_PREFIX}{queue}")
        asked.hlen(f"{KEY_PREFIX}unacked")
        *waiting, held = asked.execute()
    taken = _taken(server) if held <= MOST_TAKEN else Counter()
    depths: dict[tuple[str, ...], float] = {}
    for queue, number in zip(QUEUES, waiting, strict=True):
        depths[queue, "waiting"] = float(number)
        if held <= MOST_TAKEN:
            depths[queue, "taken"] = float(taken[queue])
    return depths


def _taken(server: Redis) -> Counter[str]:
    """By queue. A held message is kept as [message, exchange, routing key], and our routing keys are queues."""
    held: list[bytes] = server.hvals(f"{KEY_PREFIX}unacked")  # type: ignore[assignment]
    return Counter(str(json.loads(one)[2]) for one in held)


@dataclass(frozen=True, slots=True)
class Ran:
    """How a task ended the last time that it ran to its end."""

    task: str
    at: float
    state: str
    seconds: float
    process: str


def remember_run(task: str, state: str, seconds: float, process: str) -> None:
    """Keep how a task ended. Without a broker nobody is told; nothing else suffers."""
    server = broker()
    if server is None:
        return
    kept = {"at": time.time(), "state": state, "seconds": round(seconds, 3), "process": process}
    try:
        server.hset(RAN, task, json.dumps(kept))
    except RedisError:
        return


def last_runs() -> dict[str, Ran]:
    """
    Raises:
        RedisError: the broker does not answer.
    """
    server = broker()
    kept: dict[bytes, bytes] = server.hgetall(RAN) if server is not None else {}  # type: ignore[assignment]
    return {name.decode(): Ran(name.decode(), **json.loads(value)) for name, value in kept.items()}


def last_sent() -> dict[str, float]:
    """By entry of the beat table, the time of its last sending.

    Raises:
        RedisError: the broker does not answer.
    """
    server = broker()
    kept: dict[bytes, bytes] = server.hgetall(SENT) if server is not None else {}  # type: ignore[assignment]
    return {name.decode(): float(value) for name, value in kept.items()}


@dataclass(frozen=True, slots=True)
class Holder:
    """Which beat sends, and for how long unless it says so again."""

    name: str
    seconds_left: float


def lease_holder() -> Holder | None:
    """
    Raises:
        RedisError: the broker does not answer.
    """
    server = broker()
    if server is None:
        return None
    with server.pipeline(transaction=False) as asked:
        asked.get(LEASE)
        asked.pttl(LEASE)
        held, left = asked.execute()
    return Holder(held.decode(), max(0, left) / 1000) if held is not None else None
