"""The beat: one of any number sends what is periodic, the others wait to take its place.

Whoever holds a lease in the broker sends; it renews the lease before each sending, and the others ask for it every few
seconds. A beat that was killed is replaced when its lease has run out, one that ends gives it back. When each entry was
sent last is kept beside the lease, so that the next holder neither repeats nor leaves out: an entry that nobody knows
to have been sent is sent at once. There is no file.

A beat that slept through the end of its lease sends at most the one entry it was about to send. That does no harm,
since all periodic tasks may run twice.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from celery.beat import ScheduleEntry, Scheduler, SchedulingError
from django.conf import settings
from redis import Redis
from redis.exceptions import RedisError

from apps.common.observe.background import LEASE, SENT

logger = logging.getLogger(__name__)
NEVER = datetime.fromtimestamp(0, UTC)
T = TypeVar("T")

_HOLD = """
local held = redis.call('GET', KEYS[1])
if held == false or held == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return 1
end
return 0
"""
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class Lease:
    """The right to send, for some seconds at a time."""

    def __init__(self, url: str, seconds: float) -> None:
        self.name = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._milliseconds = int(seconds * 1000)
        self._server = Redis.from_url(url, socket_connect_timeout=1, socket_timeout=1)

    def hold(self) -> bool:
        """Take it or renew it; whether it is ours. Nobody has it while the broker is away."""
        return bool(self._asked(lambda: self._server.eval(_HOLD, 1, LEASE, self.name, self._milliseconds)))

    def release(self) -> None:
        self._asked(lambda: self._server.eval(_RELEASE, 1, LEASE, self.name))

    def note(self, entry: str) -> None:
        self._asked(lambda: self._server.hset(SENT, entry, repr(time.time())))

    def sent(self) -> dict[str, float] | None:
        """When each entry was sent last; None while the broker is away."""
        kept: Any = self._asked(lambda: self._server.hgetall(SENT))
        return None if kept is None else {name.decode(): float(at) for name, at in kept.items()}

    def _asked(self, ask: Callable[[], T]) -> T | None:
        try:
            return ask()
        except RedisError:
            return None


class LeasedScheduler(Scheduler):
    """Celery's scheduler, that does nothing without the lease."""

    lease_seconds = 15.0
    renew_seconds = 3.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._lease = Lease(settings.REDIS_URL, self.lease_seconds)
        self._holds = self._waited = self._failed = False
        super().__init__(*args, **kwargs)

    def setup_schedule(self) -> None:
        super().setup_schedule()
        for entry in self.schedule.values():
            entry.last_run_at = NEVER

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send at most one entry that is due; the seconds until the next tick."""
        if self._failed or not self._lease.hold() or not (self._holds or self._take_over()):
            if self._holds and not self._failed:
                logger.warning("this beat has lost the right to send what is periodic")
            elif not self._waited:
                logger.info("this beat waits: another one sends what is periodic, or the broker is away")
            self._holds, self._waited, self._failed = False, True, False
            return self.renew_seconds
        return float(min(super().tick(*args, **kwargs), self.renew_seconds))

    def _take_over(self) -> bool:
        """Learn what was sent before; whether that could be read."""
        sent = self._lease.sent()
        if sent is None:
            return False
        now = time.time()
        for entry in self.schedule.values():
            kept = datetime.fromtimestamp(min(sent.get(str(entry.name), 0.0), now), UTC)
            entry.last_run_at = max(kept, entry.last_run_at or NEVER)
        self._heap = None  # made anew from these
        if self._waited:
            logger.info("this beat sends what is periodic from now on")
        self._holds = True
        return True

    def apply_entry(self, entry: ScheduleEntry, producer: Any = None) -> None:
        """Send one. What could not be sent stays due."""
        try:
            self.apply_async(entry, producer=producer, advance=False)
        except SchedulingError as error:
            logger.warning("%s could not be sent: %s", entry.name, error)
            self.schedule[str(entry.name)] = entry  # as it was before it was taken for sent
            self._heap, self._failed = None, True
        else:
            self._lease.note(str(entry.name))

    def close(self) -> None:
        self._lease.release()
        super().close()
