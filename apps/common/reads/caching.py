"""Finished answers in Valkey, and one computation where many ask the same.

An answer is kept under `hub:{area}:{organization}:{hash}` for its time to live and never served longer. While it is
computed its key with `:lock` holds the computing request's token: whoever else needs the answer waits for it, in this
process on an event, in another by looking at the key. Waiting has an end, after which one computes for oneself. Where
Valkey is away nothing is kept, and one computation at a time remains within each process.
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from django.conf import settings
from redis import Redis

from apps.common import valkey
from apps.common.cells import Expiring
from apps.common.edge import deadline
from apps.common.edge.exceptions import translate
from apps.common.errors import ApiError
from apps.common.reads.answers import Entry, unpack
from apps.common.valkey import CacheDown

MAX_BYTES: Final = 4_000_000
EARLY: Final = 0.8  # of its time to live, after which one request computes an answer anew
SEEN_SECONDS: Final = 3_600  # since it was last computed; questions that end now have a new ETag each minute
_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.1
_ALONE: Final = ""  # the token of a computation that no lock in Valkey stands for
_OURS: Final = re.compile(rb"hub:[a-z_]+:\d+:[0-9a-f]{32}(:lock)?")
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) else return 0 end"


@dataclass(slots=True)
class _Flight:
    """A computation under way in this process."""

    done: threading.Event = field(default_factory=threading.Event)
    entry: Entry | None = None
    error: ApiError | None = None


_flights: dict[str, _Flight] = {}
_guard = threading.Lock()
# Keys whose early computation somebody has taken on: not asked again for every request that is served meanwhile.
_early: Expiring[str, bool] = Expiring(1.0)


def enabled() -> bool:
    return bool(settings.HUB.cache_enabled)


def patience() -> float:
    """For how many seconds another's computation is waited for: half the request's time, the rest is to compute."""
    return min(settings.HUB.request_timeout_seconds, deadline.remaining()) / 2


def _lock_name(key: str) -> str:
    return f"{key}:lock"


def get(key: str) -> Entry | None:
    """The answer under a key, if Valkey can be asked."""
    try:
        return unpack(valkey.call(lambda client: client.get(key)))  # type: ignore[arg-type]
    except CacheDown:
        return None


def put(key: str, entry: Entry, ttl: int) -> None:
    """Keep an answer until it is `ttl` seconds old, unless it is too large."""
    left = int((ttl - entry.age) * 1000)
    if entry.size <= MAX_BYTES and left > 0 and enabled():
        try:
            valkey.call(lambda client: client.set(key, entry.pack(), px=left))
        except CacheDown:
            return


def first_seen(organization_id: int, etag: str) -> float:
    """When this ETag was first given out, epoch seconds; 0 where nobody can tell."""
    if not enabled():
        return 0.0
    key, now = f"hub:seen:{organization_id}:{etag}", repr(time.time())

    def note(client: Redis) -> Any:
        with client.pipeline(transaction=False) as pipe:
            pipe.set(key, now, nx=True, ex=SEEN_SECONDS)
            pipe.getex(key, ex=SEEN_SECONDS)
            return pipe.execute()

    try:
        found = valkey.call(note)[1]
    except CacheDown:
        return 0.0
    return float(found) if found else 0.0


def _claim(key: str) -> tuple[str | None, Entry | None]:
    """Try to become the one who computes: the token (None: somebody else is), and what is kept by now."""
    token = secrets.token_hex(8)
    longest = (settings.HUB.request_timeout_seconds + 5) * 1000

    def attempt(client: Redis) -> Any:
        with client.pipeline(transaction=False) as pipe:
            pipe.set(_lock_name(key), token, nx=True, px=longest)
            pipe.get(key)
            return pipe.execute()

    if not enabled():
        return _ALONE, None
    try:
        taken, blob = valkey.call(attempt)
    except CacheDown:
        return _ALONE, None
    return (token if taken else None), unpack(blob)


def release(key: str, token: str) -> None:
    """Give up a computation that was claimed."""
    if token != _ALONE:
        try:
            valkey.call(lambda client: client.eval(_RELEASE, 1, _lock_name(key), token))
        except CacheDown:
            return  # it lapses by itself


def early_claim(key: str) -> str | None:
    """The token of the one request that computes an ageing answer anew; None for all others, who are served it."""
    if _early.get(key):
        return None
    _early.put(key, True)
    if key in _flights:
        return None
    token, _ = _claim(key)
    return token or None


def single(key: str, compute: Callable[[], Entry], ttl: int, token: str | None = None) -> tuple[Entry, bool]:
    """The answer, computed by one of all who ask for it at the same time.

    Args:
        token: of `early_claim`, where the caller has one.

    Returns:
        The answer, and whether somebody else computed it.

    Raises:
        ApiError: what the computation raised, for all who waited for it.
    """
    with _guard:
        flight = _flights.get(key)
        leads = flight is None
        if flight is None:
            flight = _flights[key] = _Flight()
    if not leads:
        if token is not None:
            release(key, token)
        return _wait(flight, compute)
    try:
        flight.entry, others = _lead(key, compute, ttl, token)
        return flight.entry, others
    except Exception as error:
        flight.error = translate(error)
        raise
    finally:
        with _guard:
            _flights.pop(key, None)
        flight.done.set()


def _wait(flight: _Flight, compute: Callable[[], Entry]) -> tuple[Entry, bool]:
    flight.done.wait(patience())
    if flight.entry is not None:
        return flight.entry, True
    if flight.error is not None:
        error = flight.error
        raise ApiError(
            error.entry.code,
            error.message,
            field=error.field,
            details=error.details,
            status=error.status,
            headers=dict(error.headers),
        )
    return compute(), False


def _lead(key: str, compute: Callable[[], Entry], ttl: int, token: str | None) -> tuple[Entry, bool]:
    """Compute, unless another process is at it or has just done it."""
    end, pause = time.monotonic() + patience(), _FIRST_PAUSE
    while token is None:
        token, kept = _claim(key)
        if kept is not None and kept.age < EARLY * ttl:
            if token is not None:
                release(key, token)
            return kept, True
        if token is None:
            if time.monotonic() >= end:
                token = _ALONE
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)
    try:
        entry = compute()
        put(key, entry, ttl)
        return entry, False
    finally:
        release(key, token)


def clear(organization_id: int | None = None) -> int:
    """Drop what is kept of answers, of one organization or of all; how many keys went.

    Raises:
        CacheDown: Valkey cannot be asked.
    """
    whose = "*" if organization_id is None else str(organization_id)

    def sweep(client: Redis) -> int:
        found = [key for key in client.scan_iter(match=f"hub:*:{whose}:*", count=1000) if _OURS.fullmatch(key)]
        return sum(int(client.unlink(key)) for key in found)

    return valkey.call(sweep)
