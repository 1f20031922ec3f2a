"""What requests see of Valkey while it comes and goes."""

from __future__ import annotations

import logging
import multiprocessing
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from apps.common import ids, valkey
from tests.support.valkey import OwnValkey, own_valkey


@pytest.fixture(scope="module")
def server() -> Iterator[OwnValkey]:
    with own_valkey() as running:
        yield running


@pytest.fixture
def own(server: OwnValkey, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnValkey]:
    """The server of this module, running and empty, asked by a guard without a past."""
    settings.VALKEY_URL = server.url
    monkeypatch.setattr(valkey, "RETRY_SECONDS", 0.3)
    monkeypatch.setattr(valkey, "TIMEOUT_SECONDS", 0.5)
    valkey.forget()
    yield server
    if server.process.poll() is not None:
        server.start()
    server.resume()
    valkey.forget()


def ping() -> bool:
    return bool(valkey.call(lambda client: client.ping()))


def is_down() -> bool:
    try:
        return not ping()
    except valkey.CacheDown:
        return True


def await_return() -> None:
    deadline = time.monotonic() + 10
    while is_down():
        assert time.monotonic() < deadline, "the cache server is not found again"
        time.sleep(0.05)


def state() -> str:
    return valkey._the_guard().breaker.state


def in_threads(count: int, work: Any) -> list[Any]:
    results: list[Any] = []
    threads = [threading.Thread(target=lambda: results.append(work())) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_one_round_trip_carries_several_commands(own: OwnValkey) -> None:
    assert valkey.exchange(("SET", "a", b"1"), ("GET", "a"), ("GET", "nothing")) == [b"OK", b"1", None]
    answers = valkey.exchange(("EVALSHA", "0" * 40, 0), ("GET", "a"))
    assert isinstance(answers[0], ResponseError)
    assert answers[1] == b"1", "an error takes its own place only"


def test_without_a_url_there_is_no_server(settings: Any) -> None:
    settings.VALKEY_URL = ""
    valkey.forget()
    with pytest.raises(valkey.CacheDown):
        ping()
    valkey.forget()


def test_a_socket_file_that_is_not_there_is_a_server_that_is_away(settings: Any) -> None:
    settings.VALKEY_URL = "unix:///nowhere/valkey.sock"
    valkey.forget()
    with pytest.raises(valkey.CacheDown):
        ping()
    valkey.forget()


def test_a_restarted_server_is_used_at_once_through_connections_of_before(own: OwnValkey) -> None:
    barrier = threading.Barrier(8)
    in_threads(8, lambda: valkey.call(lambda client: (client.ping(), barrier.wait())))
    own.kill()
    own.start()
    assert in_threads(8, is_down) == [False] * 8
    assert state() == "closed"


def test_a_killed_server_opens_the_breaker_and_its_return_closes_it(
    own: OwnValkey, caplog: pytest.LogCaptureFixture
) -> None:
    assert ping()
    own.kill()
    with caplog.at_level(logging.WARNING, logger="apps.common.resilience"):
        assert all(is_down() for _ in range(20))
        assert state() == "open"
        time.sleep(0.4)
        assert all(is_down() for _ in range(5)), "a trial that fails opens it again"
        own.start()
        await_return()
        assert state() == "half-open"
        assert (ping(), ping()) == (True, True)
    assert state() == "closed", "three successes close it"
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "circuit breaker of the cache server: open, was closed",
        "circuit breaker of the cache server: closed, was half-open",
    ]


