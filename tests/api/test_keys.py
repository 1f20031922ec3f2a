"""`/api/v1/keys`: made, changed, rotated and revoked over the API, never beyond the caller's own reach."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.orgs.authentication import forget_keys
from apps.orgs.models import ApiKey, AuditEntry, Membership, Role
from tests.support.people import People, make_people
from tests.support.world import World

URL = "/api/v1/keys"


@pytest.fixture
def people(world: World) -> People:
    return make_people(world)


def error(answer: Any) -> tuple[int, int, str | None]:
    found = answer.json()["error"]
    return answer.status_code, found["code"], found["field"]


def made(answer: Any) -> Any:
    assert answer.status_code in (200, 201), answer.content
    return answer.json()


def test_a_new_keys_text_is_shown_once_and_opens(world: World) -> None:
    answer = world.send("POST", URL, {"name": "ci", "role": "viewer", "project": "web"})
    row = made(answer)
    assert (answer.status_code, answer["Cache-Control"]) == (201, "no-store")
    assert row["api_key"].startswith(row["prefix"] + "_")
    assert (row["name"], row["role"], row["permissions"], row["project"]) == ("ci", "viewer", [], "web")
    assert (row["state"], row["created_by"], row["last_used_at"]) == ("active", None, None)
    opened = world.get("/api/v1/projects", key=row["api_key"]).json()
    assert [project["slug"] for project in opened["data"]] == ["web"]
    again = world.get(f"{URL}/{row['id']}").json()
    assert "api_key" not in again and again["last_used_at"] is not None
    assert row["api_key"].rpartition("_")[2] not in world.get(URL).content.decode()


def test_a_rotated_key_opens_by_both_texts_until_the_grace_is_over(world: World) -> None:
    first = made(world.send("POST", URL, {"name": "ci", "role": "viewer"}))
    second = made(world.send("POST", f"{URL}/{first['id']}/rotate", {"grace_seconds": 60}))
    for text in (first["api_key"], second["api_key"]):
        assert world.get("/api/v1/projects", key=text).status_code == 200
    assert second["prefix"] == first["prefix"]
    # Sent twice, it must not shut out whoever still has the first text.
    assert error(world.send("POST", f"{URL}/{first['id']}/rotate"))[::2] == (409, "grace_seconds")
    assert world.get("/api/v1/projects", key=first["api_key"]).status_code == 200
    third = made(world.send("POST", f"{URL}/{first['id']}/rotate", {"grace_seconds": 0}))
    assert third["previous_until"] is None
    forget_keys()
    assert [world.get("/api/v1/projects", key=row["api_key"]).status_code for row in (first, second, third)] == [
        401,
        401,
        200,
    ]


def test_a_rotation_has_a_day_of_grace_unless_told(world: World) -> None:
    row = made(world.send("POST", URL, {"name": "ci", "role": "viewer"}))
    rotated = made(world.send("POST", f"{URL}/{row['id']}/rotate"))
    grace = datetime.fromisoformat(rotated["previous_until"]) - datetime.fromisoformat(rotated["rotated_at"])
    assert grace == timedelta(days=1)
    for bad in (-1, 2_592_001, "60", 1.5, None, True):
        answer = world.send("POST", f"{URL}/{row['id']}/rotate", {"grace_seconds": bad})
        assert error(answer)[::2] == (400, "grace_seconds")


def test_a_revoked_key_opens_nothing_and_stays_listed(world: World) -> None:
    row = made(world.send("POST", URL, {"name": "ci", "role": "viewer"}))
    for _ in range(2):
        assert world.send("DELETE", f"{URL}/{row['id']}").status_code == 204
    assert error(world.get("/api/v1/projects", key=row["api_key"]))[:2] == (401, 1003)
    assert world.get(f"{URL}/{row['id']}").json()["state"] == "revoked"
    assert error(world.send("POST", f"{URL}/{row['id']}/rotate"))[:2] == (409, 1402)
    assert error(world.send("PATCH", f"{URL}/{row['id']}", {"name": "x"}))[:2] == (409, 1402)


def test_name_networks_and_expiry_are_changed(world: World) -> None:
    row = made(world.send("POST", URL, {"name": "ci", "role": "viewer"}))
    later = "2031-01-01T00:00:00+01:00"
    given = {"name": "new", "networks": ["127.0.0.1/8"], "expires_at": later}
    for _ in range(2):
        changed = made(world.send("PATCH", f"{URL}/{row['id']}", given))
    assert (changed["name"], changed["networks"]) == ("new", ["127.0.0.0/8"])
    assert changed["expires_at"] == "2030-12-31T23:00:00Z"
    assert AuditEntry.objects.filter(action="key.update").count() == 1
    assert made(world.send("PATCH", f"{URL}/{row['id']}", {"expires_at": None}))["expires_at"] is None


def test_nobody_keeps_an_answer(world: World) -> None:
    row = made(world.send("POST", URL, {"name": "ci", "role": "viewer"}))
    for path in (URL, f"{URL}/{row['id']}", f"{URL}?limit=0", f"{URL}/{row['id'] + 99}"):
        assert world.get(path)["Cache-Control"] == "private, no-store"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"role": "owner"}, "'owner' is none of admin, developer, analyst, billing, viewer."),
        ({"role": "viewer", "expires_at": "tomorrow"}, "ISO 8601 time with a zone, such as 2026-"),
        ({"role": "viewer", "expires_at": "2030-01-01T00:00:00"}, "ISO 8601 time with a zone, such as 2026-"),
    ],
)
def test_a_refusal_says_what_would_do(world: World, given: dict[str, Any], said: str) -> None:
    answer = world.send("POST", URL, {"name": "k", **given})
    assert said in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "name"),
        ({"name": "k"}, "role"),
        ({"name": "k", "role": "viewer", "permissions": ["metrics:read"]}, "role"),
        ({"name": "k", "permissions": []}, "role"),
        ({"name": "k", "permissions": ["metrics:all"]}, "permissions"),
        ({"name": "k", "permissions": ["metrics:read\0"]}, "permissions"),
        ({"name": "k", "permissions": "metrics:read"}, "permissions"),
        ({"name": "k", "permissions": [None]}, "permissions"),
        ({"name": "k", "role": "owner"}, "role"),
        ({"name": "k", "role": None}, "role"),
        ({"name": None, "role": "viewer"}, "name"),
        ({"name": "a\0", "role": "viewer"}, "name"),
        ({"name": "x" * 201, "role": "viewer"}, "name"),
        ({"name": "k", "role": "viewer", "networks": ["nowhere"]}, "networks"),
        ({"name": "k", "role": "viewer", "networks": "10.0.0.0/8"}, "networks"),
        ({"name": "k", "role": "viewer", "networks": ["\0"]}, "networks"),
        ({"name": "k", "role": "viewer", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "k", "role": "viewer", "expires_at": "2030-01-01T00:00:00"}, "expires_at"),
        ({"name": "k", "role": "viewer", "expires_at": "0001-01-01T00:00:00+10:00"}, "expires_at"),
        ({"name": "k", "role": "viewer", "expires_at": "9999-12-31T23:59:59-10:00"}, "expires_at"),
        ({"name": "k", "role": "viewer", "expires_at": 5}, "expires_at"),
        ({"name": "k", "role": "viewer", "project": 5}, "project"),
        ({"name": "k", "role": "viewer", "secret": "mine"}, "secret"),
    ],
)
def test_keys_that_are_not_made(world: World, given: dict[str, Any], field: str) -> None:
    before = ApiKey.objects.count()
    status, code, at = error(world.send("POST", URL, given))
    assert (status, str(at).partition("[")[0]) == (400, field) and 1200 <= code < 1300
    assert ApiKey.objects.count() == before


def test_foreign_keys_and_projects_do_not_exist(world: World) -> None:
    foreign = ApiKey.objects.filter(organization=world.zenith).get()
    for number in (foreign.pk, 0, 2**31, 10**40):
        assert error(world.get(f"{URL}/{number}"))[:2] == (404, 1300)
        assert error(world.send("PATCH", f"{URL}/{number}", {"name": "x"}))[:2] == (404, 1300)
        assert error(world.send("DELETE", f"{URL}/{number}"))[:2] == (404, 1300)
        assert error(world.send("POST", f"{URL}/{number}/rotate"))[:2] == (404, 1300)
    for slug in ("secret", "nowhere", "\0"):
        status, code, field = error(world.send("POST", URL, {"name": "k", "role": "viewer", "project": slug}))
        assert (status, code, field) in {(404, 1300, "project"), (400, 1202, "project")}
    foreign.refresh_from_db()
    assert (foreign.revoked_at, foreign.rotated_at) == (None, None)


def test_a_project_key_stays_in_its_project(world: World) -> None:
    wide = ApiKey.objects.filter(organization=world.acme, project=None).get()
    seen = world.get(URL, key=world.key).json()["data"]
    assert [row["project"] for row in seen] == ["default"]
    named = {"name": "k", "role": "viewer"}
    assert error(world.send("POST", URL, named, key=world.key))[:2] == (403, 1102)
    assert error(world.send("POST", URL, {**named, "project": "web"}, key=world.key)) == (403, 1101, "project")
    assert made(world.send("POST", URL, {**named, "project": "default"}, key=world.key))
    assert error(world.get(f"{URL}/{wide.pk}", key=world.key))[:2] == (403, 1102)
    assert error(world.send("POST", f"{URL}/{wide.pk}/rotate", key=world.key))[:2] == (403, 1102)
    assert error(world.send("DELETE", f"{URL}/{wide.pk}", key=world.key))[:2] == (403, 1102)


def test_a_key_that_may_only_make_keys_makes_none_that_do_more(world: World) -> None:
    _, key = world.new_key(role="", permissions=["keys:manage", "metrics:read"])
    for role in Role:
        assert error(world.send("POST", URL, {"name": "k", "role": role}, key=key))[:2] == (403, 1100)
    for permission in ("org:manage", "members:manage", "traces:write"):
        answer = world.send("POST", URL, {"name": "k", "permissions": ["metrics:read", permission]}, key=key)
        assert error(answer) == (403, 1100, "permissions")
    admin = ApiKey.objects.filter(organization=world.acme, project=None, role=Role.ADMIN).get()
    assert error(world.send("POST", f"{URL}/{admin.pk}/rotate", key=key))[:2] == (403, 1100)
    assert error(world.send("PATCH", f"{URL}/{admin.pk}", {"networks": []}, key=key))[:2] == (403, 1100)
    narrow = made(world.send("POST", URL, {"name": "k", "permissions": ["metrics:read"]}, key=key))
    assert (narrow["role"], narrow["permissions"]) == (None, ["metrics:read"])


def test_a_developer_manages_own_keys(people: People) -> None:
    world = people.world
    other = made(world.send("POST", URL, {"name": "other", "role": "viewer", "project": "web"}))
    own = made(people.send(world.dora, "POST", URL, {"name": "mine", "role": "developer", "project": "web"}))
    assert own["created_by"] == "dora@acme.example"
    assert [row["id"] for row in people.get(world.dora, URL).json()["data"]] == [own["id"]]
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/rotate")):
        assert error(people.send(world.dora, method, f"{URL}/{other['id']}{path}"))[:2] == (403, 1102)
    assert error(people.send(world.dora, "POST", URL, {"name": "k", "role": "developer"}))[:2] == (403, 1102)
    assert error(people.send(world.dora, "POST", URL, {"name": "k", "role": "admin", "project": "web"}))[:2] == (
        403,
        1100,
    )
    # Her key speaks for her.
    child = made(world.send("POST", URL, {"name": "child", "role": "viewer", "project": "web"}, key=own["api_key"]))
    assert child["created_by"] == "dora@acme.example"
    listed = world.get(URL, key=own["api_key"]).json()["data"]
    assert [row["id"] for row in listed] == [own["id"], child["id"]]
    # What she may no longer do, she no longer does with them.
    Membership.objects.filter(user=world.dora).update(role=Role.VIEWER)
    forget_keys()
    assert error(people.send(world.dora, "DELETE", f"{URL}/{child['id']}"))[:2] == (403, 1100)


def test_a_key_does_not_make_itself_last_longer(world: World) -> None:
    soon = timezone.now().astimezone(UTC) + timedelta(hours=1)
    key, text = world.new_key(role=Role.ADMIN, expires_at=soon)
    assert error(world.send("PATCH", f"{URL}/{key.pk}", {"expires_at": None}, key=text))[:2] == (403, 1102)
    assert error(world.send("POST", URL, {"name": "k", "role": "viewer"}, key=text))[:2] == (403, 1102)


def test_refusals_are_on_record(world: World) -> None:
    _, viewer = world.new_key()
    assert error(world.send("POST", URL, {"name": "k", "role": "viewer"}, key=viewer))[:2] == (403, 1100)
    assert error(world.send("POST", URL, {"name": "k", "role": "viewer"}, key=world.key))[:2] == (403, 1102)
    denied = AuditEntry.objects.filter(action="access.denied", organization_id=world.acme.pk).order_by("id")
    assert [entry.after["code"] for entry in denied if entry.after] == [1100, 1102]


def test_a_key_administers_only_as_long_as_its_maker_may(world: World) -> None:
    def may(text: str) -> dict[str, int]:
        forget_keys()
        return {path: world.get(f"/api/v1/{path}", key=text).status_code for path in ("projects", "keys", "members")}

    _, of_ada = world.new_key(role="admin", created_by=world.ada)
    _, of_nobody = world.new_key(role="admin")  # made on the machine
    assert may(of_ada) == {"projects": 200, "keys": 200, "members": 200}
    membership = world.member_of(world.ada)
    for role, keys in (("developer", 200), ("viewer", 403)):
        membership.role = role
        membership.save()
        assert may(of_ada) == {"projects": 200, "keys": keys, "members": 403}
    membership.delete()
    assert may(of_ada) == {"projects": 200, "keys": 403, "members": 403}
    assert may(of_nobody) == {"projects": 200, "keys": 200, "members": 200}
    world.ada.is_superuser = True
    world.ada.save()
    assert may(of_ada) == {"projects": 200, "keys": 200, "members": 200}
