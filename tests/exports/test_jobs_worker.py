"""Real workers on a real broker: killed, frozen, asked to end, cut off from the database and from the broker.

A lock on the table of spans holds a worker in the middle of its work for as long as a test wants.
"""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import celery
import psycopg
import pytest
from django.db import connection

from tests.support.valkey import own_valkey
from tests.support.workers import CeleryProcess, running_worker, until

if TYPE_CHECKING:
    from apps.exports.models import ExportJob
    from tests.exports.jobbing import Place

pytestmark = [pytest.mark.processes, pytest.mark.timeout(180)]
SPANS = 50


def database_url() -> str:
    given = connection.settings_dict
    user, password = quote(given["USER"]), quote(given["PASSWORD"])
    return f"postgresql://{user}:{password}@{given['HOST']}:{given['PORT']}/{given['NAME']}"


@pytest.fixture
def data(acme: Place, own_storage: Path) -> Place:
    acme.write(SPANS)
    return acme


def worker(folder: Path, name: str = "worker", broker: str = "") -> AbstractContextManager[CeleryProcess]:
    return running_worker(
        folder / f"{name}.log",
        "exports",
        DATABASE_URL=database_url(),
        HUB_DATA_DIR=str(folder),
        REDIS_URL=broker or os.environ["REDIS_URL"],
    )


class Held:
    """The table of spans, locked by a connection of the test's."""

    def __init__(self) -> None:
        self.connection = psycopg.connect(database_url())
        self.connection.execute("LOCK TABLE span IN ACCESS EXCLUSIVE MODE")

    def waiting(self) -> list[int]:
        """Backends that wait for it."""
        sql = "SELECT pid FROM pg_locks WHERE relation = 'span'::regclass AND NOT granted"
        with psycopg.connect(database_url(), autocommit=True) as other:
            return [row[0] for row in other.execute(sql).fetchall()]

    def release(self) -> None:
        self.connection.close()


@contextmanager
def held() -> Iterator[Held]:
    one = Held()
    try:
        yield one
    finally:
        one.release()


def until_status(job: ExportJob, status: str, process: CeleryProcess, **columns: Any) -> None:
    def reached() -> bool:
        job.refresh_from_db()
        return job.status == status

    until(reached, 60, lambda: f"{job.status} {job.error}\n{process.text}")
    assert {name: getattr(job, name) for name in columns} == columns


def whole(job: ExportJob) -> None:
    """Its file is what it and the database say, and there is no other."""
    from apps.exports.jobs import folders
    from apps.exports.jobs.sweep import sweep
    from apps.exports.models import ExportJob
    from tests.exports.jobbing import content, files

    sweep()
    text = content(job.file)
    assert (len(text), hashlib.sha256(text).hexdigest()) == (job.file_size_bytes, job.sha256)
    assert text.count(b"\n") == SPANS + 1 == (job.row_count or 0) + 1
    offered = ExportJob.objects.filter(status="completed").values_list("file", flat=True)
    assert files() == set(offered)
    until(lambda: not list(folders.root().glob("*")))


def test_cancelled_and_cut_off_in_the_middle_of_a_statement(data: Place, own_storage: Path) -> None:
    from apps.exports.jobs import services
    from apps.exports.jobs.sweep import sweep
    from apps.orgs.audit import SYSTEM

    with worker(own_storage) as process:
        first = data.job()
        until_status(first, "completed", process, attempt=1)
        whole(first)
        with held() as lock:
            job = data.job()
            until(lambda: bool(lock.waiting()), what=lambda: process.text)
            assert services.cancel(SYSTEM, job).status == "cancelled"
            until(lambda: not lock.waiting(), what=lambda: process.text)
            cut = data.job()
            until(lambda: bool(lock.waiting()), what=lambda: process.text)
            with psycopg.connect(database_url(), autocommit=True) as other:
                for pid in lock.waiting():
                    other.execute("SELECT pg_terminate_backend(%s)", [pid])
            until_status(cut, "pending", process, failures=1, attempt=1)

        def again() -> bool:
            sweep()
            cut.refresh_from_db()
            return cut.status == "completed"

        until(again, 60, lambda: process.text)
        assert (cut.attempt, cut.lost, cut.failures, cut.error) == (2, 0, 1, "")
        job.refresh_from_db()
        assert (job.status, job.file) == ("cancelled", "")
        whole(cut)