def test_while_it_is_open_nobody_is_asked(own: OwnValkey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(valkey, "RETRY_SECONDS", 600.0)
    valkey.forget()
    own.kill()
    while state() != "open":
        assert is_down()
    own.start()
    asked: list[int] = []
    with pytest.raises(valkey.CacheDown):
        valkey.call(lambda client: asked.append(1))
    assert asked == []


def test_failures_that_are_not_in_a_row_do_not_open_it(own: OwnValkey) -> None:
    def fail(client: Redis) -> None:
        raise ConnectionResetError

    for _ in range(valkey.FAILURES * 3):
        with pytest.raises(valkey.CacheDown):
            valkey.call(fail)
        assert ping()
    assert state() == "closed"


def test_an_error_of_the_callers_own_says_nothing_about_the_server(own: OwnValkey) -> None:
    def fail(client: Redis) -> None:
        raise ZeroDivisionError

    for _ in range(10):
        with pytest.raises(ZeroDivisionError):
            valkey.call(fail)
    assert ping()
    assert state() == "closed"


def test_the_callers_own_error_while_the_server_is_tried_is_the_callers(own: OwnValkey) -> None:
    def fail(client: Redis) -> None:
        raise ZeroDivisionError

    own.kill()
    while state() != "open":
        assert is_down()
    own.start()
    await_return()
    with pytest.raises(ZeroDivisionError):
        valkey.call(fail)
    assert state() == "half-open"


def test_connections_that_may_be_dead_are_not_tried_one_by_one(own: OwnValkey) -> None:
    barrier = threading.Barrier(8)

    def hold(client: Redis) -> None:
        client.ping()
        barrier.wait()

    # Those of earlier tests' guards, which nobody has collected yet.
    valkey.exchange(("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"))
    in_threads(8, lambda: valkey.call(hold))
    own.pause()
    while state() != "open":
        assert is_down()
    own.resume()
    await_return()
    deadline = time.monotonic() + 10
    while valkey.call(lambda client: client.info("clients"))["connected_clients"] > 1:
        assert time.monotonic() < deadline, "connections of before are still open"
        time.sleep(0.05)


def test_a_server_that_hangs_costs_each_request_one_timeout_until_the_breaker_opens(own: OwnValkey) -> None:
    reached: list[str] = []

    def request(name: str) -> int:
        """Three questions; how many of them went as far as the server."""
        before = len(reached)
        for _ in range(3):
            try:
                valkey.call(lambda client: (reached.append(name), client.ping()))  # type: ignore[func-returns-value]
            except valkey.CacheDown:
                continue
        return len(reached) - before

    in_threads(4, ping)
    own.pause()
    asked = []
    for number in range(6):
        token = ids.current.set(f"req_{number}-")
        asked.append(request(str(number)))
        ids.current.reset(token)
    assert asked == [1, 1, 1, 0, 0, 0]
    own.resume()
    await_return()


def test_the_same_request_id_sent_again_is_another_request(own: OwnValkey) -> None:
    def fail(client: Redis) -> None:
        raise ConnectionResetError

    ids.current.set("".join(["the", "-same"]))
    with pytest.raises(valkey.CacheDown):
        valkey.call(fail)
    assert is_down()
    ids.current.set("".join(["the", "-same"]))
    assert ping()
    ids.current.set("")


def test_only_one_thread_tries_a_server_that_may_be_back(own: OwnValkey) -> None:
    own.kill()
    while state() != "open":
        assert is_down()
    time.sleep(0.4)
    inside = threading.Event()
    leave = threading.Event()

    def slow(client: Redis) -> None:
        inside.set()
        leave.wait(10)

    trying = threading.Thread(target=lambda: valkey.call(slow))
    trying.start()
    assert inside.wait(10)
    assert in_threads(4, is_down) == [True] * 4, "they neither wait nor ask"
    leave.set()
    trying.join()
    assert state() == "half-open"


def _ask(answers: Any) -> None:
    answers.put(ping())


def test_a_forked_child_has_connections_of_its_own(own: OwnValkey) -> None:
    assert ping()
    mine = valkey._the_guard()
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    child = context.Process(target=_ask, args=(answers,))
    child.start()
    assert answers.get(timeout=20)
    child.join(20)
    assert valkey._the_guard() is mine
    assert ping()


def test_an_answer_that_nobody_read_is_not_taken_for_the_next(own: OwnValkey, monkeypatch: pytest.MonkeyPatch) -> None:
    valkey.exchange(("SET", "a", b"mine"), ("SET", "b", b"yours"))

    def interrupted(connection: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(valkey, "_reply", interrupted)
        with pytest.raises(KeyboardInterrupt):
            valkey.exchange(("GET", "a"))
    assert valkey.exchange(("GET", "b")) == [b"yours"]
