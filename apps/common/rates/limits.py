"""Token buckets: how many requests of a caller are taken, kept in Valkey by one atomic script (token_bucket.lua).

While Valkey is away each process keeps buckets of its own (local_limits.py), of a size divided by the web workers.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from redis.exceptions import NoScriptError, ResponseError

from apps.common import valkey
from apps.common.cells import Expiring
from apps.common.errors import ApiError
from apps.common.observe import telemetry
from apps.common.rates.bucket import Bucket
from apps.common.rates.local_limits import Outcome, local_buckets

logger = logging.getLogger(__name__)

SCRIPT: Final = Path(__file__).with_name("token_bucket.lua").read_text(encoding="utf-8")
_SHA: Final = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()  # the name Valkey gives it
_told: Expiring[str, bool] = Expiring(60)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a request's tokens, told of its tightest bucket.

    That is the one with the smallest part of its tokens left; where the request was refused, the one that lets it
    through last.

    Args:
        remaining: whole tokens that the bucket has left.
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

    def standing(self) -> dict[str, str]:
        """The headers that every answer has."""
        return {
            "X-RateLimit-Limit": str(self.bucket.per_minute),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset),
        }

    def headers(self) -> dict[str, str]:
        """Those, and where the request was refused when to come back."""
        made = self.standing()
        if not self.allowed:
            made["Retry-After"] = str(self.retry_after)
        return made


def refusal(verdict: Verdict, **details: Any) -> ApiError:
    """The 429 that names the tightest bucket."""
    bucket = verdict.bucket
    # A name with a slash is an endpoint's.
    what = f"requests to {bucket.name}" if "/" in bucket.name or bucket.name == "export" else bucket.name
    message = f"At most {bucket.per_minute} {what} a minute. Try again in {verdict.retry_after} s."
    told = {"bucket": bucket.name, "limit": bucket.per_minute, "burst": bucket.burst, "remaining": verdict.remaining}
    return ApiError(
        1500,
        message,
        details={**told, "reset": verdict.reset, "retry_after": verdict.retry_after, **details},
        headers=verdict.headers(),
    )


Charges = Sequence[tuple[Bucket, int]]


def take(charges: Charges, *, look_up: str | None = None, ask: bool = False) -> tuple[Verdict, bytes | None]:
    """Charge every bucket its tokens, or none if one refuses.

    More tokens than a bucket holds are given by a full one, which then lacks more than it holds.

    Args:
        charges: buckets of one hash tag with the tokens to take from each; 0 tokens are never refused.
        look_up: a cache key that is read in the same round trip.
        ask: only find out whether the tokens could be taken.

    Returns:
        The verdict, and what was under `look_up`.
    """
    try:
        outcome, found = run_script(script_arguments(charges, ask), look_up)
        local = False
    except valkey.CacheDown:
        outcome, found, local = local_buckets().take(charges, ask=ask), None, True
    allowed, worst, remaining, reset, retry_after = outcome
    bucket = charges[worst - 1][0]
    if not allowed:
        telemetry.rate_limited(bucket.name)
    telemetry.rate_remaining(bucket.name, remaining)
    return Verdict(allowed == 1, bucket, remaining, reset, retry_after, local), found


def script_arguments(charges: Charges, ask: bool) -> list[str | int]:
    """What token_bucket.lua is given, led by the number of its keys."""
    arguments: list[str | int] = [len(charges)]
    arguments += [bucket.key for bucket, _ in charges]
    for bucket, tokens in charges:
        arguments += (bucket.per_minute, bucket.burst, tokens)
    arguments.append(0 if ask else 1)
    return arguments


def run_script(arguments: list[str | int], look_up: str | None = None) -> tuple[Outcome, bytes | None]:
    """What the script answers, and what is under `look_up`: two commands, since that key may be on another node.

    Raises:
        CacheDown: the server is away, or cannot run the script now.
    """
    commands: list[valkey.Command] = [("EVALSHA", _SHA, *arguments)]
    if look_up is not None:
        commands.append(("GET", look_up))
    answers = valkey.exchange(*commands)
    if isinstance(answers[0], NoScriptError):
        # The server was restarted or has never seen the script; EVAL makes it known.
        answers[0] = valkey.exchange(("EVAL", SCRIPT, *arguments))[0]
    if isinstance(answers[0], ResponseError):
        if _told.get("error") is None:
            _told.put("error", True)
            logger.warning("the cache server cannot take tokens: %s", answers[0])
        raise valkey.CacheDown(str(answers[0]))
    found: Any = answers[1] if look_up is not None else None
    return tuple(answers[0]), found if isinstance(found, bytes) else None
