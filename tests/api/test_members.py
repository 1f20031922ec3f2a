"""`/api/v1/members`: seen and changed by admins, within their organization and projects."""

from __future__ import annotations

from typing import Any

import pytest

from apps.orgs.models import AuditEntry, Membership, Role
from tests.support.world import World

URL = "/api/v1/members"


def error(answer: Any) -> tuple[int, int, str | None]:
    found = answer.json()["error"]
    return answer.status_code, found["code"], found["field"]


def emails(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [row["email"] for row in answer.json()["data"]]


def test_the_members_of_ones_own_organization(world: World) -> None:
    assert emails(world.get(URL)) == ["ada@acme.example", "ben@acme.example", "dora@acme.example"]
    dora = world.member_of(world.dora)
    row = world.get(f"{URL}/{dora.pk}").json()
    assert (row["email"], row["role"], row["all_projects"]) == ("dora@acme.example", "developer", False)
    assert (row["projects"], row["is_active"]) == (["web"], True)
    cleo = Membership.objects.get(user=world.cleo)
    for number in (cleo.pk, 0, 2**31, 2**63, 10**40):
        for method in ("GET", "PATCH", "DELETE"):
            assert error(world.send(method, f"{URL}/{number}", {} if method == "PATCH" else None))[:2] == (404, 1300)


def test_without_the_permission_nothing_is_seen(world: World) -> None:
    for role in (Role.DEVELOPER, Role.ANALYST, Role.BILLING, Role.VIEWER):
        _, key = world.new_key(role=role)
        assert error(world.get(URL, key=key))[:2] == (403, 1100)


def test_an_admin_of_one_project_sees_its_members_alone(world: World) -> None:
    _, key = world.new_key(role=Role.ADMIN, project=world.web)
    assert emails(world.get(URL, key=key)) == ["dora@acme.example"]
    assert world.get(URL, key=key, include_total="true").json()["pagination"]["total"] == 1
    ben, dora = world.member_of(world.ben), world.member_of(world.dora)
    assert error(world.get(f"{URL}/{ben.pk}", key=key))[:2] == (403, 1102)
    assert error(world.send("PATCH", f"{URL}/{ben.pk}", {"role": "analyst"}, key=key))[:2] == (403, 1102)
    assert error(world.send("DELETE", f"{URL}/{ben.pk}", key=key))[:2] == (403, 1102)
    assert error(world.send("PATCH", f"{URL}/{dora.pk}", {"all_projects": True}, key=key))[:2] == (403, 1102)
    assert error(world.send("PATCH", f"{URL}/{dora.pk}", {"projects": ["default"]}, key=key)) == (403, 1101, "projects")
    assert world.send("PATCH", f"{URL}/{dora.pk}", {"role": "viewer"}, key=key).status_code == 200


def test_a_role_and_projects_are_changed(world: World) -> None:
    ben = world.member_of(world.ben)
    answer = world.send("PATCH", f"{URL}/{ben.pk}", {"role": "analyst", "projects": ["web", "default", "web"]})
    assert answer.status_code == 200, answer.content
    row = answer.json()
    assert (row["role"], row["all_projects"], row["projects"]) == ("analyst", False, ["default", "web"])
    row = world.send("PATCH", f"{URL}/{ben.pk}", {"all_projects": True}).json()
    assert (row["all_projects"], row["projects"]) == (True, [])
    before = AuditEntry.objects.count()
    assert world.send("PATCH", f"{URL}/{ben.pk}", {}).status_code == 200
    assert world.send("PATCH", f"{URL}/{ben.pk}", {"role": "analyst"}).status_code == 200
    assert AuditEntry.objects.count() == before


def test_foreign_projects_do_not_exist_in_bodies(world: World) -> None:
    ben = world.member_of(world.ben)
    for slug in ("secret", "nowhere", "\0", "x" * 64):
        status, code, field = error(world.send("PATCH", f"{URL}/{ben.pk}", {"projects": [slug]}))
        assert (status, code, field) in {(404, 1300, "projects"), (400, 1202, "projects[0]")}


def test_the_last_admin_stays(world: World) -> None:
    ada = world.member_of(world.ada)
    assert error(world.send("PATCH", f"{URL}/{ada.pk}", {"role": "viewer"})) == (400, 1202, "role")
    assert error(world.send("DELETE", f"{URL}/{ada.pk}")) == (400, 1202, "role")
    assert world.member_of(world.ada).role == Role.ADMIN


def test_a_removed_member_is_gone(world: World) -> None:
    ben = world.member_of(world.ben)
    answer = world.send("DELETE", f"{URL}/{ben.pk}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert error(world.send("DELETE", f"{URL}/{ben.pk}"))[:2] == (404, 1300)


def test_a_key_with_members_manage_alone_raises_nobody(world: World) -> None:
    _, key = world.new_key(role="", permissions=["members:manage"])
    ben = world.member_of(world.ben)
    assert len(emails(world.get(URL, key=key))) == 3
    for role in Role:
        assert error(world.send("PATCH", f"{URL}/{ben.pk}", {"role": role}, key=key))[:2] == (403, 1100)
    assert error(world.send("DELETE", f"{URL}/{ben.pk}", key=key))[:2] == (403, 1100)


@pytest.mark.parametrize(
    "body",
    [
        {"role": "owner"},
        {"role": None},
        {"role": 1},
        {"role": ["admin"]},
        {"role": "\0"},
        {"all_projects": "true"},
        {"all_projects": None},
        {"all_projects": False},
        {"projects": []},
        {"projects": None},
        {"projects": "web"},
        {"projects": [1]},
        {"projects": [None]},
        {"projects": {"web": 1}},
        {"projects": ["web"] * 1001},
        {"projects": ["x" * 65]},
        {"all_projects": True, "projects": ["web"]},
        {"email": "new@acme.example"},
    ],
)
def test_bodies_that_are_refused(world: World, body: dict[str, Any]) -> None:
    answer = world.send("PATCH", f"{URL}/{world.member_of(world.ben).pk}", body)
    assert answer.status_code == 400, answer.content
    assert 1200 <= answer.json()["error"]["code"] < 1300
    assert world.member_of(world.ben).role == Role.VIEWER
