"""Deleting traces and users takes the exports back that may hold them, finished or at work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection, transaction

from tests.support.spans import T0, T0_US, span_row

if TYPE_CHECKING:
    from apps.exports.models import ExportJob
    from tests.exports.jobbing import Place

TRACE = "f" * 32


@pytest.fixture(autouse=True)
def produced(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Callable[[], object]]]:
    """What happens while a file is made; nobody is sent for."""
    from apps.exports.jobs import enqueue, work
    from tests.exports.jobbing import say

    steps: list[Callable[[], object]] = []
    monkeypatch.setattr(enqueue, "run_export", lambda *_, **__: True)
    monkeypatch.setattr(work, "produce", say(b"text", before=lambda: steps and steps.pop()()))
    return iter([steps])


@pytest.fixture
def during(produced: Iterator[list[Callable[[], object]]]) -> list[Callable[[], object]]:
    return next(produced)


def finished(place: Place, **changes: Any) -> ExportJob:
    from apps.exports.jobs import work

    job = place.job(**changes)
    work.run(job.pk)
    job.refresh_from_db()
    return job


def write(place: Place, **columns: Any) -> None:
    from apps.traces.writer import write as write_rows

    given = {"trace_id": TRACE, "user_id": "ada", "session_id": "s1", **columns}
    write_rows([span_row(project_id=place.project.pk, **given)])


def delete(place: Place, trace_id: str = TRACE) -> dict[str, int]:
    from apps.orgs.audit import SYSTEM
    from apps.traces import deletion

    placed = deletion.find_trace({place.project.slug: place.project.pk}, trace_id)
    return deletion.delete_trace(placed, SYSTEM, place.organization.pk).counts


def test_only_what_may_hold_the_trace_goes(acme: Place) -> None:
    from apps.orgs.services import project_create
    from tests.exports.jobbing import Place as Other
    from tests.exports.jobbing import files

    write(acme)
    write(acme, start_us=T0_US + 60_000_000, user_id="ben", session_id=None)
    other = Other(acme.organization, project_create(organization=acme.organization, slug="web"))
    hour = timedelta(hours=1)
    gone = {
        "all": finished(acme),
        "both ends": finished(acme, start=T0 + timedelta(seconds=60), end=T0 + hour),
        "the trace": finished(acme, question={"trace_id": [TRACE, "a"]}),
        "its user": finished(acme, question={"user_id": ["ada"]}),
        "a span's user": finished(acme, question={"user_id": ["ben"]}),
        "its session": finished(acme, question={"session_id": ["s1", "s2"]}),
        "a tree": finished(acme, question={"match": "traces", "filter": {"field": "user_id"}}),
    }
    kept = {
        "before": finished(acme, start=T0 - hour, end=T0),
        "after": finished(acme, start=T0 + timedelta(seconds=60, microseconds=1), end=T0 + hour),
        "another trace": finished(acme, question={"trace_id": ["a"]}),
        "another user": finished(acme, question={"user_id": ["cleo"]}),
        "another session": finished(acme, question={"session_id": ["s2"]}),
        "another project": finished(other),
        "figures": finished(acme, kind="costs", question={"group_by": ["model"]}),
    }
    assert delete(acme)["exports"] == len(gone)
    for name, job in {**gone, **kept}.items():
        job.refresh_from_db()
        wanted = ("expired", "It held data that has been deleted since.") if name in gone else ("completed", "")
        assert (job.status, job.error) == wanted, name
    assert files() == {job.file for job in kept.values()}


def test_what_is_at_work_begins_anew(acme: Place, during: list[Callable[[], object]]) -> None:
    from apps.exports.jobs import work
    from tests.exports.jobbing import files, on_another_connection

    write(acme)
    during.append(on_another_connection(lambda: delete(acme)))
    job = finished(acme)
    assert (job.status, job.attempt, job.failures) == ("pending", 1, 0)
    assert files() == set()
    work.run(job.pk)
    job.refresh_from_db()
    assert (job.status, job.attempt, job.lost) == ("completed", 2, 0)
    assert files() == {job.file}


def test_no_snapshot_is_taken_beside_a_deletion(acme: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that is made and taken up while a deletion is not committed waits for it."""
    from apps.exports.jobs import claim as claiming
    from apps.traces import deletion

    write(acme, session_id=None)
    placed = deletion.find_trace({acme.project.slug: acme.project.pk}, TRACE)
    monkeypatch.setattr(claiming, "WAIT_SECONDS", 0.3)
    deleted, go = Event(), Event()

    def delete_slowly() -> None:
        with transaction.atomic():
            deletion._delete([placed])
            deleted.set()
            go.wait(20)
        connection.close()

    thread = Thread(target=delete_slowly)
    thread.start()
    assert deleted.wait(20)
    job = acme.job()
    assert claiming.claim(job.pk) is None
    go.set()
    thread.join()
    assert claiming.claim(job.pk) is not None


def test_a_users_figures_go_with_the_user(acme: Place, own_storage: Path) -> None:
    from apps.orgs.audit import SYSTEM
    from apps.traces import deletion

    write(acme)
    gone = {
        "by user": finished(acme, kind="costs", question={"group_by": ["user_id"]}),
        "of a user": finished(acme, kind="metrics", question={"filters": [{"field": "user_id"}]}),
        "of sessions": finished(acme, kind="metrics", question={"group_by": ["session_id"]}),
        "asked for by name": finished(acme, question={"user_id": ["ada"]}, start=T0, end=T0 + timedelta(seconds=1)),
    }
    kept = {"by model": finished(acme, kind="costs", question={"group_by": ["model"]})}
    deletion.delete_user([acme.project.pk], "ada", SYSTEM, acme.organization.pk)
    for name, job in {**gone, **kept}.items():
        job.refresh_from_db()
        assert job.status == ("expired" if name in gone else "completed"), name
