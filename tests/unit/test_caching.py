"""One computation for all who ask at once, inside one process; and what happens where it fails or takes too long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from apps.common import valkey
from apps.common.errors import ApiError
from apps.common.reads import caching
from apps.common.reads.answers import Entry, entry_of

KEY = "hub:metrics:7:" + "0" * 32
CALLERS = 8


class FakeValkey:
    """As much of a client as caching uses; `away` makes every call fail."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}
        self.away = False

    def call(self, function: Callable[[Any], Any]) -> Any:
        if self.away:
            raise valkey.CacheDown("away")
        return function(self)

    def get(self, key: str) -> Any:
        return self.kept.get(key)

    def set(self, key: str, value: Any, *, nx: bool = False, px: int = 0, ex: int = 0) -> bool:
        if nx and key in self.kept:
            return False
        self.kept[key] = value
        return True

    def eval(self, script: str, keys: int, key: str, token: str) -> int:
        assert (script, keys) == (caching._RELEASE, 1)
        return 1 if self.kept.get(key) == token and self.kept.pop(key) else 0

    def pipeline(self, transaction: bool) -> _Pipe:
        return _Pipe(self)


class _Pipe:
    def __init__(self, client: FakeValkey) -> None:
        self.client, self.results = client, list[Any]()

    def __enter__(self) -> _Pipe:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def set(self, *args: Any, **options: Any) -> None:
        self.results.append(self.client.set(*args, **options))

    def get(self, key: str) -> None:
        self.results.append(self.client.get(key))

    def execute(self) -> list[Any]:
        return self.results


@pytest.fixture(autouse=True)
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeValkey]:
    fake = FakeValkey()
    monkeypatch.setattr(valkey, "call", fake.call)
    caching._early.clear()
    yield fake
    assert not caching._flights


def made(number: int = 1) -> Entry:
    return entry_of({"data": [number]}, computed_at=time.time(), etag="a" * 32)


def crowd(compute: Callable[[], Entry]) -> list[Any]:
    """What each of several threads gets: (answer, whether somebody else computed it), or the error."""
    outcomes: list[Any] = []
    together = threading.Barrier(CALLERS)

    def ask() -> None:
        together.wait()
        try:
            outcomes.append(caching.single(KEY, compute, 60))
        except ApiError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=ask) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


@pytest.mark.parametrize("away", [False, True])
def test_one_thread_computes_and_the_others_get_its_answer(server: FakeValkey, away: bool) -> None:
    server.away = away
    calls: list[int] = []

    def compute() -> Entry:
        calls.append(1)
        threading.Event().wait(0.3)
        return made()

    outcomes = crowd(compute)
    assert len(calls) == 1
    assert sorted(others for _, others in outcomes) == [False] + [True] * (CALLERS - 1)
    assert len({entry.body for entry, _ in outcomes}) == 1
    assert set(server.kept) == (set() if away else {KEY})


def test_who_waited_gets_the_error_too() -> None:
    calls: list[int] = []

    def compute() -> Entry:
        calls.append(1)
        threading.Event().wait(0.3)
        raise ApiError(1205, "too much", field="limit", details={"groups": 5})

    outcomes = crowd(compute)
    assert len(calls) == 1
    assert {(error.entry.code, error.field, str(error.details)) for error in outcomes} == {
        (1205, "limit", "{'groups': 5}")
    }
    assert len({id(error) for error in outcomes}) == CALLERS


def test_waiting_has_an_end(server: FakeValkey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caching, "patience", lambda: 0.05)
    server.kept[f"{KEY}:lock"] = "somebody"
    assert caching.single(KEY, made, 60) == (made_as(caching.get(KEY)), False)
    assert server.kept[f"{KEY}:lock"] == "somebody", "another's claim stays"


def made_as(entry: Entry | None) -> Entry:
    assert entry is not None
    return entry


def test_what_another_process_stored_meanwhile_is_taken(server: FakeValkey) -> None:
    server.kept[KEY] = made(5).pack()
    entry, others = caching.single(KEY, lambda: pytest.fail("it is there"), 60)
    assert (entry.body, others) == (made(5).body, True)
    assert set(server.kept) == {KEY}, "no claim is left behind"


def test_one_claims_an_ageing_answer_and_its_claim_goes_with_the_computation(server: FakeValkey) -> None:
    token = caching.early_claim(KEY)
    assert token
    assert caching.early_claim(KEY) is None  # not even asked for a second
    caching._early.clear()
    assert caching.early_claim(KEY) is None  # as another process
    server.kept[KEY] = made(1).pack()
    entry, others = caching.single(KEY, lambda: made(2), 60, token)
    assert (entry.body, others) == (made(2).body, False)
    assert set(server.kept) == {KEY}


def test_without_valkey_nobody_claims(server: FakeValkey) -> None:
    server.away = True
    assert caching.early_claim(KEY) is None


def test_a_failed_computation_leaves_no_claim(server: FakeValkey) -> None:
    with pytest.raises(ZeroDivisionError):
        caching.single(KEY, lambda: made(1 // 0), 60)
    assert server.kept == {}


def test_what_is_too_old_or_too_large_is_not_kept(server: FakeValkey, monkeypatch: pytest.MonkeyPatch) -> None:
    caching.put(KEY, made(), 0)
    monkeypatch.setattr(caching, "MAX_BYTES", 10)
    caching.put(KEY, made(), 60)
    assert server.kept == {}
