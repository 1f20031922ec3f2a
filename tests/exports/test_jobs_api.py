"""`/api/v1/export/jobs`: listed, read, cancelled."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.utils import timezone

from apps.exports.models import ExportJob
from tests.support.exports import export_job, export_schedule, export_spec, finished_export
from tests.support.world import World, make_world

pytestmark = pytest.mark.django_db
JOBS = "/api/v1/export/jobs"


@pytest.fixture
def world(db: None) -> World:
    return make_world()


def jobs(world: World, count: int) -> list[ExportJob]:
    """Jobs of all statuses and kinds, two of each moment."""
    now = timezone.now()
    statuses = list(ExportJob.Status.values)
    made = []
    for number in range(count):
        kind = ("traces", "metrics", "costs")[number % 3]
        spec = export_spec(world.acme, [world.default], kind=kind)
        moment = now - timedelta(minutes=number // 2)
        made.append(export_job(spec, created_at=moment, status=statuses[number % len(statuses)]))
    return made


def test_the_list_goes_page_by_page(world: World) -> None:
    made = jobs(world, 11)
    ordered = sorted(made, key=lambda job: (job.created_at, job.pk), reverse=True)
    seen: list[str] = []
    cursor: dict[str, Any] = {}
    while True:
        page = world.get(JOBS, limit=3, include_total="true", **cursor).json()
        assert page["pagination"]["total"] == 11
        seen += [row["job_id"] for row in page["data"]]
        if not page["pagination"]["has_more"]:
            break
        cursor = {"cursor": page["pagination"]["next_cursor"]}
    assert seen == [str(job.pk) for job in ordered]


def test_filters(world: World) -> None:
    made = jobs(world, 12)
    late = finished_export(world.acme, [world.default], expires_at=timezone.now() - timedelta(minutes=1))
    for kind in ("traces", "metrics", "costs"):
        wanted = {str(job.pk) for job in (*made, late) if job.kind == kind}
        assert {row["job_id"] for row in world.get(JOBS, kind=kind).json()["data"]} == wanted
    for status in ExportJob.Status.values:
        wanted = {str(job.pk) for job in made if job.status == status}
        wanted |= {str(late.pk)} if status == "expired" else set()
        found = world.get(JOBS, status=status).json()["data"]
        assert {row["job_id"] for row in found} == wanted
        assert {row["status"] for row in found} <= {status}
    for name, value, code in (("status", "complete", 1202), ("kind", "trace", 1202), ("stats", "x", 1202)):
        error = world.get(JOBS, **{name: value}).json()["error"]
        assert (error["code"], error["field"]) == (code, name)
    assert "completed" in world.get(JOBS, status="complete").json()["error"]["message"]


def test_money_is_numbers(world: World) -> None:
    """As everywhere; what is kept is exact text."""
    sums = {
        "rows": 1,
        "requests": 1,
        "total_cost_usd": "0.100000000001",
        "all_cost_usd": None,
        "columns": {"c": "20.00"},
    }
    kept = {
        "schema_version": 1,
        "sums": sums,
        "proof": {"written": sums, "sql": sums, "engine": None, "not_compared": {}},
    }
    job = finished_export(world.acme, [world.default], manifest=kept)
    wanted = {**sums, "total_cost_usd": Decimal("0.100000000001"), "columns": {"c": 20}}
    one = json.loads(world.get(f"{JOBS}/{job.pk}").content, parse_float=Decimal)
    assert one["manifest"]["sums"] == wanted
    whole = json.loads(world.get(f"{JOBS}/{job.pk}/manifest").content, parse_float=Decimal)
    proof = {"written": wanted, "sql": wanted, "engine": None, "not_compared": {}}
    assert whole == {"schema_version": 1, "sums": wanted, "proof": proof}


def test_filters_by_several_words_and_by_schedule(world: World) -> None:
    made = jobs(world, 12)
    late = finished_export(world.acme, [world.default], expires_at=timezone.now() - timedelta(minutes=1))

    def found(**filters: Any) -> set[str]:
        return {row["job_id"] for row in world.get(JOBS, **filters).json()["data"]}

    waiting = {str(job.pk) for job in made if job.status in ("pending", "processing")}
    assert found(status="pending,processing") == waiting
    assert found(status="completed, failed") == {str(job.pk) for job in made if job.status in ("completed", "failed")}
    over = {str(job.pk) for job in made if job.status in ("completed", "expired")}
    assert found(status="completed,expired") == {*over, str(late.pk)}
    assert found(kind="traces,costs") == {str(job.pk) for job in (*made, late) if job.kind != "metrics"}
    assert world.get(JOBS, status="pending,").json()["error"]["code"] == 1202

    schedule = export_schedule(world.acme, [world.default], world.ada)
    ExportJob.objects.filter(pk=made[0].pk).update(schedule=schedule)
    assert found(schedule_id=schedule.pk) == {str(made[0].pk)}
    assert found(schedule_id=schedule.pk + 1) == found(schedule_id=9_999_999_999) == set()
    for wrong in ("x", "-1", "", "1" * 40):
        error = world.get(JOBS, schedule_id=wrong).json()["error"]
        assert (error["code"], error["field"]) == (1203, "schedule_id")


def test_progress(world: World) -> None:
    spec = export_spec(world.acme, [world.default])
    for status, done, total, percent in (
        ("pending", 0, None, 0),
        ("processing", 0, None, 0),
        ("processing", 0, 0, 0),
        ("processing", 333, 1_000, 33.3),
        ("processing", 1_000, 1_000, 99.9),
        ("failed", 500, 1_000, 50),
        ("completed", 1_000, 1_000, 100),
        ("expired", 1_000, 1_000, 100),
    ):
        job = export_job(spec, status=status, rows_done=done, rows_total=total)
        assert world.get(f"{JOBS}/{job.pk}").json()["progress_percent"] == percent


def test_one_job(world: World) -> None:
    job = finished_export(world.acme, [world.default], world.ada, estimated_rows=7)
    shown = world.get(f"{JOBS}/{job.pk}").json()
    assert shown["status_url"] == f"{JOBS}/{job.pk}"
    assert world.get(shown["status_url"]).json()["sha256"] == job.sha256
    assert world.get(shown["manifest_url"]).json() == job.manifest
    assert shown["manifest"] == {"rows": 1, "sums": {}, "snapshot": {}, "truncated": False, "cells_cut": 0}
    assert (shown["estimate"], shown["projects"], shown["created_by"]) == ({"rows": 7}, ["default"], "ada@acme.example")
    few = world.get(f"{JOBS}/{job.pk}", fields="status,manifest.rows").json()
    assert {name: value for name, value in few.items() if name != "meta"} == {
        "status": "completed",
        "manifest": {"rows": 1},
    }
    reader = world.new_key(role="", permissions=["exports:read", "costs:read"])[1]
    assert world.get(f"{JOBS}/{job.pk}", key=reader).json()["download_url"] is None


def test_the_status_is_kept_for_a_moment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(django_settings.HUB, "cache_ttl_export_status", 10)
    job = export_job(export_spec(world.acme, [world.default]))
    first = world.get(f"{JOBS}/{job.pk}")
    assert first.headers["Cache-Control"] == "private, max-age=10"
    ExportJob.objects.filter(pk=job.pk).update(status="processing")
    kept = world.get(f"{JOBS}/{job.pk}").json()
    assert (kept["status"], kept["meta"]["cached"]) == ("pending", True)
    fresh = world.send("GET", f"{JOBS}/{job.pk}", **{"Cache-Control": "no-cache"}).json()
    assert (fresh["status"], fresh["meta"]["cached"]) == ("processing", False)
    etag = world.get(f"{JOBS}/{job.pk}").headers["ETag"]
    assert world.send("GET", f"{JOBS}/{job.pk}", **{"If-None-Match": etag}).status_code == 304


def test_cancelling(world: World) -> None:
    job = export_job(export_spec(world.acme, [world.default]))
    answer = world.send("DELETE", f"{JOBS}/{job.pk}")
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    again = world.send("DELETE", f"{JOBS}/{job.pk}")
    assert (again.status_code, again.json()["error"]["code"]) == (409, 1402)
    done = finished_export(world.acme, [world.default])
    assert world.send("DELETE", f"{JOBS}/{done.pk}").status_code == 409
    foreign = export_job(export_spec(world.zenith, [world.zenith_project]))
    assert world.send("DELETE", f"{JOBS}/{foreign.pk}").json()["error"]["code"] == 1302
    foreign.refresh_from_db()
    assert foreign.status == "pending"


def test_filters_that_are_words_of_texts_are_for_those_who_may_read_texts(world: World) -> None:
    """A key may hold traces:read and exports:read without traces:content, as no role does."""
    words = {"search": "the merger"}
    job = finished_export(
        world.acme, [world.default], spec={"kind": "traces", "content": True}, manifest={"question": words}
    )
    schedule = export_schedule(world.acme, [world.default], world.ada, kind="traces", content=True, body=words)
    _, blind = world.new_key(role="", permissions=["traces:read", "exports:read"])
    refused = world.get(f"{JOBS}/{job.pk}/manifest", key=blind)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, 1100)
    assert world.get(f"{JOBS}/{job.pk}/manifest").json()["question"] == words
    for path in ("/api/v1/export/schedules", f"/api/v1/export/schedules/{schedule.pk}"):
        assert b"merger" not in world.get(path, key=blind).content
        assert b"merger" in world.get(path).content
