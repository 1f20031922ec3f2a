"""`/api/v1/organizations`: seen by who belongs to them, made by superusers, renamed by their admins."""

from __future__ import annotations

from typing import Any

import pytest

from apps.orgs.models import AuditEntry, Membership, Organization, Project, Role, User
from apps.orgs.services import organization_create
from tests.support.authority import TESTER
from tests.support.people import People, make_people
from tests.support.races import codes_of_race
from tests.support.world import World

URL = "/api/v1/organizations"


@pytest.fixture
def people(world: World) -> People:
    return make_people(world)


def slugs(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [row["slug"] for row in answer.json()["data"]]


def error(answer: Any) -> tuple[int, int, str | None]:
    found = answer.json()["error"]
    return answer.status_code, found["code"], found["field"]


def test_a_key_sees_its_own(world: World) -> None:
    assert slugs(world.get(URL)) == ["acme"]
    row = world.get(f"{URL}/acme").json()
    assert (row["slug"], row["name"], row["id"]) == ("acme", "acme", world.acme.pk)
    assert error(world.get(f"{URL}/zenith")) == (404, 1300, None)
    for odd in ("nowhere", "%00", "a" * 300, "..."):
        assert error(world.get(f"{URL}/{odd}")) == (404, 1300, None)


def test_a_person_sees_theirs(people: People) -> None:
    assert slugs(people.get(people.world.ben, URL)) == ["acme"]
    Membership.objects.create(user=people.world.ben, organization=people.world.zenith, role=Role.VIEWER)
    people.forget()
    assert slugs(people.get(people.world.ben, URL)) == ["acme", "zenith"]
    assert people.get(people.world.ben, f"{URL}/zenith").status_code == 200
    nobody = User.objects.create_user("nobody@x.example", "pw")
    assert slugs(people.get(nobody, URL)) == []


def test_superusers_see_and_make_all(people: People) -> None:
    root = User.objects.create_superuser("root@x.example", "pw")
    assert slugs(people.get(root, URL)) == ["acme", "zenith"]
    answer = people.send(root, "POST", URL, {"slug": "new", "name": "New One"})
    assert answer.status_code == 201
    made = Organization.objects.get(slug="new")
    assert (answer.json()["id"], made.name) == (made.pk, "New One")
    assert list(Project.objects.filter(organization=made).values_list("slug", flat=True)) == ["default"]
    membership = Membership.objects.get(organization=made)
    assert (membership.user, membership.role, membership.all_projects) == (root, Role.ADMIN, True)
    actions = AuditEntry.objects.filter(organization_id=made.pk).order_by("id").values_list("action", "actor")
    assert list(actions) == [(action, root.email) for action in ("organization.create", "project.create", "member.add")]
    assert error(people.send(root, "POST", URL, {"slug": "new"})) == (409, 1400, "slug")
    assert error(people.send(root, "POST", URL, {"slug": "New"}))[:2] == (400, 1203)


def test_others_make_none(people: People) -> None:
    for caller in (people.world.ada, people.world.ben):
        assert error(people.send(caller, "POST", URL, {"slug": "mine"}))[:2] == (403, 1100)
    assert error(people.world.send("POST", URL, {"slug": "mine"}))[:2] == (403, 1100)


def test_an_admin_renames_it_and_a_second_time_is_no_change(world: World) -> None:
    for _ in range(2):
        answer = world.send("PATCH", f"{URL}/acme", {"name": "Acme Inc."})
        assert (answer.status_code, answer.json()["name"]) == (200, "Acme Inc.")
    assert world.send("PATCH", f"{URL}/acme", {}).status_code == 200
    entry = AuditEntry.objects.get(action="organization.update")
    assert (entry.before, entry.after) == ({"name": "acme"}, {"name": "Acme Inc."})
    assert (entry.actor_kind, entry.address) == ("key", "127.0.0.1")


def test_who_sees_a_part_of_it_does_not_rename_it(people: People) -> None:
    assert error(people.world.send("PATCH", f"{URL}/acme", {"name": "x"}, key=people.world.key))[:2] == (403, 1102)
    half = people.world.new_person("half@acme.example", Role.ADMIN, people.world.web)
    assert error(people.send(half, "PATCH", f"{URL}/acme", {"name": "x"}))[:2] == (403, 1102)
    assert error(people.send(people.world.ben, "PATCH", f"{URL}/acme", {"name": "x"}))[:2] == (403, 1100)
    assert error(people.world.send("PATCH", f"{URL}/zenith", {"name": "x"}))[:2] == (404, 1300)


def test_one_of_several_is_renamed_only_where_it_is_named(people: People) -> None:
    ada = people.world.ada
    Membership.objects.create(user=ada, organization=people.world.zenith, role=Role.VIEWER)
    people.forget()
    named = {"X-Organization": "acme"}
    assert error(people.send(ada, "PATCH", f"{URL}/acme", {"name": "x"}))[:2] == (400, 1201)
    assert error(people.send(ada, "PATCH", f"{URL}/zenith", {"name": "x"}, **named))[:2] == (403, 1102)
    assert people.send(ada, "PATCH", f"{URL}/acme", {"name": "x"}, **named).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_the_same_slug_at_the_same_time_is_made_once() -> None:
    codes = codes_of_race(lambda _: organization_create(actor=TESTER, slug="same"), range(4))
    assert codes == [0, 1400, 1400, 1400]
    assert AuditEntry.objects.filter(action="organization.create").count() == 1
