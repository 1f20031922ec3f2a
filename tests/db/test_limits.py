"""Token buckets: the production script and the local limiter against a model in fractions, and exactness in threads."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis

from apps.common import valkey
from apps.common.rates import limits, local_limits
from apps.common.rates.bucket import Bucket
from apps.common.rates.limits import take
from apps.common.rates.local_limits import LocalBuckets
from tests.support.buckets import Model

# In the script's tests the clock is this far ahead, so that no key expires by the server's clock in the middle of one.
AHEAD_US = 86_400_000_000

FIGURES = st.integers(1, 5) | st.sampled_from([7, 60, 1_000, 7_001, 100_000, 120_000])
TOKENS = st.integers(0, 4) | st.sampled_from([1, 1, 50, 5_000, 200_000])
STEPS_US = st.sampled_from([0, 1, 599, 600, 999_999, 1_000_000, 60_000_000]) | st.integers(0, 100_000_000)


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[list[tuple[Bucket, int]], int, bool]]:
    """Charges of up to three buckets, microseconds between them, and whether they only ask."""
    prefix = f"hub:limit:{{test-{uuid.uuid4().hex}}}"
    figures = [(draw(FIGURES), draw(FIGURES)) for _ in range(3)]
    history = []
    for _ in range(draw(st.integers(1, 12))):
        if draw(st.integers(0, 9)) == 0:
            figures[draw(st.integers(0, 2))] = (draw(FIGURES), draw(FIGURES))
        places = draw(st.lists(st.integers(0, 2), min_size=1, max_size=3, unique=True))
        charges = [(Bucket(f"{prefix}:{place}", *figures[place], f"b{place}"), draw(TOKENS)) for place in places]
        history.append((charges, draw(STEPS_US), draw(st.integers(0, 4)) == 0))
    return history


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    valkey.forget()
    local_limits.local_buckets.cache_clear()
    yield
    valkey.forget()
    local_limits.local_buckets.cache_clear()


def bucket(per_minute: int, burst: int, name: str = "requests", tag: str | None = None) -> Bucket:
    return Bucket(f"hub:limit:{{{tag or uuid.uuid4().hex}}}:{name}", per_minute, burst, name)


def script_at(charges: list[tuple[Bucket, int]], now: int, *, ask: bool) -> Any:
    return limits.run_script([*limits.script_arguments(charges, ask), now])[0]


@settings(max_examples=200, deadline=None)
@given(histories())
def test_the_script_keeps_buckets_as_they_are_defined(
    history: list[tuple[list[tuple[Bucket, int]], int, bool]],
) -> None:
    model, now = Model(), time.time_ns() // 1000 + AHEAD_US
    for charges, step, ask in history:
        now += step
        assert script_at(charges, now, ask=ask) == model.take(charges, now, ask=ask), (charges, step, ask)


@settings(max_examples=200, deadline=None)
@given(histories(), st.integers(1, 7))
def test_the_local_limiter_keeps_buckets_of_a_share(
    history: list[tuple[list[tuple[Bucket, int]], int, bool]], workers: int
) -> None:
    model, local, now = Model(workers, least=1), LocalBuckets(workers), 1_800_000_000_000_000
    for charges, step, ask in history:
        now += step
        assert local.take(charges, ask=ask, now=now) == model.take(charges, now, ask=ask), (charges, step, ask)


def test_a_clock_set_back_neither_fills_nor_freezes_a_bucket() -> None:
    one, now = bucket(60, 2), time.time_ns() // 1000 + AHEAD_US
    assert script_at([(one, 2)], now, ask=False)[0] == 1
    earlier = now - 3_600_000_000
    assert script_at([(one, 1)], earlier, ask=False)[0] == 0
    assert script_at([(one, 1)], earlier + 1_000_000, ask=False)[0] == 1, "time goes on from where the clock is"
    local = LocalBuckets(1)
    assert local.take([(one, 2)], now=now)[0] == 1
    assert local.take([(one, 1)], now=earlier)[0] == 0
    assert local.take([(one, 1)], now=earlier + 1_000_000)[0] == 1


def hammer(one: Bucket, requests: int, threads: int) -> Counter[bool]:
    """How many requests of many threads, all let loose at once, are let through."""
    counted: list[bool] = []
    start = threading.Barrier(threads)

    def work() -> None:
        start.wait()
        for _ in range(requests // threads):
            counted.append(take([(one, 1)])[0].allowed)

    running = [threading.Thread(target=work) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return Counter(counted)


def test_two_hundred_at_once_against_fifty_tokens() -> None:
    assert hammer(bucket(1, 50), 200, 40) == {True: 50, False: 150}


def test_the_local_limiter_is_exact_between_threads(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.VALKEY_URL = ""
    settings.HUB = settings.HUB.model_copy(update={"web_workers": 2})
    lacking = LocalBuckets._lacking

    def slowly(*arguments: Any) -> int:
        found = lacking(*arguments)
        time.sleep(0.001)  # others have their turn between looking and charging
        return found

    monkeypatch.setattr(LocalBuckets, "_lacking", slowly)
    assert hammer(bucket(1, 50), 200, 40) == {True: 25, False: 175}


def test_none_is_charged_if_one_refuses() -> None:
    tag = uuid.uuid4().hex
    wide, narrow = bucket(1, 10, "wide", tag), bucket(1, 2, "narrow", tag)
    for _ in range(2):
        assert take([(wide, 1), (narrow, 1)])[0].allowed
    refused, _ = take([(wide, 1), (narrow, 1)])
    assert (refused.allowed, refused.bucket.name, refused.remaining) == (False, "narrow", 0)
    assert 59 <= refused.retry_after <= 60
    assert take([(wide, 0)])[0].remaining == 8


def test_a_refusal_names_the_bucket_that_takes_longest() -> None:
    tag = uuid.uuid4().hex
    slow, fast = bucket(1, 1, "slow", tag), bucket(60, 1, "fast", tag)
    assert take([(fast, 1), (slow, 1)])[0].allowed
    refused, _ = take([(fast, 1), (slow, 1)])
    assert refused.bucket is slow
    assert refused.headers()["Retry-After"] == str(refused.retry_after)


def test_asking_takes_nothing() -> None:
    one = bucket(1, 3)
    for _ in range(5):
        assert take([(one, 3)], ask=True)[0].allowed
    assert take([(one, 2)])[0].remaining == 1
    assert not take([(one, 2)], ask=True)[0].allowed
    assert take([(one, 1)], ask=True)[0].allowed


def test_more_than_a_bucket_holds_is_given_by_a_full_one_and_paid_for_later() -> None:
    now = time.time_ns() // 1000 + AHEAD_US
    one = bucket(60, 10)
    assert script_at([(one, 25)], now, ask=False)[:3] == (1, 1, 0)
    allowed, _, remaining, reset, retry_after = script_at([(one, 1)], now, ask=False)
    assert (allowed, remaining, retry_after) == (0, 0, 16)  # 15 tokens of debt, and the one asked for
    assert reset == -(-(now + 25_000_000) // 1_000_000)
    assert script_at([(one, 25)], now + 24_999_999, ask=False)[0] == 0
    assert script_at([(one, 25)], now + 25_000_000, ask=False)[0] == 1


def test_a_key_expires_when_its_bucket_is_full_again() -> None:
    one = bucket(600, 10)
    before = time.time()
    take([(one, 3)])
    kept = valkey.call(lambda client: client.pexpiretime(one.key))
    assert isinstance(kept, int)
    assert 0.25 <= kept / 1000 - before <= 5
    time.sleep(max(0, kept / 1000 - time.time()) + 0.05)
    assert valkey.call(lambda client: client.exists(one.key)) == 0
    assert take([(one, 1)])[0].remaining == 9


def test_a_cache_entry_is_read_in_the_same_round_trip(monkeypatch: pytest.MonkeyPatch) -> None:
    one, key = bucket(1, 1), f"hub:test:{uuid.uuid4().hex}"
    valkey.call(lambda client: client.set(key, b"answer", ex=60))
    trips: list[int] = []
    exchange = valkey.exchange

    def counting(*commands: valkey.Command) -> list[Any]:
        trips.append(len(commands))
        return exchange(*commands)

    monkeypatch.setattr(valkey, "exchange", counting)
    take([(one, 0)])
    trips.clear()
    assert take([(one, 1)], look_up=key)[1] == b"answer"
    refused, found = take([(one, 1)], look_up=key)
    assert (refused.allowed, found) == (False, b"answer"), "a refused caller may be served from the cache"
    assert take([(one, 0)], look_up=key + "x")[1] is None
    assert trips == [2, 2, 2]


def test_a_server_that_does_not_know_the_script_is_told() -> None:
    def flush(client: Redis) -> None:
        client.script_flush()

    one = bucket(1, 2)
    valkey.call(flush)
    assert take([(one, 1)])[0].remaining == 1
    assert valkey.call(lambda client: client.script_exists(limits._SHA)) == [True]
    assert take([(one, 1)])[0].remaining == 0


def test_without_valkey_the_figures_are_shared_between_the_workers(settings: Any) -> None:
    settings.VALKEY_URL = ""
    settings.HUB = settings.HUB.model_copy(update={"web_workers": 4})
    one = bucket(10, 10)
    verdicts = [take([(one, 1)])[0] for _ in range(3)]
    assert [(verdict.allowed, verdict.local) for verdict in verdicts] == [(True, True), (True, True), (False, True)]
    assert verdicts[0].bucket.per_minute == 10
    single = bucket(1, 1)
    assert [take([(single, 1)])[0].allowed for _ in range(2)] == [True, False], "a share is never less than a token"


def test_the_local_limiter_forgets_those_who_asked_least_lately() -> None:
    local = LocalBuckets(1, size=3)
    buckets = [bucket(1, 2, f"b{number}") for number in range(4)]
    for place in (0, 1, 2, 0, 3):
        assert local.take([(buckets[place], 1)])[0] == 1
    assert len(local) == 3
    assert [local.take([(one, 2)], ask=True)[0] for one in buckets] == [0, 1, 0, 0]


def test_a_server_that_cannot_take_tokens_is_told_of_once_and_done_without(caplog: pytest.LogCaptureFixture) -> None:
    one = bucket(1, 10)
    limits._told.clear()
    valkey.call(lambda client: client.set(one.key, "not what we keep", ex=60))
    verdicts = [take([(one, 1)])[0] for _ in range(3)]
    assert [(verdict.allowed, verdict.local) for verdict in verdicts] == [(True, True)] * 3
    assert [record.getMessage()[:36] for record in caplog.records] == ["the cache server cannot take tokens:"]
    other = bucket(1, 10)
    assert not take([(other, 1)])[0].local, "that says nothing about other buckets"
