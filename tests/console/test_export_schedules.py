"""Schedules in the console: made, paused, run, deleted, each by the API's rules."""

from __future__ import annotations

from typing import Any

import pytest

from apps.exports.models import ExportJob, ExportSchedule
from tests.support.world import World

FORM = {
    "schedule_name": "Costs of the day",
    "period": "previous_day",
    "cron": "0 6 * * *",
    "timezone": "Europe/Berlin",
    "format": "xlsx",
    "interval": "1hour",
    "group_by": ["model"],
    "model": "gpt-4o",
}


def made(web: Any, **changes: Any) -> ExportSchedule:
    answer = web.post("/exports/schedules/new?kind=costs", {**FORM, **changes})
    assert answer.status_code == 302, answer.content.decode()[-3_000:]
    return ExportSchedule.objects.get(pk=answer["Location"].rpartition("/")[2])


def test_is_made_of_the_form(world: World, ada: Any) -> None:
    schedule = made(ada)
    assert (schedule.name, schedule.kind, schedule.cron) == ("Costs of the day", "costs", "0 6 * * *")
    assert (schedule.timezone, schedule.period, schedule.author) == (
        "Europe/Berlin",
        "previous_day",
        "ada@acme.example",
    )
    assert (
        schedule.body
        == {
            "format": "xlsx",
            "model": ["gpt-4o"],
            "group_by": ["model"],
            "interval": "1hour",
            "timezone": "Europe/Berlin",
            "compression": "none",
        }
        or "compression" not in schedule.body
    )
    page = ada.get("/exports/schedules")
    said = world.get("/api/v1/export/schedules").json()["data"]
    assert [row["id"] for row in page.context["rows"]] == [row["id"] for row in said] == [schedule.pk]


@pytest.mark.parametrize(
    ("change", "field"),
    [({"cron": "every day"}, "cron"), ({"timezone": "Mars"}, "timezone"), ({"schedule_name": ""}, "schedule_name")],
)
def test_what_is_refused_stands_at_the_field(world: World, ada: Any, change: dict[str, str], field: str) -> None:
    page = ada.post("/exports/schedules/new?kind=costs", {**FORM, **change})
    assert page.status_code == 400
    assert set(page.context["form"].errors) == {field}
    assert not ExportSchedule.objects.exists()


def test_a_name_that_is_taken_is_told(world: World, ada: Any) -> None:
    made(ada)
    page = ada.post("/exports/schedules/new?kind=costs", FORM)
    assert page.status_code == 400 and "schedule_name" in page.context["form"].errors


def test_is_paused_and_runs_again(world: World, ada: Any) -> None:
    schedule = made(ada)
    page = ada.post(f"/exports/schedules/{schedule.pk}/pause", follow=True)
    assert b"The schedule is paused." in page.content and not page.context["row"]["enabled"]
    page = ada.post(f"/exports/schedules/{schedule.pk}/resume", follow=True)
    assert page.context["row"]["enabled"] and page.context["row"]["next_run_at"]


def test_runs_at_once_and_lists_what_it_made(world: World, ada: Any) -> None:
    schedule = made(ada)
    page = ada.post(f"/exports/schedules/{schedule.pk}/run", follow=True)
    job = ExportJob.objects.get(schedule=schedule)
    assert page.context["job"]["job_id"] == str(job.pk)
    assert str(job.pk).encode() in ada.get(f"/exports/schedules/{schedule.pk}").content


def test_is_deleted(world: World, ada: Any) -> None:
    schedule = made(ada)
    assert ada.get(f"/exports/schedules/{schedule.pk}/delete").status_code == 302
    assert ExportSchedule.objects.exists()
    assert b"The schedule is deleted." in ada.post(f"/exports/schedules/{schedule.pk}/delete", follow=True).content
    assert not ExportSchedule.objects.exists()


def test_other_organizations_schedules_are_not_there(world: World, ada: Any, browser_of: Any) -> None:
    schedule = made(ada)
    cleo = browser_of(world.cleo)
    assert cleo.get("/exports/schedules").context["rows"] == []
    for number in (schedule.pk, 2_000_000_000, "x"):
        assert cleo.get(f"/exports/schedules/{number}").status_code == 404
        for deed in ("pause", "run", "delete"):
            assert cleo.post(f"/exports/schedules/{number}/{deed}").status_code == 404
    assert ada.post(f"/exports/schedules/{schedule.pk}/explode").status_code == 404
    assert ExportSchedule.objects.get().enabled and not ExportJob.objects.exists()
