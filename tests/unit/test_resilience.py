"""Trying again, and leaving alone what is away."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import Any

import pytest
import stamina

from apps.common import resilience
from apps.common.resilience import Breaker, Down, patiently


class Server:
    """Fails as often as it is told to."""

    def __init__(self, failures: int, error: type[Exception] = ConnectionError) -> None:
        self.failures, self.error, self.calls = failures, error, 0

    def ask(self) -> str:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error("away")
        return "here"


def test_three_tries_each_after_twice_the_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    stamina.instrumentation.set_on_retry_hooks([lambda details: pauses.append(details.wait_for)])
    try:
        monkeypatch.setattr(resilience, "JITTER_SECONDS", 0.0)
        server = Server(2)
        assert patiently(server.ask, ConnectionError) == "here"
        assert pauses == pytest.approx([0.1, 0.2])
        server = Server(3)
        with pytest.raises(ConnectionError):
            patiently(server.ask, ConnectionError)
        assert server.calls == 3
    finally:
        stamina.instrumentation.set_on_retry_hooks(None)


def test_pauses_are_spread() -> None:
    pauses: set[float] = set()
    stamina.instrumentation.set_on_retry_hooks([lambda details: pauses.add(details.wait_for)])
    try:
        for _ in range(3):
            patiently(Server(1).ask, ConnectionError)
    finally:
        stamina.instrumentation.set_on_retry_hooks(None)
    assert len(pauses) == 3
    assert all(0.1 <= pause <= 0.15 for pause in pauses)


def test_other_errors_are_not_tried_again() -> None:
    server = Server(1, ValueError)
    with pytest.raises(ValueError, match="away"):
        patiently(server.ask, ConnectionError)
    assert server.calls == 1


def test_a_breaker_opens_tries_and_closes_after_three_successes() -> None:
    breaker = Breaker("a server", ConnectionError, failures=3, seconds=0.1)
    server = Server(4)
    for _ in range(3):
        with pytest.raises(ConnectionError):
            breaker.run(server.ask)
    assert breaker.state == "open"
    with pytest.raises(Down):
        breaker.run(server.ask)
    assert server.calls == 3, "it was left alone"
    time.sleep(0.12)
    with pytest.raises(ConnectionError):
        breaker.run(server.ask)
    assert (server.calls, breaker.state) == (4, "open"), "one trial, and it failed"
    time.sleep(0.12)
    states = []
    for _ in range(3):
        assert breaker.run(server.ask) == "here"
        states.append(breaker.state)
    assert states == ["half-open", "half-open", "closed"]


def test_failures_must_be_in_a_row_and_of_the_server() -> None:
    breaker = Breaker("a server", ConnectionError, failures=2, seconds=60)

    def run(function: Any) -> None:
        with suppress(ConnectionError, ValueError):
            breaker.run(function)

    for _ in range(3):
        run(Server(1).ask)
        run(Server(0).ask)
        run(Server(1, ValueError).ask)
    assert breaker.state == "closed"


def test_calls_do_not_wait_for_each_other() -> None:
    """A slow call through a closed breaker must not hold up others."""
    breaker = Breaker("a server", ConnectionError)
    go = threading.Event()
    slow = threading.Thread(target=lambda: breaker.run(lambda: go.wait(20)))
    slow.start()
    assert breaker.run(lambda: "quick") == "quick"
    go.set()
    slow.join()
