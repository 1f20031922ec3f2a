"""The one way request code talks to Valkey: short timeouts, no retries, and a circuit breaker per process.

Whoever calls must go on without an answer (`CacheDown`). A request waits for a server that does not answer at most
once: after its first failure its further calls fail at once, and after `FAILURES` failures in a row those of every
request do, until a trial every `RETRY_SECONDS` has found the server again.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from django.conf import settings
from redis import ConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry

from apps.common import ids
from apps.common.resilience import Breaker, Down

TIMEOUT_SECONDS: Final = 0.25  # for a connection, and again for an answer
MAX_CONNECTIONS: Final = 128  # twice the threads that a web process may have; they are opened as needed
FAILURES: Final = 3
RETRY_SECONDS: Final = 2.0

T = TypeVar("T")
Command = tuple[str | bytes | int, ...]
_BROKEN = (RedisError, OSError)


class CacheDown(Exception):
    """Valkey cannot be asked just now, or there is none."""


class _Guard:
    """A pool of connections and its circuit breaker."""

    def __init__(self, url: str) -> None:
        self.pool = ConnectionPool.from_url(
            url,
            max_connections=MAX_CONNECTIONS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            socket_timeout=TIMEOUT_SECONDS,
            **({} if url.startswith("unix:") else {"socket_keepalive": True}),
            retry=Retry(NoBackoff(), 0),
            health_check_interval=0,  # the pool looks at a connection before it gives it away
            protocol=2,
        )
        self.client = Redis(connection_pool=self.pool)
        self.breaker = Breaker(
            "the cache server",
            _BROKEN,
            failures=FAILURES,
            seconds=RETRY_SECONDS,
            # Connections that nobody uses may be dead.
            suspected=lambda: self.pool.disconnect(inuse_connections=False),
        )
        self.failed = threading.local()

    def run(self, function: Callable[[], T]) -> T:
        if self._failed_before():
            raise CacheDown("it failed this request before")
        try:
            return self.breaker.run(function)
        except Down as error:
            raise CacheDown(str(error)) from error
        except _BROKEN as error:
            self._remember()
            raise CacheDown(str(error)) from error

    def _remember(self) -> None:
        self.failed.request, self.failed.at = ids.current.get(), time.monotonic()

    def _failed_before(self) -> bool:
        """Whether it was this request that failed: the very id object, since callers may send the same id again."""
        request = getattr(self.failed, "request", None)
        return bool(request) and request is ids.current.get() and time.monotonic() - self.failed.at < 1

    def exchange(self, commands: tuple[Command, ...]) -> list[Any]:
        connection: Any = self.pool.get_connection()
        try:
            connection.send_packed_command(connection.pack_commands(commands))
            return [_reply(connection) for _ in commands]
        except BaseException:
            connection.disconnect()  # an answer that nobody read must not be taken for the next one's
            raise
        finally:
            self.pool.release(connection)


def _reply(connection: Any) -> Any:
    try:
        return connection.read_response()
    except ResponseError as error:
        return error


_guard: _Guard | None = None
_making = threading.Lock()


def _the_guard() -> _Guard:
    global _guard
    if _guard is None:
        if not settings.VALKEY_URL:
            raise CacheDown("REDIS_URL is not set")
        with _making:
            _guard = _guard or _Guard(settings.VALKEY_URL)
    return _guard


def forget() -> None:
    """Start anew: a forked child must not share its parent's connections, and a test names another server."""
    global _guard, _making
    _guard, _making = None, threading.Lock()


os.register_at_fork(after_in_child=forget)


def call(function: Callable[[Redis], T]) -> T:
    """What a function makes of the cache server's client.

    Raises:
        CacheDown: the server failed, does not answer in time, has just failed others, or there is none.
    """
    guard = _guard or _the_guard()
    return guard.run(lambda: function(guard.client))


def exchange(*commands: Command) -> list[Any]:
    """The answers to commands sent in one round trip, at half the cost of redis-py's pipeline.

    An error that the server answers to a command is in its place, as a `redis.ResponseError`.

    Raises:
        CacheDown: as for `call`.
    """
    guard = _guard or _the_guard()
    return guard.run(lambda: guard.exchange(commands))
