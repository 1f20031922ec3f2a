"""How the hub deals with servers that may be away: try again a little later, and leave them alone while they are.

`patiently` tries again by one policy for everybody: 100 ms, doubling, three tries, never more than 30 s, spread so that
many do not come back at once. A `Breaker` fails at once after a number of failures in a row, lets a trial through after
a while, and is closed again by three successes.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar

import stamina
from pybreaker import STATE_CLOSED, CircuitBreaker, CircuitBreakerError, CircuitBreakerListener, CircuitBreakerState

logger = logging.getLogger(__name__)

TRIES: Final = 3
FIRST_SECONDS: Final = 0.1
MOST_SECONDS: Final = 30.0
JITTER_SECONDS: Final = 0.05
FAILURES: Final = 5
RETRY_SECONDS: Final = 10.0
SUCCESSES: Final = 3

T = TypeVar("T")
Errors = type[Exception] | tuple[type[Exception], ...]


def patiently(function: Callable[[], T], on: Errors | Callable[[Exception], bool], *, tries: int = TRIES) -> T:
    """What a function makes, tried again where it raises one of these.

    Raises:
        Exception: what the last try raised, or at once what is none of these.
    """
    policy = stamina.RetryingCaller(
        attempts=tries,
        timeout=None,
        wait_initial=FIRST_SECONDS,
        wait_max=MOST_SECONDS,
        wait_jitter=JITTER_SECONDS,
        wait_exp_base=2,
    )
    return policy(on, function)


class Down(Exception):
    """It has just failed others and is left alone for a moment, or it failed now."""


class _Tell(CircuitBreakerListener):
    """Tells of the server's going and coming. One that stays away is tried again and again; that is no news."""

    def __init__(self, suspected: Callable[[], object]) -> None:
        self.suspected = suspected

    def state_change(
        self, cb: CircuitBreaker, old_state: CircuitBreakerState | None, new_state: CircuitBreakerState
    ) -> None:
        before = old_state.name if old_state else "new"
        level = logging.WARNING if STATE_CLOSED in (before, new_state.name) else logging.DEBUG
        logger.log(level, "circuit breaker of %s: %s, was %s", cb.name, new_state.name, before)
        if new_state.name != STATE_CLOSED:
            self.suspected()


class Breaker:
    """The circuit breaker of one server, in this process.

    Args:
        name: of the server, for the log.
        broken: the errors that say that it is away; others pass through and count as an answer.
        suspected: called whenever it opens or lets a trial through.
    """

    def __init__(
        self,
        name: str,
        broken: Errors | Callable[[Exception], bool],
        *,
        failures: int = FAILURES,
        seconds: float = RETRY_SECONDS,
        suspected: Callable[[], object] = lambda: None,
    ) -> None:
        self._broken: Callable[[Any], bool] = (
            broken if not isinstance(broken, type | tuple) else lambda error: isinstance(error, broken)
        )
        self._breaker = CircuitBreaker(
            failures,
            seconds,
            SUCCESSES,
            exclude=[lambda error: not self._broken(error)],
            listeners=[_Tell(suspected)],
            name=name,
            throw_new_error_on_trip=False,
        )
        self._trial = threading.Lock()

    @property
    def state(self) -> str:
        """closed, open or half-open."""
        return self._breaker.current_state

    def run(self, function: Callable[[], T]) -> T:
        """
        Raises:
            Down: it is left alone just now.
            Exception: what the function raised.
        """
        if self._breaker.current_state != STATE_CLOSED:
            return self._try(function)
        # Not through pybreaker, which lets one call in at a time: it is only told how the call ended.
        try:
            result = function()
        except Exception as error:
            self._report(error)
            raise
        if self._breaker.fail_counter:
            self._report(None)
        return result

    def _try(self, function: Callable[[], T]) -> T:
        """One call at a time finds out whether the server is back; the others do not wait."""
        if not self._trial.acquire(blocking=False):
            raise Down(f"{self._breaker.name} is away; somebody else is trying")
        try:
            return self._breaker.call(function)
        except CircuitBreakerError as error:
            raise Down(f"{self._breaker.name} is away") from error
        finally:
            self._trial.release()

    def _report(self, error: Exception | None) -> None:
        def outcome() -> None:
            if error is not None:
                raise error

        try:
            self._breaker.call(outcome)
        except CircuitBreakerError:
            pass
        except Exception as same:
            if same is not error:
                raise
