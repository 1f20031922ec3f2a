"""Token buckets in the process, for as long as Valkey is away: token_bucket.lua's rules, a share of its figures."""

from __future__ import annotations

import math
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Final

from django.conf import settings

from apps.common.rates.bucket import Bucket

MINUTE: Final = 60_000_000  # microseconds
MAX_BUCKETS: Final = 10_000

# As the script answers: allowed (1 or 0), place of the tightest bucket (from 1), its tokens left, the second in which
# it is full again, and after how many seconds a refused request would be let through.
Outcome = tuple[int, int, int, int, int]


class LocalBuckets:
    """Buckets of one process, each a part of the whole: one that fits into `workers` processes.

    Counted in units of which a token has `workers * MINUTE`, so that a bucket gains its `per_minute` units a
    microsecond: whole numbers, whatever the share. Not to be refused for good, a request may always take one token from
    a full bucket.

    Args:
        workers: the processes that share a limit.
        size: how many buckets are kept; beyond it those go that were asked for least lately.
    """

    def __init__(self, workers: int, size: int = MAX_BUCKETS) -> None:
        self._token = workers * MINUTE
        self._size = size
        self._lock = threading.Lock()
        # By key: the units that were lacking, at which microsecond, and per_minute and size of then.
        self._kept: OrderedDict[str, tuple[int, int, tuple[int, int]]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def take(self, charges: Sequence[tuple[Bucket, int]], *, ask: bool = False, now: int | None = None) -> Outcome:
        """Charge every bucket its tokens, or none if one refuses.

        Args:
            now: microseconds, instead of the clock's.
        """
        with self._lock:
            moment = time.time_ns() // 1000 if now is None else now
            lacking = [self._lacking(bucket, moment) for bucket, _ in charges]
            waits = [self._wait(*charge, lacks) for charge, lacks in zip(charges, lacking, strict=True)]
            longest = max(waits)
            if longest > 0:
                worst = waits.index(longest)
            else:
                if not ask:
                    lacking = [self._charge(*one, lacks, moment) for one, lacks in zip(charges, lacking, strict=True)]
                parts = [lacks / self._holds(bucket) for lacks, (bucket, _) in zip(lacking, charges, strict=True)]
                worst = parts.index(max(parts))
            return self._outcome(charges[worst][0], worst, lacking[worst], longest, moment)

    def _outcome(self, bucket: Bucket, place: int, lacking: int, wait: Fraction, now: int) -> Outcome:
        remaining = max(0, (self._holds(bucket) - lacking) // self._token)
        full_at = now + Fraction(lacking, bucket.per_minute)
        return int(wait <= 0), place + 1, remaining, math.ceil(full_at / 1_000_000), math.ceil(wait / 1_000_000)

    def _holds(self, bucket: Bucket) -> int:
        """The units of the share; at least one token."""
        return max(bucket.burst * MINUTE, self._token)

    def _lacking(self, bucket: Bucket, now: int) -> int:
        kept = self._kept.get(bucket.key)
        if kept is None:
            return 0
        lacked, at, figures = kept
        if now < at:  # the clock was set back: time goes on from here
            self._kept[bucket.key] = lacked, now, figures
        lacking = max(0, lacked - max(0, now - at) * figures[0])
        holds = self._holds(bucket)
        return lacking if figures == (bucket.per_minute, holds) else min(lacking, holds)

    def _wait(self, bucket: Bucket, tokens: int, lacking: int) -> Fraction:
        """Microseconds until the tokens are there."""
        holds = self._holds(bucket)
        short = lacking + min(tokens * self._token, holds) - holds
        return Fraction(short, bucket.per_minute) if tokens and short > 0 else Fraction(0)

    def _charge(self, bucket: Bucket, tokens: int, lacking: int, now: int) -> int:
        if tokens == 0:
            return lacking
        charged = lacking + tokens * self._token
        self._kept[bucket.key] = charged, now, (bucket.per_minute, self._holds(bucket))
        self._kept.move_to_end(bucket.key)
        while len(self._kept) > self._size:
            self._kept.popitem(last=False)
        return charged


@lru_cache(maxsize=1)
def local_buckets() -> LocalBuckets:
    """This process's; empty at first."""
    return LocalBuckets(settings.HUB.web_workers)


os.register_at_fork(after_in_child=local_buckets.cache_clear)
