"""`POST /api/v1/export/{kind}`: what is answered, what it takes, how often."""

from __future__ import annotations

from typing import Any

import pytest

from apps.exports.models import ExportJob
from apps.orgs.models import AuditEntry
from tests.support.world import World, make_world

pytestmark = pytest.mark.django_db
KINDS = ("traces", "metrics", "costs")
BODIES: dict[str, dict[str, Any]] = {"traces": {}, "metrics": {"metrics": [{"metric": "request_count"}]}, "costs": {}}
RANGE = {"start_time": "2026-11-01T00:00:00Z", "end_time": "2026-11-02T00:00:00Z"}


@pytest.fixture
def world(db: None) -> World:
    return make_world()


def post(world: World, kind: str, key: str | None = None, **body: Any) -> Any:
    return world.send("POST", f"/api/v1/export/{kind}", {**BODIES[kind], **body}, key=key)


def error(answer: Any) -> tuple[int, int, str | None]:
    found = answer.json()["error"]
    return answer.status_code, found["code"], found["field"]


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_accepted(world: World, kind: str) -> None:
    key, text = world.new_key(role="analyst")
    answer = post(world, kind, text, **RANGE, format="parquet", compression="zstd", project="web", limit=5)
    told = answer.json()
    assert (answer.status_code, set(told)) == (202, {"job_id", "status", "status_url", "estimate"})
    assert answer.headers["Location"] == told["status_url"] == f"/api/v1/export/jobs/{told['job_id']}"
    assert set(told["estimate"]) == {"rows"}
    job = ExportJob.objects.get(pk=told["job_id"])
    assert (job.kind, job.status, job.format, job.compression) == (kind, "pending", "parquet", "zstd")
    assert (job.project_ids, job.spec.limit) == ([world.web.pk], 5)
    assert (job.created_by_key_id, job.author) == (key.pk, key.prefix)
    shown = world.get(told["status_url"]).json()
    assert (shown["start_time"], shown["end_time"]) == tuple(RANGE.values())
    assert (shown["projects"], shown["limit"], shown["download_url"]) == (["web"], 5, None)
    entry = AuditEntry.objects.get(action="export.create")
    assert (entry.object_id, entry.organization_id) == (told["job_id"], world.acme.pk)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"format": "cvs"}, (400, 1202, "format")),
        ({"compression": "gz"}, (400, 1202, "compression")),
        ({"formt": "csv"}, (400, 1202, "formt")),
        ({"start_time": "yesterday"}, (400, 1203, "start_time")),
        ({"start_time": RANGE["end_time"], "end_time": RANGE["start_time"]}, (400, 1204, "start_time")),
        ({"start_time": "2025-01-01T00:00:00Z", "end_time": RANGE["end_time"]}, (400, 1204, "start_time")),
        ({"limit": 0}, (400, 1205, "limit")),
        ({"limit": 10_000_001}, (400, 1205, "limit")),
        ({"limit": "5"}, (400, 1203, "limit")),
        ({"fields": ["total_cost"]}, (400, 1202, "fields")),
        ({"fields": []}, (400, 1203, "fields")),
        ({"project": "nowhere"}, (404, 1300, "project")),
        ({"project": "secret"}, (404, 1300, "project")),
    ],
)
def test_what_is_wrong_is_named(world: World, body: dict[str, Any], expected: tuple[int, int, str]) -> None:
    assert error(post(world, "costs", **body)) == expected
    assert not ExportJob.objects.exists()


def test_spans_that_are_kept_no_more_are_refused_at_once(world: World) -> None:
    """Else the job would be taken, and fail."""
    long_ago = {"start_time": "2024-01-01T00:00:00Z", "end_time": "2024-02-01T00:00:00Z"}
    answer = post(world, "traces", **long_ago)
    assert error(answer) == (400, 1204, "end_time")
    assert "Spans are kept since" in answer.json()["error"]["message"]
    assert not ExportJob.objects.exists()
    assert post(world, "costs", **long_ago).status_code == 202  # of which the figures of days are kept


def test_bodies_that_are_none(world: World) -> None:
    for body in (b"[]", b"null", b"{", b'"csv"'):
        assert world.send("POST", "/api/v1/export/costs", body).json()["error"]["code"] in (1200, 1203), body
    assert error(world.send("POST", "/api/v1/export/costs?format=csv", {})) == (400, 1202, "format")


def test_what_each_role_may_export(world: World) -> None:
    wanted = {"admin": "TMC", "developer": "TMC", "analyst": "TMC", "billing": "MC", "viewer": ""}
    for role, letters in wanted.items():
        key = world.new_key(role=role)[1]
        for kind in KINDS:
            expected = 202 if kind[0].upper() in letters else 403
            assert post(world, kind, key).status_code == expected, f"{role} exports {kind}"
    refused = post(world, "traces", world.new_key(role="billing")[1]).json()["error"]
    assert (refused["code"], refused["details"]["required_permission"]) == (1100, "traces:read")
    hidden = post(world, "costs", world.new_key(role="developer", project=world.web)[1], project="default")
    assert error(hidden) == (403, 1101, "project")


def test_texts_take_the_right_to_read_them(world: World) -> None:
    permissions = ["exports:create", "exports:read", "traces:read"]
    silent = world.new_key(role="", permissions=permissions)[1]
    texts: list[dict[str, Any]] = [
        {"fields": ["trace_id", "input"]},
        {"search": "refund"},
        {"filter": {"field": "output", "operator": "contains", "value": "refund"}},
    ]
    for body in texts:
        refused = post(world, "traces", silent, **body)
        assert error(refused)[:2] == (403, 1100)
        assert refused.json()["error"]["details"]["required_permission"] == "traces:content"
        job = ExportJob.objects.get(pk=post(world, "traces", **body).json()["job_id"])
        assert job.content
    plain = post(world, "traces", silent)
    assert plain.status_code == 202
    assert not ExportJob.objects.get(pk=plain.json()["job_id"]).content


def test_ten_a_minute(world: World) -> None:
    key = world.new_key(role="admin")[1]
    answers = [post(world, KINDS[number % 3], key) for number in range(11)]
    assert [answer.status_code for answer in answers] == [202] * 10 + [429]
    details = answers[-1].json()["error"]["details"]
    assert (details["bucket"], details["limit"]) == ("export", 10)
    assert world.get("/api/v1/export/jobs", key=key).status_code == 200
    assert post(world, "costs").status_code == 202  # another caller
