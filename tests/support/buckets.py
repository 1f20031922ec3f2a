"""Token buckets as they are defined, in fractions: what the script and the local limiter are held against."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from apps.common.rates.bucket import Bucket
from apps.common.rates.local_limits import Outcome


class ModelBucket:
    """One bucket; time is in microseconds."""

    def __init__(self, per_minute: Fraction, burst: Fraction, now: int) -> None:
        self.per_minute = per_minute
        self.burst = burst
        self.level = burst
        self.at = now

    def settled(self, per_minute: Fraction, burst: Fraction, now: int) -> ModelBucket:
        """The bucket after time passed at the old figures, with the new ones: it lacks no more than the new size."""
        level = min(self.burst, self.level + Fraction(max(0, now - self.at), 60_000_000) * self.per_minute)
        settled = ModelBucket(per_minute, burst, now)
        missing = self.burst - level
        if (per_minute, burst) != (self.per_minute, self.burst):
            missing = min(missing, burst)
        settled.level = burst - missing
        return settled

    def wait(self, tokens: int) -> Fraction:
        """Seconds until so many tokens are there, or the bucket is full."""
        return max(Fraction(0), min(Fraction(tokens), self.burst) - self.level) * 60 / self.per_minute

    def full_at(self, now: int) -> Fraction:
        return Fraction(now, 1_000_000) + (self.burst - self.level) * 60 / self.per_minute


class Model:
    """All buckets.

    Args:
        share: by how much every figure is divided.
        least: what a bucket holds at least.
    """

    def __init__(self, share: int = 1, least: int = 0) -> None:
        self.share = share
        self.least = least
        self.buckets: dict[str, ModelBucket] = {}

    def take(self, charges: Sequence[tuple[Bucket, int]], now: int, *, ask: bool = False) -> Outcome:
        tried = [self._bucket(bucket, now) for bucket, _ in charges]
        waits = [one.wait(tokens) if tokens else Fraction(0) for one, (_, tokens) in zip(tried, charges, strict=True)]
        worst = waits.index(max(waits))
        allowed = waits[worst] == 0
        if allowed:
            for one, (bucket, tokens) in zip(tried, charges, strict=True):
                if tokens and not ask:  # whatever charges nothing leaves no trace
                    one.level -= tokens
                    self.buckets[bucket.key] = one
            worst = min(range(len(tried)), key=lambda place: tried[place].level / tried[place].burst)
        tightest = tried[worst]
        left = max(0, math.floor(tightest.level))
        return int(allowed), worst + 1, left, math.ceil(tightest.full_at(now)), math.ceil(waits[worst])

    def _bucket(self, bucket: Bucket, now: int) -> ModelBucket:
        per_minute = Fraction(bucket.per_minute, self.share)
        burst = max(Fraction(bucket.burst, self.share), Fraction(self.least))
        found = self.buckets.get(bucket.key) or ModelBucket(per_minute, burst, now)
        return found.settled(per_minute, burst, now)
