"""Schedules over the API, and their runs: on time, once, with the rights of whoever answers for them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from apps.common.errors import ApiError
from apps.exports import schedules
from apps.exports.models import ExportJob, ExportLimit, ExportSchedule
from apps.exports.rights import principal_again
from apps.orgs.audit import SYSTEM
from apps.orgs.models import ApiKey, AuditEntry, Membership, User
from tests.support.exports import export_job, export_schedule, export_spec
from tests.support.races import codes_of_race
from tests.support.world import World, make_world

PATH = "/api/v1/export/schedules"
BODY = {
    "name": "Costs of the day",
    "kind": "costs",
    "cron": "0 6 * * *",
    "timezone": "Europe/Berlin",
    "period": "previous_day",
    "export": {"format": "jsonl", "project": ["default"]},
}


@pytest.fixture
def world(db: None) -> World:
    return make_world()


def utc(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


def nested(depth: int) -> Any:
    """Lists within lists: readable as JSON, and deeper than can be written again."""
    return [nested(depth - 1)] if depth else []


def made(world: World, key: str | None = None, **change: Any) -> Any:
    return world.send("POST", PATH, {**BODY, **change}, key=key)


def row(answer: Any) -> ExportSchedule:
    assert answer.status_code in (200, 201), answer.content
    return ExportSchedule.objects.get(pk=answer.json()["id"])


def error(answer: Any) -> tuple[int, int, str | None]:
    found = answer.json()["error"]
    return answer.status_code, found["code"], found["field"]


def due(schedule: ExportSchedule, moment: datetime) -> None:
    ExportSchedule.objects.filter(pk=schedule.pk).update(next_run_at=moment)


# -- the API --------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_made_read_changed_deleted(world: World) -> None:
    answer = made(world)
    shown = answer.json()
    assert answer.status_code == 201
    assert {name: shown[name] for name in BODY} == BODY
    assert (shown["enabled"], shown["projects"], shown["contains_content"]) == (True, ["default"], False)
    next_run = datetime.fromisoformat(shown["next_run_at"])
    assert next_run > timezone.now()
    assert next_run.minute == 0
    one = f"{PATH}/{shown['id']}"
    assert world.get(one).json() == shown
    assert world.get(PATH, include_total="true").json()["pagination"]["total"] == 1
    assert world.get(one, fields="name,cron").json() == {"name": BODY["name"], "cron": BODY["cron"]}
    off = world.send("PATCH", one, {"enabled": False}).json()
    assert (off["enabled"], off["next_run_at"]) == (False, None)
    on = world.send("PATCH", one, {"enabled": True, "cron": "30 * * * *", "period": "last_24_hours"}).json()
    assert (on["enabled"], on["next_run_at"][14:16], on["period"]) == (True, "30", "last_24_hours")
    assert world.send("DELETE", one).status_code == 204
    assert error(world.get(one)) == (404, 1300, None)
    actions = AuditEntry.objects.filter(action__startswith="export_schedule.").order_by("pk")
    assert [entry.action.partition(".")[2] for entry in actions] == ["create", "update", "update", "delete"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"cron": "* * * * *"}, (400, 1202, "cron")),
        ({"cron": "never"}, (400, 1203, "cron")),
        ({"timezone": "Europe/Berlyn"}, (400, 1202, "timezone")),
        ({"period": "yesterday"}, (400, 1202, "period")),
        ({"kind": "events"}, (400, 1202, "kind")),
        ({"name": " "}, (400, 1201, "name")),
        ({"crn": "0 6 * * *"}, (400, 1202, "crn")),
        ({"export": []}, (400, 1203, "export")),
        ({"export": {"start_time": "2026-11-01T00:00:00Z"}}, (400, 1202, "export.start_time")),
        ({"export": {"format": "cvs"}}, (400, 1202, "export.format")),
        ({"export": {"fields": ["cost"]}}, (400, 1202, "export.fields")),
        ({"export": {"group_by": ["model"] * 30_000}}, (400, 1205, "export")),
        ({"export": {"filters": nested(400)}}, (400, 1205, "export")),
        ({"export": {"model": "a\0"}}, (400, 1202, "export")),
        ({"export": {"model": "a\\\0"}}, (400, 1202, "export")),
        ({"export": {"project": "nowhere"}}, (404, 1300, "project")),
        ({"export": {"project": "secret"}}, (404, 1300, "project")),
    ],
)
def test_what_no_run_could_do_is_refused(world: World, change: dict[str, Any], expected: tuple[int, int, str]) -> None:
    assert error(made(world, **change)) == expected
    assert not ExportSchedule.objects.exists()


@pytest.mark.django_db
def test_a_wrong_word_is_told_which_there_are(world: World) -> None:
    for change, known in (({"period": "yesterday"}, "previous_day, previous_week"), ({"kind": 3}, "traces, metrics")):
        assert known in made(world, **change).json()["error"]["message"]


@pytest.mark.django_db
def test_a_text_may_spell_out_the_escape_of_a_null_character(world: World) -> None:
    assert made(world, export={"model": "a\\u0000"}).status_code == 201


@pytest.mark.django_db
def test_names_and_numbers(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    one = made(world).json()["id"]
    assert error(made(world)) == (409, 1400, "name")
    assert made(world, key=world.zenith_key, export={}).status_code == 201
    other = made(world, name="Another").json()["id"]
    assert error(world.send("PATCH", f"{PATH}/{other}", {"name": BODY["name"]})) == (409, 1400, "name")
    assert world.send("PATCH", f"{PATH}/{one}", {"name": BODY["name"]}).status_code == 200
    monkeypatch.setattr(schedules, "MOST", 2)
    third = made(world, name="A third")
    assert (error(third)[:2], third["Retry-After"]) == ((429, 1501), "60")


@pytest.mark.django_db
def test_who_sees_and_makes_which(world: World) -> None:
    spans = made(
        world, name="spans", kind="traces", export={"project": ["web"], "fields": ["trace_id", "input"]}
    ).json()
    costs = made(world).json()
    wide = made(world, name="wide", export={}).json()
    assert (spans["contains_content"], wide["projects"]) == (True, ["default", "web"])
    billing = world.new_key(role="billing")[1]
    narrow = world.new_key(role="developer", project=world.default)[1]
    silent = world.new_key(role="", permissions=["exports:create", "exports:read", "traces:read"])[1]
    seen = {billing: {costs["id"], wide["id"]}, narrow: {costs["id"]}, silent: {spans["id"]}}
    for key, ids in seen.items():
        assert {one["id"] for one in world.get(PATH, key=key).json()["data"]} == ids
    assert error(made(world, billing, name="x", kind="traces", export={})) == (403, 1100, None)
    assert error(made(world, silent, name="x", kind="traces", export={"fields": ["input"]})) == (403, 1100, None)
    assert error(world.send("PATCH", f"{PATH}/{spans['id']}", {"cron": "0 7 * * *"}, key=silent)) == (403, 1100, None)
    assert error(world.send("POST", f"{PATH}/{spans['id']}/run", key=silent)) == (403, 1100, None)
    assert error(world.get(f"{PATH}/{costs['id']}", key=world.zenith_key)) == (404, 1300, None)


@pytest.mark.django_db
def test_run_now_is_the_callers(world: World) -> None:
    schedule = row(made(world))
    before = schedule.next_run_at
    key, text = world.new_key(role="analyst")
    answer = world.send("POST", f"{PATH}/{schedule.pk}/run", key=text)
    assert answer.status_code == 202
    job = ExportJob.objects.get(pk=answer.json()["job_id"])
    assert (job.schedule_id, job.created_by_key_id, job.format) == (schedule.pk, key.pk, "jsonl")
    local = timezone.now().astimezone(ZoneInfo("Europe/Berlin"))
    assert job.end_time == local.replace(hour=0, minute=0, second=0, microsecond=0)
    schedule.refresh_from_db()
    assert schedule.next_run_at == before
    assert world.get(answer.json()["status_url"]).json()["schedule_id"] == schedule.pk


@pytest.mark.django_db
def test_run_now_of_one_that_was_deleted_meanwhile(world: World) -> None:
    schedule = row(made(world))
    principal = principal_again(world.acme.pk, user_id=world.ada.pk, key_id=None)
    ExportSchedule.objects.filter(pk=schedule.pk).delete()
    with pytest.raises(ApiError) as raised:
        schedules.run_now(SYSTEM, principal, schedule)
    assert raised.value.entry.code == 1300
    assert not ExportJob.objects.exists()


# -- runs -----------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_run_on_time(world: World) -> None:
    schedule = row(made(world))
    moment = utc(2026, 3, 29, 4)  # 06:00 in Berlin, whose day before had 24 hours and whose own has 23
    due(schedule, moment)
    assert schedules.run_due(moment - timedelta(seconds=1)) == 0
    assert schedules.run_due(moment + timedelta(seconds=20)) == 1
    job = ExportJob.objects.get()
    assert (job.start_time, job.end_time) == (utc(2026, 3, 27, 23), utc(2026, 3, 28, 23))
    assert (job.schedule_id, job.status, job.organization_id) == (schedule.pk, "pending", world.acme.pk)
    assert job.author.startswith("ah_")
    schedule.refresh_from_db()
    assert schedule.next_run_at == utc(2026, 3, 30, 4)
    assert schedule.last_run_at == moment + timedelta(seconds=20)
    assert schedules.run_due(moment + timedelta(seconds=40)) == 0
    due(schedule, utc(2026, 3, 30, 4))
    assert schedules.run_due(utc(2026, 3, 30, 4)) == 1
    latest = ExportJob.objects.order_by("created_at").last()
    assert latest is not None
    assert (latest.start_time, latest.end_time) == (utc(2026, 3, 28, 23), utc(2026, 3, 29, 22))


@pytest.mark.django_db
def test_missed_runs_are_made_up_for_by_one(world: World) -> None:
    schedule = row(made(world, cron="*/5 * * * *", timezone="UTC", period="last_24_hours"))
    due(schedule, utc(2026, 11, 1))
    now = utc(2026, 11, 20, 10, 3)
    assert schedules.run_due(now) == 1
    job = ExportJob.objects.get()
    assert job.end_time == utc(2026, 11, 20, 10)  # as of the last one that was missed
    schedule.refresh_from_db()
    assert schedule.next_run_at == utc(2026, 11, 20, 10, 5)
    assert schedules.run_due(now) == 0


@pytest.mark.django_db
def test_what_is_switched_off_does_not_run(world: World) -> None:
    schedule = row(made(world))
    due(schedule, utc(2026, 11, 1))
    ExportSchedule.objects.filter(pk=schedule.pk).update(enabled=False)
    assert schedules.run_due(utc(2026, 11, 2)) == 0


@pytest.mark.django_db
@pytest.mark.parametrize(
    "change", [{"revoked_at": timezone.now()}, {"expires_at": utc(2026, 1, 1)}, {"role": "viewer"}, None]
)
def test_a_key_that_may_no_longer_pauses_its_schedule(world: World, change: dict[str, Any] | None) -> None:
    key, text = world.new_key(role="analyst")
    schedule = row(made(world, text))
    rows = ApiKey.objects.filter(pk=key.pk)
    rows.delete() if change is None else rows.update(**change)
    due(schedule, utc(2026, 11, 1))
    assert schedules.run_due(utc(2026, 11, 2)) == 0
    assert not ExportJob.objects.exists()
    shown = world.get(f"{PATH}/{schedule.pk}").json()
    assert (shown["enabled"], shown["next_run_at"]) == (False, None)
    assert shown["paused_reason"].startswith("Paused at its run: ")
    entry = AuditEntry.objects.get(action="export_schedule.pause")
    assert (entry.organization_id, entry.object_id, entry.actor_kind) == (world.acme.pk, str(schedule.pk), "system")
    # Whoever switches it on again answers for it.
    again = world.send("PATCH", f"{PATH}/{schedule.pk}", {"enabled": True}).json()
    assert (again["enabled"], again["paused_reason"]) == (True, None)
    due(schedule, utc(2026, 11, 1))
    assert schedules.run_due(utc(2026, 11, 2)) == 1


@pytest.mark.django_db
def test_a_person_who_may_no_longer(world: World) -> None:
    """Texts need traces:content at each run; a project that the person sees no more is not exported."""
    schedule = export_schedule(
        world.acme, [world.web], world.dora, kind="traces", body={"fields": ["trace_id", "input"]}, content=True
    )
    due(schedule, utc(2026, 11, 1))
    assert schedules.run_due(utc(2026, 11, 1, 12)) == 1
    job = ExportJob.objects.get()
    assert (job.content, job.project_ids, job.created_by_id) == (True, [world.web.pk], world.dora.pk)
    member = world.member_of(world.dora)
    member.projects.set([world.default])
    due(schedule, utc(2026, 11, 2))
    assert schedules.run_due(utc(2026, 11, 2, 12)) == 1
    schedule.refresh_from_db()
    assert schedule.project_ids == [world.default.pk]
    Membership.objects.filter(pk=member.pk).update(role="billing")
    due(schedule, utc(2026, 11, 3))
    assert schedules.run_due(utc(2026, 11, 3, 12)) == 0
    schedule.refresh_from_db()
    assert "traces:content" in schedule.paused_reason
    User.objects.filter(pk=world.dora.pk).update(is_active=False)
    ExportSchedule.objects.filter(pk=schedule.pk).update(enabled=True, next_run_at=utc(2026, 11, 4))
    assert schedules.run_due(utc(2026, 11, 4, 12)) == 0
    assert ExportJob.objects.count() == 2


@pytest.mark.django_db
def test_whoever_changes_it_answers_for_it(world: World) -> None:
    key, text = world.new_key(role="developer")
    schedule = row(made(world))
    owner = schedule.created_by_key_id
    world.send("PATCH", f"{PATH}/{schedule.pk}", {"enabled": False}, key=text)
    schedule.refresh_from_db()
    assert schedule.created_by_key_id == owner
    world.send("PATCH", f"{PATH}/{schedule.pk}", {"enabled": True}, key=text)
    schedule.refresh_from_db()
    assert (schedule.created_by_key_id, schedule.author) == (key.pk, key.prefix)


@pytest.mark.django_db
def test_a_run_without_room_waits(world: World) -> None:
    ExportLimit.objects.create(organization=world.acme, active_jobs=1, running_jobs=1, stored_bytes=10**12)
    waiting = export_job(export_spec(world.acme, [world.default]))
    schedule = row(made(world, timezone="UTC"))
    due(schedule, utc(2026, 11, 1, 6))
    now = utc(2026, 11, 1, 6, 0)
    assert schedules.run_due(now) == 0
    schedule.refresh_from_db()
    assert (schedule.enabled, schedule.next_run_at) == (True, now + schedules.LATER)
    ExportJob.objects.filter(pk=waiting.pk).update(status="completed")
    assert schedules.run_due(now + schedules.LATER) == 1
    job = ExportJob.objects.get(schedule=schedule)
    assert job.end_time == utc(2026, 11, 1)
    schedule.refresh_from_db()
    assert schedule.next_run_at == utc(2026, 11, 2, 6)


@pytest.mark.django_db
def test_one_that_breaks_keeps_no_other_from_its_run(world: World) -> None:
    broken, sound = row(made(world)), row(made(world, name="sound"))
    for number, schedule in enumerate((broken, sound)):
        due(schedule, utc(2026, 11, 1, 5, number))
    real = schedules.spec_at

    def failing(schedule: ExportSchedule, *rest: Any) -> Any:
        if schedule.pk == broken.pk:
            raise RuntimeError
        return real(schedule, *rest)

    now = utc(2026, 11, 1, 6)
    with mock.patch.object(schedules, "spec_at", failing):
        assert schedules.run_due(now) == 1
    assert ExportJob.objects.get().schedule_id == sound.pk
    broken.refresh_from_db()
    assert (broken.enabled, broken.next_run_at) == (True, now + schedules.LATER)


@pytest.mark.django_db
def test_a_range_that_is_refused_pauses(world: World) -> None:
    schedule = row(made(world))
    due(schedule, utc(2026, 11, 1))
    with mock.patch.object(schedules, "spec_of", side_effect=ApiError(1204, "Too long.")):
        assert schedules.run_due(utc(2026, 11, 2)) == 0
    schedule.refresh_from_db()
    assert (schedule.enabled, schedule.paused_reason) == (False, "Paused at its run: Too long.")


@pytest.mark.django_db(transaction=True)
def test_two_beats_run_it_once() -> None:
    world = make_world()
    rows = [row(made(world, name=f"schedule {number}")) for number in range(4)]
    for schedule in rows:
        due(schedule, utc(2026, 11, 1))

    counts: list[int] = []
    assert codes_of_race(lambda _: counts.append(schedules.run_due(utc(2026, 11, 2))), range(3)) == [0, 0, 0]
    assert sum(counts) == len(rows)
    assert sorted(ExportJob.objects.values_list("schedule_id", flat=True)) == [schedule.pk for schedule in rows]
