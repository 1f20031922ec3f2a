"""Whose turn it is: one worker a job, organizations in turn, and what each may have."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection
from django.db.models.functions import Now

from apps.common.errors import ApiError

if TYPE_CHECKING:
    from uuid import UUID

    from apps.exports.jobs.claim import Claimed
    from tests.exports.jobbing import Place


@pytest.fixture(autouse=True)
def _nobody_is_sent_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from apps.exports.jobs import enqueue

    monkeypatch.setattr(enqueue, "run_export", lambda *_, **__: True)


def place(slug: str, **limits: int) -> Place:
    from apps.exports.models import ExportLimit
    from tests.exports.jobbing import place as make

    made = make(slug)
    given = {"active_jobs": 100, "running_jobs": 100, "stored_bytes": 10**9, **limits}
    ExportLimit.objects.create(organization=made.organization, **given)
    return made


def at_once(count: int, work: Callable[[int], Any]) -> list[Any]:
    start = Barrier(count)

    def one(number: int) -> Any:
        start.wait(20)
        try:
            return work(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def taken(claims: list[Claimed | None]) -> list[UUID]:
    return [one.id for one in claims if one is not None]


def test_a_job_has_one_worker(acme: Place) -> None:
    from apps.exports.jobs.claim import claim
    from apps.exports.models import ExportLimit

    ExportLimit.objects.create(organization=acme.organization, active_jobs=100, running_jobs=100, stored_bytes=10**9)
    for _ in range(5):
        jobs = [acme.job() for _ in range(3)]
        found = taken(at_once(8, lambda number, jobs=jobs: claim(jobs[number % 3].pk)))  # type: ignore[misc]
        assert sorted(found) == sorted(job.pk for job in jobs)


def test_no_more_run_than_may(transactional_db: None) -> None:
    """Of one organization, at any moment, whoever asks; a job whose worker is silent does not count."""
    from apps.exports.jobs.claim import claim
    from apps.exports.models import ExportJob
    from apps.orgs.services import project_create
    from tests.exports.jobbing import age

    acme = place("acme", running_jobs=2)
    projects = [project_create(organization=acme.organization, slug=f"p{number}") for number in range(6)]
    for _ in range(4):
        ExportJob.objects.all().delete()
        jobs = [acme.job(projects=((project.pk, project.slug),)) for project in projects]
        first = taken(at_once(6, lambda number, jobs=jobs: claim(jobs[number].pk)))  # type: ignore[misc]
        assert len(first) == 2
        assert claim(jobs[0].pk) is None
    age(first[0], 31)
    again = [claim(first[0]), claim()]
    assert taken(again) == [first[0]], "the silent one's place is free for it, and then taken"


def test_nobody_waits_behind_anothers_queue(transactional_db: None) -> None:
    """Three organizations with long queues and a small one: turn by turn, whatever the messages say."""
    from apps.exports.jobs.claim import claim
    from apps.exports.models import ExportJob

    slugs = ("acme", "beta", "gamma", "small")
    places = {slug: place(slug, running_jobs=1) for slug in slugs}
    names = {made.organization.pk: slug for slug, made in places.items()}
    queued = [places[slug].job() for slug in slugs[:3] for _ in range(4)]
    late = places["small"].job()
    order = []
    for job in (*queued, late):
        claimed = claim(job.pk)
        assert claimed is not None
        done = ExportJob.objects.get(pk=claimed.id)
        order.append(names[done.organization_id])
        ExportJob.objects.filter(pk=done.pk).update(status="completed", expires_at=Now() + timedelta(days=1))
    assert "small" in order[:4], order
    for turn in (order[1:5], order[5:8], order[8:11]):
        assert len(set(turn)) == len(turn), order


def test_too_many_are_refused_and_none_slips_in(transactional_db: None) -> None:
    acme = place("acme", active_jobs=3)

    def ask(_: int) -> int:
        try:
            acme.job()
        except ApiError as error:
            assert error.details == {"quota": "active_jobs", "used": 3, "limit": 3}
            assert error.headers == {"Retry-After": "10"}
            return error.entry.code
        return 0

    assert sorted(at_once(6, ask)) == [0, 0, 0, 1501, 1501, 1501]


def test_stored_bytes_are_limited_at_creation_and_before_storing(
    acme: Place, own_storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from apps.exports.jobs import services, work
    from apps.exports.models import ExportJob, ExportLimit
    from apps.orgs.audit import SYSTEM
    from tests.exports.jobbing import files, say

    limit = ExportLimit.objects.create(organization=acme.organization, active_jobs=9, running_jobs=9, stored_bytes=150)
    monkeypatch.setattr(work, "produce", say(b"x" * 100))
    jobs = [acme.job() for _ in range(2)]
    for job in jobs:
        work.run(job.pk)
        job.refresh_from_db()
    assert [job.status for job in jobs] == ["completed", "failed"]
    assert jobs[1].error == (
        "The file has 100 bytes; with 100 bytes of the organization's other files that is more than the 150 bytes that"
        " it may store."
    )
    assert files() == {jobs[0].file}
    limit.stored_bytes = 100
    limit.save()
    with pytest.raises(ApiError) as caught:
        acme.job()
    assert caught.value.entry.code == 1501
    assert caught.value.details == {"quota": "stored_bytes", "used": 100, "limit": 100}
    until = int(caught.value.headers["Retry-After"])
    assert 6 * 86_400 < until <= 7 * 86_400, "until the file expires"
    services.delete(SYSTEM, jobs[0])
    assert files() == set()
    assert acme.job().status == ExportJob.Status.PENDING


def test_two_files_do_not_both_take_the_last_room(acme: Place, own_storage: Path, monkeypatch: Any) -> None:
    from apps.exports.jobs import work
    from apps.exports.models import ExportLimit
    from tests.exports.jobbing import files, on_another_connection, say

    ExportLimit.objects.create(organization=acme.organization, active_jobs=9, running_jobs=9, stored_bytes=150)
    first, second = acme.job(), acme.job()
    keep = work.storage.keep  # type: ignore[attr-defined]

    def keep_while_another_ends(name: str, path: Path) -> None:
        monkeypatch.setattr("apps.exports.storage.keep", keep)
        on_another_connection(lambda: work.run(second.pk))()
        keep(name, path)

    monkeypatch.setattr(work, "produce", say(b"x" * 100))
    monkeypatch.setattr("apps.exports.storage.keep", keep_while_another_ends)
    work.run(first.pk)
    for job in (first, second):
        job.refresh_from_db()
    assert (first.status, second.status) == ("completed", "failed")
    assert files() == {first.file}


def test_rights_are_looked_at_anew(acme: Place, own_storage: Path) -> None:
    """A re-run is a new job, with the rights of whoever asks for it."""
    from apps.exports.jobs import services
    from apps.orgs.access import PERMISSIONS, Principal
    from apps.orgs.audit import Actor
    from apps.orgs.models import AuditEntry, Role

    def principal(role: str, **changes: Any) -> Principal:
        given: dict[str, Any] = {
            "organization_id": acme.organization.pk,
            "organization_slug": "acme",
            "project_ids": {"default": acme.project.pk},
            "permissions": PERMISSIONS[role],
            "name": "somebody",
        }
        return Principal(**{**given, **changes})

    actor = Actor("system", None, "somebody", None, "")
    texts, costs = acme.job(content=True), acme.job(kind="costs")
    again = services.rerun(actor, texts, principal(Role.ANALYST))
    assert again.pk != texts.pk
    assert again.asked == texts.asked
    assert services.rerun(actor, costs, principal(Role.BILLING)).author == "somebody"
    foreign = principal(Role.ADMIN, project_ids={"web": acme.project.pk + 1})
    other = principal(Role.ADMIN, organization_id=acme.organization.pk + 1)
    for job, who, code in (
        (texts, principal(Role.VIEWER), 1100),
        (texts, principal(Role.BILLING), 1100),
        (texts, principal(Role.ADMIN, permissions=PERMISSIONS[Role.ADMIN] - {"traces:content"}), 1100),
        (costs, foreign, 1300),
        (costs, other, 1300),
    ):
        with pytest.raises(ApiError) as caught:
            services.rerun(actor, job, who)
        assert caught.value.entry.code == code
    assert AuditEntry.objects.filter(action="export.create").count() == 4
