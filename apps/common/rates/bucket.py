"""A token bucket: its name and its size."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket and its size.

    Args:
        key: its name in Valkey; buckets of one request share a hash tag, so that a cluster can try them in one script.
        per_minute: tokens that come back a minute, at least 1; the figure of X-RateLimit-Limit.
        burst: tokens that a full bucket holds, at least 1.
        name: what a 429 calls it.
    """

    key: str
    per_minute: int
    burst: int
    name: str = "requests"
