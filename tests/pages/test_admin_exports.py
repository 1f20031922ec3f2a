"""Exports and background work in Django's admin: found, read, cancelled, made again, downloaded, limited."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from tests.pages.test_pages import check_page
from tests.support.world import World

if TYPE_CHECKING:
    from apps.exports.models import ExportJob
    from apps.orgs.models import Organization

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)


@pytest.fixture
def desk(web: Client, world: World) -> Client:
    """A browser in which a superuser has signed in."""
    from apps.orgs.models import User

    web.force_login(User.objects.create_superuser("root@hub.example", "correct horse 17"))
    return web


def url(name: str, *args: Any) -> str:
    return reverse(f"admin:exports_{name}", args=args)


def job_of(organization: Organization, **columns: Any) -> ExportJob:
    from apps.exports.models import ExportJob
    from apps.exports.spec import ExportSpec

    project = organization.projects.first()
    assert project is not None
    spec = ExportSpec(
        kind="traces",
        organization_id=organization.pk,
        projects=((project.pk, project.slug),),
        start=NOW - timedelta(days=1),
        end=NOW,
        format="csv",
        compression="none",
        fields=("trace_id", "model"),
        question={"filters": {"model": ["gpt-4o"]}},
    )
    made = {"created_at": NOW, "updated_at": NOW, "not_before": NOW, "author": "ada@acme.example", **columns}
    return ExportJob.objects.create(
        organization=organization,
        kind=spec.kind,
        format=spec.format,
        compression=spec.compression,
        asked=spec.to_json(),
        project_ids=[project.pk],
        start_time=spec.start,
        end_time=spec.end,
        **made,
    )


def finished(organization: Organization, **columns: Any) -> ExportJob:
    sums = {"rows": 3, "requests": 2, "total_cost_usd": "0.000000000012"}
    proof = {"written": sums, "sql": sums, "engine": None, "not_compared": {"engine": "a limit left rows out"}}
    done = {"status": "completed", "row_count": 3, "file_size_bytes": 5, "file": "1/one.csv", "file_name": "one.csv",
            "content_type": "text/csv", "sha256": "0" * 64, "expires_at": datetime.now(UTC) + timedelta(days=1),
            "manifest": {"rows": 3, "proof": proof}}  # fmt: skip
    return job_of(organization, **{**done, **columns})


def shown(answer: Any) -> str:
    assert answer.status_code == 200
    return check_page(answer)


def results(answer: Any) -> int:
    assert answer.status_code == 200
    return len(answer.context["cl"].result_list)


def test_jobs_are_found_and_filtered(desk: Client, world: World) -> None:
    first, other = job_of(world.acme), finished(world.zenith)
    page = url("exportjob_changelist")
    assert results(desk.get(page)) == 2
    assert results(desk.get(page, {"q": str(first.pk)})) == 1
    assert results(desk.get(page, {"q": "zenith"})) == 1
    assert results(desk.get(page, {"q": "zen"})) == 0
    assert results(desk.get(page, {"q": str(uuid4())})) == 0
    assert results(desk.get(page, {"status__exact": "completed"})) == 1
    assert results(desk.get(page, {"organization": str(world.acme.pk)})) == 1
    assert str(other.pk)[:8] in shown(desk.get(page))


def test_lists_cost_as_much_for_many_as_for_few(desk: Client, world: World, django_assert_max_num_queries: Any) -> None:
    for _ in range(3):
        job_of(world.acme)
    with django_assert_max_num_queries(12) as few:
        desk.get(url("exportjob_changelist"))
    for number in range(30):
        finished((world.acme, world.zenith)[number % 2])
    with django_assert_max_num_queries(12) as many:
        desk.get(url("exportjob_changelist"))
    assert len(many) == len(few)
    texts = [one["sql"] for one in many.captured_queries]
    assert not any("COUNT(*)" in text and "LIMIT" not in text for text in texts), "no table is counted"
    assert not any("manifest" in text for text in texts), "lists do not fetch what only one job's page shows"


def test_a_finished_job_shows_its_file_and_its_proof(desk: Client, world: World) -> None:
    text = shown(desk.get(url("exportjob_change", finished(world.acme).pk)))
    for word in ("one.csv", "0.000000000012", "a limit left rows out", "gpt-4o", "trace_id, model", "Download"):
        assert word in text, word
    assert "Cancel it" not in text


def test_one_is_cancelled_and_asked_for_again(desk: Client, world: World) -> None:
    from apps.exports.models import ExportJob
    from apps.orgs.models import AuditEntry

    job = job_of(world.acme)
    assert "Cancel it" in shown(desk.get(url("exportjob_change", job.pk)))
    assert desk.get(url("exportjob_act", job.pk, "cancel")).status_code == 405
    desk.post(url("exportjob_act", job.pk, "cancel"))
    job.refresh_from_db()
    assert job.status == "cancelled"
    again = desk.post(url("exportjob_act", job.pk, "cancel"), follow=True)
    assert "Only an export that is under way" in again.content.decode()
    answer = desk.post(url("exportjob_act", job.pk, "rerun"))
    new = ExportJob.objects.exclude(pk=job.pk).get()
    assert str(new.pk) in answer["Location"]
    assert (new.status, new.asked, new.author) == ("pending", job.asked, "root@hub.example")
    actions = list(AuditEntry.objects.filter(object_type="export").values_list("action", "actor").order_by("id"))
    assert actions == [("export.cancel", "root@hub.example"), ("export.create", "root@hub.example")]
    assert desk.post(url("exportjob_act", job.pk, "erase")).status_code == 404


def test_many_are_cancelled_and_asked_for_again(desk: Client, world: World) -> None:
    from apps.exports.models import ExportJob

    jobs = [job_of(world.acme), finished(world.acme)]
    chosen = [str(job.pk) for job in jobs]
    page = url("exportjob_changelist")
    told = desk.post(page, {"action": "cancel", "_selected_action": chosen}, follow=True).content.decode()
    assert "Cancelled: 1." in told
    assert "this one is completed" in told
    desk.post(page, {"action": "rerun", "_selected_action": chosen})
    assert ExportJob.objects.filter(status="pending").count() == 2


def test_a_file_is_deleted(desk: Client, world: World) -> None:
    from apps.exports.models import ExportJob
    from apps.orgs.models import AuditEntry

    one, other, waiting = finished(world.acme), finished(world.acme), job_of(world.acme)
    assert "Delete its file" in shown(desk.get(url("exportjob_change", one.pk)))
    assert "Delete its file" not in shown(desk.get(url("exportjob_change", waiting.pk)))
    desk.post(url("exportjob_act", one.pk, "delete_file"))
    chosen = {"action": "delete_file", "_selected_action": [str(other.pk), str(waiting.pk)]}
    told = desk.post(url("exportjob_changelist"), chosen, follow=True).content.decode()
    assert "Deleted the file of: 1." in told
    assert "Only a finished export has a file to delete" in told
    states = dict(ExportJob.objects.values_list("pk", "status"))
    assert states == {one.pk: "expired", other.pk: "expired", waiting.pk: "pending"}
    assert AuditEntry.objects.filter(action="export.delete").count() == 2


def test_a_download_is_written_down(desk: Client, world: World, settings: Any, tmp_path: Any) -> None:
    from apps.orgs.models import AuditEntry

    local = settings.STORAGES["exports"]
    settings.STORAGES = {**settings.STORAGES, "exports": {**local, "OPTIONS": {"location": tmp_path}}}
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "one.csv").write_bytes(b"a,b\n\n")
    job = finished(world.acme)
    answer = desk.get(url("exportjob_download", job.pk))
    assert answer.status_code == 200
    assert b"".join(answer.streaming_content) == b"a,b\n\n"  # type: ignore[attr-defined]
    assert "one.csv" in answer["Content-Disposition"]
    entry = AuditEntry.objects.get(action="export.download")
    assert (entry.actor, entry.object_id) == ("root@hub.example", str(job.pk))
    (tmp_path / "1" / "one.csv").unlink()
    assert "gone" in desk.get(url("exportjob_download", job.pk), follow=True).content.decode()
    assert desk.get(url("exportjob_download", job_of(world.acme).pk)).status_code == 404
    old = finished(world.acme, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert desk.get(url("exportjob_download", old.pk)).status_code == 404


def test_staff_look_and_do_nothing(web: Client, world: World) -> None:
    from django.contrib.auth.models import Permission

    from apps.orgs.models import User

    staff = User.objects.create_user("staff@hub.example", "correct horse 17", is_staff=True)
    staff.user_permissions.set(Permission.objects.filter(codename__startswith="view_export"))
    web.force_login(staff)
    job, done = job_of(world.acme), finished(world.acme)
    text = shown(web.get(url("exportjob_change", done.pk)))
    assert "Download" not in text
    assert "Ask for it again" not in text
    assert web.get(url("exportjob_download", done.pk)).status_code == 403
    assert web.post(url("exportjob_act", job.pk, "cancel")).status_code == 403
    assert web.get(reverse("admin:background")).status_code == 403
    web.post(url("exportjob_changelist"), {"action": "cancel", "_selected_action": [str(job.pk)]})
    job.refresh_from_db()
    assert job.status == "pending"


def test_limits_are_set_changed_and_removed(desk: Client, world: World) -> None:
    from apps.exports.jobs.limits import limits_of
    from apps.exports.models import ExportLimit
    from apps.orgs.models import AuditEntry

    figures = {"active_jobs": 3, "running_jobs": 2, "stored_bytes": 1000}
    wrong = desk.post(url("exportlimit_add"), {"organization": world.acme.pk, **figures, "running_jobs": 4})
    assert "at most as many" in wrong.content.decode()
    assert desk.post(url("exportlimit_add"), {"organization": world.acme.pk, **figures}).status_code == 302
    limit = ExportLimit.objects.get()
    assert limits_of(world.acme.pk).active_jobs == 3
    assert desk.post(url("exportlimit_change", limit.pk), {**figures, "active_jobs": 5}).status_code == 302
    assert limits_of(world.acme.pk).active_jobs == 5
    assert desk.post(url("exportlimit_delete", limit.pk), {"post": "yes"}).status_code == 302
    assert not ExportLimit.objects.exists()
    made = AuditEntry.objects.filter(object_type="export_limit").order_by("id")
    assert [entry.action for entry in made] == ["limit.set", "limit.set", "limit.remove"]
    assert (made[1].before, made[1].after) == ({"active_jobs": 3}, {"active_jobs": 5})


def test_schedules_and_repricing_are_read(desk: Client, world: World) -> None:
    from apps.costs.repricing.models import RepriceJob
    from apps.exports.models import ExportSchedule

    times = {"created_at": NOW, "updated_at": NOW}
    schedule = ExportSchedule.objects.create(
        organization=world.acme, name="Every night", kind="costs", cron="0 2 * * *", period="previous_day",
        body={"format": "xlsx"}, project_ids=[1], enabled=False, paused_reason="its author left", **times,
    )  # fmt: skip
    job_of(world.acme, schedule=schedule)
    assert "its author left" in shown(desk.get(url("exportschedule_changelist")))
    text = shown(desk.get(url("exportschedule_change", schedule.pk)))
    assert "xlsx" in text
    link = re.search(r'href="([^"]*)">Its exports', text)
    assert link
    assert results(desk.get(link[1])) == 1
    assert desk.get(url("exportschedule_add")).status_code == 403

    job = RepriceJob.objects.create(
        organization=world.acme, start_time=NOW, end_time=NOW, project_ids=[1], believed_at=NOW, price_list="1",
        author="ada@acme.example", created_at=NOW, counted={"spans": 12345},
    )  # fmt: skip
    assert results(desk.get(reverse("admin:costs_repricejob_changelist"), {"q": "acme"})) == 1
    assert "12345" in shown(desk.get(reverse("admin:costs_repricejob_change", args=[job.pk])))
    assert desk.get(reverse("admin:costs_repricejob_add")).status_code == 403


def test_background_work_without_anybody(desk: Client) -> None:
    """No worker, no beat: the page says so, and the front page leads to it."""
    from apps.common.observe.background import LEASE, RAN, broker

    server = broker()
    assert server is not None
    server.delete(LEASE, RAN)
    assert reverse("admin:background") in shown(desk.get("/admin/"))
    text = shown(desk.get(reverse("admin:background")))
    assert "No worker answers" in text
    assert text.count("nobody takes from it") == 3
    assert "<strong>nobody</strong>" in text
    assert "refresh_rollups" in text


def test_background_work_without_a_broker(desk: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from redis import Redis

    from apps.common.observe import background
    from apps.orgs.admin import background as page

    monkeypatch.setattr(page, "workers", lambda: [])
    monkeypatch.setattr(background, "broker", lambda: Redis.from_url("redis://127.0.0.1:1/0"))
    assert "The broker does not answer" in shown(desk.get(reverse("admin:background")))


def test_a_schedule_is_paused_run_and_deleted(desk: Client, world: World) -> None:
    from apps.exports.models import ExportJob, ExportSchedule
    from apps.exports.rights import principal_again
    from apps.exports.schedules import create
    from apps.orgs.audit import SYSTEM
    from apps.orgs.models import AuditEntry

    owner = principal_again(world.acme.pk, user_id=world.ada.pk, key_id=None)
    given = {"name": "Nightly", "cron": "0 2 * * *", "timezone": "UTC", "period": "previous_day", "body": {}}
    schedule = create(SYSTEM, owner, "costs", given)
    page = url("exportschedule_changelist")
    desk.post(page, {"action": "run_now", "_selected_action": [schedule.pk]})
    job = ExportJob.objects.get()
    assert (job.schedule_id, job.author, job.kind) == (schedule.pk, "root@hub.example", "costs")
    for _ in range(2):
        desk.post(page, {"action": "pause", "_selected_action": [schedule.pk]})
    schedule.refresh_from_db()
    assert (schedule.enabled, schedule.next_run_at) == (False, None)
    assert desk.post(url("exportschedule_delete", schedule.pk), {"post": "yes"}).status_code == 302
    assert not ExportSchedule.objects.exists()
    told = AuditEntry.objects.filter(object_type="export_schedule", actor="root@hub.example").order_by("id")
    assert [entry.action for entry in told] == ["export_schedule.pause", "export_schedule.delete"]