def test_a_killed_worker_and_a_frozen_one(data: Place, own_storage: Path) -> None:
    from apps.exports.jobs.sweep import sweep
    from tests.exports.jobbing import age

    with worker(own_storage, "first") as first:
        with held() as lock:
            job = data.job()
            until(lambda: bool(lock.waiting()), what=lambda: first.text)
            (child,) = first.children()
            os.kill(child, signal.SIGKILL)
            until(lambda: bool(first.children()) and child not in first.children(), what=lambda: first.text)
            age(job.pk, 31)
            sweep()
        until_status(job, "completed", first, attempt=2, lost=1, failures=0)
        whole(job)
        with held() as lock:
            job = data.job()
            until(lambda: bool(lock.waiting()), what=lambda: first.text)
            (child,) = first.children()
            os.kill(child, signal.SIGSTOP)
            age(job.pk, 31)
            with worker(own_storage, "second") as second:
                sweep()
                until(lambda: len(lock.waiting()) >= 2, what=lambda: second.text)
                lock.release()
                until_status(job, "completed", second, attempt=2, lost=1)
                offered = job.file
                os.kill(child, signal.SIGCONT)
                until(lambda: "another one has it" in first.text, what=lambda: first.text)
        assert first.children() == [child], "it lives, and is of use again"
        after = data.job()
        until_status(after, "completed", first, attempt=1)
        job.refresh_from_db()
        assert (job.status, job.file, job.attempt) == ("completed", offered, 2)
        whole(job)


def test_a_worker_that_is_asked_to_end_or_loses_its_parent(data: Place, own_storage: Path) -> None:
    from apps.exports.jobs.sweep import sweep
    from tests.exports.jobbing import age

    with held() as lock:
        job = data.job()
        with worker(own_storage, "first") as first:
            until(lambda: bool(lock.waiting()), what=lambda: first.text)
            assert first.end() == 0, first.text
            until_status(job, "pending", first, failures=0, lost=0, attempt=1)
        with worker(own_storage, "second") as second:
            until(lambda: bool(lock.waiting()), what=lambda: second.text)
            second.end(signal.SIGKILL)
            until_status(job, "processing", second, attempt=2)
        age(job.pk, 31)
        with worker(own_storage, "third") as third:
            sweep()
            until(lambda: bool(lock.waiting()), what=lambda: third.text)
            lock.release()
            until_status(job, "completed", third, attempt=3, failures=0, lost=1)
            whole(job)


def test_a_broker_that_is_away(data: Place, own_storage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is at work goes on; what is asked for meanwhile is done once the broker is back."""
    from apps.exports.jobs import enqueue
    from apps.exports.jobs.sweep import sweep
    from celery_worker.app import app

    with own_valkey() as valkey:

        class There:
            """The application, with the broker that is killed."""

            @staticmethod
            def send_task(name: str, args: list[str], queue: str) -> None:
                with app.connection_for_write(valkey.url) as there:
                    app.send_task(name, args=args, queue=queue, connection=there)

        monkeypatch.setattr(celery, "current_app", There)
        monkeypatch.setattr(enqueue, "waiting", lambda: 0)
        with worker(own_storage, broker=valkey.url) as process:
            with held() as lock:
                job = data.job()
                until(lambda: bool(lock.waiting()), what=lambda: process.text)
                valkey.kill()
                waits = data.job()
            until_status(job, "completed", process, attempt=1)
            valkey.start()

            def done() -> bool:
                sweep()
                waits.refresh_from_db()
                return waits.status == "completed"

            until(done, 60, lambda: process.text)
            assert waits.attempt == 1
            whole(waits)
