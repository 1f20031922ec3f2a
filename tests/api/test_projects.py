"""`/api/v1/projects`: who sees which, who makes them, and what may be set."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from apps.orgs.models import AuditEntry, Project, Role
from apps.orgs.projects import ingest_project
from tests.support.world import World, make_world

URL = "/api/v1/projects"


def error(answer: Any) -> tuple[int, int, str | None]:
    found = answer.json()["error"]
    return answer.status_code, found["code"], found["field"]


def slugs(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [row["slug"] for row in answer.json()["data"]]


def test_the_projects_in_sight(world: World) -> None:
    assert slugs(world.get(URL)) == ["default", "web"]
    assert slugs(world.get(URL, key=world.key)) == ["default"]
    row = world.get(f"{URL}/web").json()
    assert (row["id"], row["raw_retention_days"], row["redact_patterns"]) == (world.web.pk, None, [])
    assert error(world.get(f"{URL}/web", key=world.key)) == (403, 1101, "slug")
    for odd in ("secret", "nowhere", "%00", "a" * 300):
        assert error(world.get(f"{URL}/{odd}")) == (404, 1300, "slug")


def test_a_project_is_made_with_its_settings(world: World) -> None:
    given = {"slug": "new", "raw_retention_days": 30, "redact_patterns": ["email"], "redact_custom": ["id-[0-9]{4}"]}
    answer = world.send("POST", URL, given)
    assert answer.status_code == 201, answer.content
    made = Project.objects.get(slug="new")
    assert (made.organization, made.name, made.raw_retention_days) == (world.acme, "new", 30)
    assert answer.json()["redact_custom"] == ["id-[0-9]{4}"]
    entry = AuditEntry.objects.get(action="project.create", project_id=made.pk)
    assert entry.after is not None and entry.after["slug"] == "new"
    # Another organization may have the same.
    assert world.send("POST", URL, {"slug": "web"}, key=_wide(world, "zenith")).status_code == 201
    assert error(world.send("POST", URL, {"slug": "web"})) == (409, 1400, "slug")


def _wide(world: World, slug: str) -> str:
    from apps.orgs.services import api_key_create

    organization = world.zenith if slug == "zenith" else world.acme
    return api_key_create(organization=organization, role=Role.ADMIN)[1]


def test_only_who_sees_all_projects_makes_one(world: World) -> None:
    assert error(world.send("POST", URL, {"slug": "new"}, key=world.key))[:2] == (403, 1102)
    _, developer = world.new_key(role=Role.DEVELOPER)
    assert error(world.send("POST", URL, {"slug": "new"}, key=developer))[:2] == (403, 1100)


def test_a_change_touches_what_is_given(world: World) -> None:
    ingest_project(world.web.pk)
    for _ in range(2):
        answer = world.send("PATCH", f"{URL}/web", {"name": "Web", "store_content": False, "spans_per_minute": 100})
        assert answer.status_code == 200, answer.content
    assert world.send("PATCH", f"{URL}/web", {}).json()["name"] == "Web"
    entry = AuditEntry.objects.get(action="project.update")
    assert entry.before == {"name": "web", "store_content": True, "spans_per_minute": None}
    assert entry.after == {"name": "Web", "store_content": False, "spans_per_minute": 100}
    assert world.send("PATCH", f"{URL}/web", {"spans_per_minute": None}).json()["spans_per_minute"] is None


def test_an_admin_of_one_project_changes_that_one(world: World) -> None:
    assert world.send("PATCH", f"{URL}/default", {"name": "x"}, key=world.key).status_code == 200
    assert error(world.send("PATCH", f"{URL}/web", {"name": "x"}, key=world.key)) == (403, 1101, "slug")
    assert error(world.send("PATCH", f"{URL}/secret", {"name": "x"}))[:2] == (404, 1300)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("raw_retention_days", 0),
        ("raw_retention_days", 3651),
        ("raw_retention_days", 10**30),
        ("raw_retention_days", "30"),
        ("raw_retention_days", 1.5),
        ("content_retention_days", -1),
        ("content_retention_days", True),
        ("store_content", "yes"),
        ("store_content", None),
        ("store_content", 1),
        ("store_content", []),
        ("spans_per_minute", 0),
        ("spans_per_minute", 2**31),
        ("name", None),
        ("name", ""),
        ("name", 5),
        ("name", "x" * 201),
        ("name", "a\0b"),
        ("redact_patterns", ["emial"]),
        ("redact_patterns", "email"),
        ("redact_patterns", [["email"]]),
        ("redact_patterns", None),
        ("redact_custom", ["(a+)+b"]),
        ("redact_custom", ["["]),
        ("redact_custom", ["a\0"]),
        ("redact_custom", ["x"] * 21),
        ("redact_custom", {"a": 1}),
    ],
)
def test_what_may_not_be_set(world: World, field: str, value: Any) -> None:
    answer = world.send("PATCH", f"{URL}/web", {field: value})
    status, code, at = error(answer)
    assert status == 400 and 1200 <= code < 1300, answer.content
    assert str(at).partition("[")[0] == field
    assert not AuditEntry.objects.filter(action="project.update").exists()


@pytest.mark.parametrize(
    "slug", ["", " ", "-a", "a-", "A", "a_b", "a" * 65, "ü", "a\0", None, 5, True, ["a"], {"a": 1}]
)
def test_what_is_no_slug(world: World, slug: Any) -> None:
    status, code, field = error(world.send("POST", URL, {"slug": slug}))
    assert (status, field) == (400, "slug") and 1200 <= code < 1300


@pytest.mark.parametrize("text", [b"[]", b"null", b"5", b'"x"', b"{", b"", b'{"slug": "\xff"}', b"[" * 9000])
def test_a_body_that_is_no_object(world: World, text: bytes) -> None:
    answer = world.send("POST", URL, text)
    assert answer.status_code == 400
    assert 1200 <= answer.json()["error"]["code"] < 1300


def test_unknown_names_are_refused_with_the_nearest(world: World) -> None:
    answer = world.send("PATCH", f"{URL}/web", {"raw_retention_day": 3})
    assert error(answer) == (400, 1202, "raw_retention_day")
    assert "raw_retention_days" in answer.json()["error"]["message"]
    assert error(world.get(URL, limt=3)) == (400, 1202, "limt")
    assert error(world.get(URL, fields="slugg")) == (400, 1202, "fields")
    assert error(world.send("PATCH", f"{URL}/web?fields=name", {"name": "x"})) == (400, 1202, "fields")


def test_fields_and_pages(world: World) -> None:
    assert world.get(f"{URL}/web", fields="slug,name").json() == {"slug": "web", "name": "web"}
    first = world.get(URL, fields="slug", limit=1, include_total="true").json()
    assert first["data"] == [{"slug": "default"}]
    assert (first["pagination"]["has_more"], first["pagination"]["total"]) == (True, 2)
    second = world.get(URL, fields="slug", limit=1, cursor=first["pagination"]["next_cursor"]).json()
    assert second["data"] == [{"slug": "web"}]
    assert second["pagination"] == {"limit": 1, "next_cursor": None, "has_more": False}


@pytest.mark.django_db(transaction=True)
def test_the_same_slug_at_the_same_time_is_made_once() -> None:
    world = make_world()

    def make(_: int) -> int:
        try:
            own = World(**{**vars(world), "client": Client(raise_request_exception=False)})
            return int(own.send("POST", URL, {"slug": "same"}).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(make, range(4))) == [201, 409, 409, 409]
