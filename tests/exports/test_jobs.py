"""Export jobs in one process: what each ending leaves, and what two workers do to each other."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from django.db import OperationalError, connection
from django.db.models.functions import Now

from apps.common.errors import ApiError

if TYPE_CHECKING:
    from apps.exports.models import ExportJob
    from tests.exports.jobbing import Place

TEXT = b"trace_id,span_id\n" + b"a,b\n" * 1000


@pytest.fixture(autouse=True)
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Jobs that a worker was sent for; nobody comes."""
    from apps.exports.jobs import enqueue

    found: list[str] = []

    def send(job_id: object, **_: object) -> bool:
        found.append(str(job_id))
        return True

    monkeypatch.setattr(enqueue, "run_export", send)
    return found


@pytest.fixture
def producing(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    from apps.exports.jobs import work
    from tests.exports.jobbing import say

    def use(text: bytes = TEXT, **steps: Any) -> None:
        monkeypatch.setattr(work, "produce", say(text, **steps))

    return use


def run(job: ExportJob) -> ExportJob:
    from apps.exports.jobs import work

    work.run(job.pk)
    job.refresh_from_db()
    return job


def nothing_left(place: Path, *offered: str) -> None:
    from apps.exports.jobs import folders
    from apps.exports.jobs.sweep import sweep
    from tests.exports.jobbing import files

    sweep()
    assert files() == set(offered)
    assert not list(folders.root().glob("*"))


def test_a_job_ends_with_a_whole_file(acme: Place, own_storage: Path, producing: Any, sent: list[str]) -> None:
    from tests.exports.jobbing import content

    producing()
    job = acme.job()
    assert sent == [str(job.pk)]
    run(job)
    assert (job.status, job.attempt, job.row_count, job.error) == ("completed", 1, 1, "")
    assert content(job.file) == TEXT
    assert (job.file_size_bytes, job.sha256) == (len(TEXT), hashlib.sha256(TEXT).hexdigest())
    assert job.expires_at is not None
    assert job.completed_at is not None
    assert job.expires_at - job.completed_at == timedelta(days=7)
    nothing_left(own_storage, job.file)


def test_what_was_cancelled_leaves_nothing(acme: Place, own_storage: Path, producing: Any) -> None:
    from apps.exports.jobs import services
    from apps.orgs.audit import SYSTEM
    from tests.exports.jobbing import on_another_connection

    waiting = acme.job()
    assert services.cancel(SYSTEM, waiting).status == "cancelled"
    assert run(waiting).attempt == 0
    for moment in ("before", "after"):
        job = acme.job()
        producing(**{moment: on_another_connection(partial(services.cancel, SYSTEM, job))})
        assert run(job).status == "cancelled", moment
        nothing_left(own_storage)
        with pytest.raises(ApiError) as caught:
            services.cancel(SYSTEM, job)
        assert caught.value.entry.code == 1402


def test_a_cancel_after_storing_takes_the_file_back(
    acme: Place, own_storage: Path, producing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from apps.exports import storage
    from apps.exports.jobs import services
    from apps.orgs.audit import SYSTEM
    from tests.exports.jobbing import files

    producing()
    job = acme.job()
    keep = storage.keep

    def keep_and_cancel(name: str, path: Path) -> None:
        keep(name, path)
        services.cancel(SYSTEM, job)

    monkeypatch.setattr(storage, "keep", keep_and_cancel)
    assert run(job).status == "cancelled"
    assert files() == set()
    nothing_left(own_storage)


def test_a_frozen_worker_changes_nothing_once_another_one_has_the_job(
    acme: Place, own_storage: Path, producing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one wakes at each point of its work, after the second one has done it all; its watch still sleeps."""
    from apps.exports import storage
    from apps.exports.jobs import statements, work
    from tests.exports.jobbing import age, content, on_another_connection, say

    monkeypatch.setattr(statements, "beat", lambda *_: (False, False))
    for moment in ("before", "after", "storing"):
        job = acme.job()

        def second(job: ExportJob = job) -> None:
            age(job.pk, 31)
            monkeypatch.setattr(work, "produce", say(b"second\n"))
            assert work.run(job.pk) == job.pk

        producing(b"first\n", **({moment: on_another_connection(second)} if moment != "storing" else {}))
        if moment == "storing":
            keep = storage.keep

            def keep_late(name: str, path: Path, keep: Any = keep, second: Any = second) -> None:
                monkeypatch.setattr(storage, "keep", keep)
                on_another_connection(second)()
                keep(name, path)

            monkeypatch.setattr(storage, "keep", keep_late)
        run(job)
        assert (job.status, job.attempt, job.lost) == ("completed", 2, 1), moment
        assert content(job.file) == b"second\n"
        nothing_left(own_storage, job.file)
        job.delete()
        storage.remove(job.file)


def test_a_full_disk_is_said(acme: Place, own_storage: Path, producing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from apps.exports import storage

    def full() -> None:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise RuntimeError("as libraries say it") from error

    def no_room_to_sort() -> None:
        try:
            raise psycopg.errors.DiskFull("could not write to file")
        except psycopg.Error as error:
            raise OperationalError("as Django says it") from error

    producing(before=no_room_to_sort)
    job = run(acme.job())
    assert (job.status, job.error) == ("failed", "The database has no room left for what the export reads.")
    producing(before=full)
    job = run(acme.job())
    assert (job.status, job.error) == ("failed", "There is no room left where export files are made.")
    producing()

    class Full:
        def save(self, name: str, content: Any) -> str:
            raise OSError(errno.ENOSPC, "No space left on device")

        def delete(self, name: str) -> None:
            return

    monkeypatch.setattr(storage, "the_storage", Full)
    job = run(acme.job())
    assert (job.status, job.error) == ("failed", "There is no room left where export files are stored.")


def test_what_may_pass_is_tried_three_times(acme: Place, own_storage: Path, producing: Any) -> None:
    def lost() -> None:
        raise OperationalError("server closed the connection unexpectedly")

    producing(before=lost)
    job = acme.job()
    for failures in (1, 2):
        run(job)
        assert (job.status, job.failures) == ("pending", failures)
        assert run(job).attempt == failures, "it was not given time"
        type(job).objects.filter(pk=job.pk).update(not_before=Now())
    run(job)
    assert (job.status, job.failures) == ("failed", 3)
    assert job.error == "It was tried 3 times. The database was away, or cut the export off."
    nothing_left(own_storage)


def test_a_fault_of_ours_fails_at_once(acme: Place, own_storage: Path, producing: Any) -> None:
    def wrong() -> None:
        raise KeyError("secret")

    producing(before=wrong)
    job = run(acme.job())
    assert (job.status, job.error) == ("failed", "The hub has a fault; its log says more.")


def test_a_lost_connection_is_replaced(acme: Place, own_storage: Path, producing: Any) -> None:
    """The server ends the work's connection: the job is given back on another one."""

    def end() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    producing(before=end)
    job = run(acme.job())
    assert (job.status, job.failures) == ("pending", 1)
    producing()
    type(job).objects.filter(pk=job.pk).update(not_before=Now())
    assert run(job).status == "completed"


def test_the_deadline_holds_at_work_and_without_a_worker(acme: Place, own_storage: Path, producing: Any) -> None:
    from apps.exports.jobs.sweep import sweep
    from tests.exports.jobbing import on_another_connection

    job = acme.job()
    past = Now() - timedelta(seconds=1)
    producing(after=on_another_connection(lambda: type(job).objects.filter(pk=job.pk).update(deadline_at=past)))
    assert run(job).status != "completed"
    sweep()
    job.refresh_from_db()
    assert (job.status, job.error) == ("failed", "It took longer than an export may.")
    stuck = acme.job()
    type(job).objects.filter(pk=stuck.pk).update(status="processing", heartbeat_at=past, deadline_at=past)
    nothing_left(own_storage)
    stuck.refresh_from_db()
    assert (stuck.status, stuck.heartbeat_at) == ("failed", None)


def test_a_process_that_is_asked_to_end_gives_the_job_back(acme: Place, producing: Any, sent: list[str]) -> None:
    from apps.exports.jobs import work

    producing()
    job = acme.job()
    work.run(job.pk, stopping=lambda: True)
    job.refresh_from_db()
    assert (job.status, job.failures, job.lost) == ("pending", 0, 0)
    assert sent.count(str(job.pk)) >= 2
    assert run(job).status == "completed"


def test_what_kills_its_worker_is_given_up(acme: Place, own_storage: Path, producing: Any) -> None:
    from apps.exports.jobs.claim import claim
    from tests.exports.jobbing import age

    job = acme.job()
    for attempt in range(1, 7):
        claimed = claim(job.pk)
        if claimed is None:
            break
        assert claimed.attempt == attempt
        age(job.pk, 31)
    assert attempt == 6
    nothing_left(own_storage)
    job.refresh_from_db()
    assert (job.status, job.error) == ("failed", "The processes that worked on it ended 5 times without a word.")
