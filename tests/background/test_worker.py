"""A real worker: what it does with errors, limits, deaths, and the wish that it ends."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from apps.common.observe.background import last_runs
from celery_worker.app import app
from tests.support.valkey import OwnValkey, own_valkey
from tests.support.workers import CeleryProcess, running_worker, until

pytestmark = [pytest.mark.processes, pytest.mark.timeout(120)]
APP = "tests.support.worker_app"


class Place:
    """A worker with a broker of its own, and a file in which tasks leave notes."""

    def __init__(self, worker: CeleryProcess, valkey: OwnValkey, folder: Path) -> None:
        self.worker, self.valkey, self.folder = worker, valkey, folder
        self.file = folder / "notes"

    def send(self, task: str, *arguments: object, queue: str = "hub", **options: Any) -> None:
        with app.connection_for_write(self.valkey.url) as connection:
            app.send_task(f"tests.{task}", (str(self.file), *arguments), queue=queue, connection=connection, **options)

    @property
    def notes(self) -> list[str]:
        return self.file.read_text(encoding="utf-8").splitlines() if self.file.exists() else []

    def until_noted(self, number: int) -> list[str]:
        until(lambda: len(self.notes) >= number, what=lambda: self.worker.text)
        return self.notes

    def counted(self, task: str, state: str) -> float:
        registry = CollectorRegistry()
        MultiProcessCollector(registry, str(self.folder / "counts"))  # type: ignore[no-untyped-call]
        return registry.get_sample_value("celery_tasks_total", {"task": task, "state": state}) or 0.0

    def until_counted(self, task: str, state: str, number: float = 1) -> None:
        until(lambda: self.counted(task, state) == number, what=lambda: f"{task} {state}\n{self.worker.text}")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    (tmp_path / "counts").mkdir()
    with (
        own_valkey() as valkey,
        running_worker(
            tmp_path / "worker.log",
            *("hub", "exports"),
            app=APP,
            REDIS_URL=valkey.url,
            PROMETHEUS_MULTIPROC_DIR=str(tmp_path / "counts"),
        ) as worker,
    ):
        yield Place(worker, valkey, tmp_path)


def test_an_error_that_passes_is_tried_three_times_in_all_and_another_one_once(place: Place) -> None:
    place.send("fail", 2)
    times = [float(line) for line in place.until_noted(3)]
    place.until_counted("fail", "success")
    assert place.counted("fail", "retry") == 2
    assert times[1] - times[0] >= 0.05
    assert times[2] - times[1] >= 0.1

    place.file.unlink()
    place.send("fail", 9)
    place.until_counted("fail", "failure")
    assert len(place.notes) == 3

    place.file.unlink()
    place.send("fail", 9, False)
    place.until_counted("fail", "failure", 2)
    assert len(place.notes) == 1


def test_a_task_past_its_limit_and_one_that_dies_are_counted_and_the_worker_goes_on(place: Place) -> None:
    place.send("hang")
    place.until_counted("hang", "killed")
    place.send("die")
    place.until_counted("die", "killed")
    place.send("fail", 0)
    place.until_counted("fail", "success")
    assert place.notes[:2] == ["begun", "begun"]
    assert (place.counted("hang", "killed"), place.counted("die", "killed")) == (1, 1), "each told of once"


def test_what_expired_in_the_queue_is_not_run(place: Place) -> None:
    place.send("work_until_stopped", 1.5, queue="exports")
    place.until_noted(1)
    place.send("fail", 0, expires=0.2)
    place.until_counted("fail", "expired")
    assert len(place.notes) == 2


def test_a_task_hears_that_the_worker_is_asked_to_end(place: Place) -> None:
    place.send("work_until_stopped", 60.0, queue="exports")
    place.until_noted(1)
    assert place.worker.end(signal.SIGTERM, seconds=20) == 0
    assert place.notes == ["begun", "stopped"]


def test_a_worker_carries_on_with_a_broker_that_was_restarted(place: Place) -> None:
    place.send("fail", 0)
    place.until_noted(1)
    place.valkey.kill()
    until(lambda: "Connection" in place.worker.text or "connection" in place.worker.text)
    place.valkey.start()
    place.send("fail", 0)
    place.until_noted(2)
    assert place.worker.process.poll() is None


def test_how_a_task_ended_last_is_kept(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from redis import Redis

    from apps.common.observe import background

    place.send("fail", 0)
    place.until_counted("fail", "success")
    monkeypatch.setattr(background, "broker", lambda: Redis.from_url(place.valkey.url))
    until(lambda: "fail" in last_runs())
    assert last_runs()["fail"].state == "success"
