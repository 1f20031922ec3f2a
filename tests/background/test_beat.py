"""Two real beats: one sends, the other takes its place, and nothing periodic is lost or repeated."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis import Redis

from apps.common.observe.background import KEY_PREFIX, LEASE, SENT
from tests.support.valkey import OwnValkey, own_valkey
from tests.support.workers import CeleryProcess, celery_process, until

pytestmark = [pytest.mark.processes, pytest.mark.timeout(120)]


class Beats:
    """Beats on one broker, and what they have sent; no worker takes it away."""

    def __init__(self, stack: ExitStack, valkey: OwnValkey, folder: Path) -> None:
        self._stack, self.valkey, self._folder = stack, valkey, folder
        self.server = Redis.from_url(valkey.url, decode_responses=True)

    def start(self) -> CeleryProcess:
        log = self._folder / f"beat-{time.monotonic_ns()}.log"
        beat = celery_process(
            ("beat", "--loglevel", "INFO", "--pidfile", ""),
            log,
            "tests.support.worker_app",
            REDIS_URL=self.valkey.url,
            TEST_BEAT="1",
        )
        return self._stack.enter_context(beat)

    def sent(self, task: str) -> list[int]:
        """The process ids of who sent it, in the order of sending."""
        waiting = self.server.lrange(f"{KEY_PREFIX}hub", 0, -1)
        headers = [json.loads(one)["headers"] for one in reversed(waiting)]
        named = [one for one in headers if one["task"] == f"tests.{task}"]
        return [int(one["origin"].removeprefix("gen").partition("@")[0]) for one in named]

    def holder(self) -> int:
        return int(str(self.server.get(LEASE) or "::0").split(":")[1] or 0)

    def until_sent(self, beat: CeleryProcess, number: int = 3) -> None:
        until(lambda: self.sent("often").count(beat.pid) >= number, what=lambda: f"{self.sent('often')}\n{beat.text}")

    def until_waiting(self, beat: CeleryProcess) -> None:
        until(lambda: "this beat waits" in beat.text, what=lambda: beat.text)


@pytest.fixture
def beats(tmp_path: Path) -> Iterator[Beats]:
    with own_valkey() as valkey, ExitStack() as stack:
        yield Beats(stack, valkey, tmp_path)


def test_the_second_waits_and_takes_over_when_the_first_is_killed(beats: Beats) -> None:
    first = beats.start()
    beats.until_sent(first)
    second = beats.start()
    beats.until_waiting(second)
    beats.until_sent(first, len(beats.sent("often")) + 10)
    assert set(beats.sent("often")) == {first.pid}
    assert beats.holder() == first.pid

    first.process.kill()
    beats.until_sent(second)
    assert beats.holder() == second.pid
    assert beats.sent("daily") == [first.pid], "not again: it was sent today"

    assert second.end(signal.SIGTERM) == 0
    assert beats.holder() == 0, "one that ends gives the lease back"


def test_one_that_slept_sends_at_most_what_it_was_about_to(beats: Beats) -> None:
    first = beats.start()
    beats.until_sent(first)
    second = beats.start()
    beats.until_waiting(second)
    first.process.send_signal(signal.SIGSTOP)
    before = beats.sent("often").count(first.pid)
    beats.until_sent(second)
    first.process.send_signal(signal.SIGCONT)
    beats.until_sent(second, beats.sent("often").count(second.pid) + 10)
    assert beats.sent("often").count(first.pid) <= before + 1
    assert "lost the right" in first.text


def test_what_fell_due_while_no_beat_ran_is_sent_once_and_the_rest_not(beats: Beats) -> None:
    beats.server.hset(SENT, mapping={"daily": str(time.time() - 90_000), "monthly": str(time.time() - 90_000)})
    first = beats.start()
    beats.until_sent(first, 5)
    assert beats.sent("daily") == [first.pid]
    assert beats.sent("monthly") == []


def test_a_broker_that_is_away_loses_and_repeats_nothing(beats: Beats) -> None:
    """It is away when the beat starts, and later comes back empty: then the beat itself remembers."""
    beats.valkey.kill()
    first = beats.start()
    beats.until_waiting(first)
    time.sleep(0.5)  # what is due stays due
    beats.valkey.start()
    beats.until_sent(first)
    assert beats.sent("daily") == [first.pid]

    beats.valkey.kill()
    time.sleep(0.5)
    beats.valkey.start()
    beats.until_sent(first, 5)
    assert beats.sent("daily") == []
    assert first.process.poll() is None


def test_what_could_not_be_sent_stays_due(beats: Beats, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker may go between the lease and the sending."""
    from celery.beat import SchedulingError
    from django.conf import settings

    from celery_worker.app import app
    from celery_worker.scheduler import LeasedScheduler

    monkeypatch.setattr(settings, "REDIS_URL", beats.valkey.url)
    tried: list[str] = []

    def apply_async(self: LeasedScheduler, entry: object, **_: object) -> None:
        tried.append(str(getattr(entry, "name", "")))
        if len(tried) == 1:
            raise SchedulingError("away")

    monkeypatch.setattr(LeasedScheduler, "apply_async", apply_async)
    monkeypatch.setitem(app.conf, "beat_schedule", {"daily": {"task": "tests.daily", "schedule": 86_400.0}})
    scheduler = LeasedScheduler(app=app, Producer=object)
    monkeypatch.setattr(LeasedScheduler, "producer", None)
    waits = [scheduler.tick() for _ in range(5)]
    assert tried == ["daily", "daily"]
    assert waits[1] == LeasedScheduler.renew_seconds, "it does not try without a pause"
    scheduler.close()
