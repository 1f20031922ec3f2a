"""People at the door: sessions with CSRF protection, several organizations, chosen projects."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from apps.orgs.authentication import forget_keys
from apps.orgs.models import AuditEntry, Membership, Role, User
from tests.support.world import PASSWORD, World

ME = "/api/v1/me"
METRICS = "/api/v1/metrics?metrics=request_count"
QUERY = "/api/v1/metrics/query"


def signed_in(user: User, **session: str) -> Client:
    """A browser with the user's session, in which CSRF is checked as in a real one."""
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    client.force_login(user)
    if session:
        stored = client.session
        stored.update(session)
        stored.save()
    return client


def code(answer: Any) -> int:
    return int(answer.json()["error"]["code"])


def test_a_session_reads(world: World) -> None:
    shown = signed_in(world.ada).get(ME).json()
    assert (shown["kind"], shown["name"], shown["role"]) == ("user", "ada@acme.example", "admin")
    assert signed_in(world.ada).get(METRICS).status_code == 200


def test_a_session_changes_with_the_csrf_token_alone(world: World) -> None:
    client = signed_in(world.ada)
    body = {"metrics": [{"metric": "request_count"}]}
    answer = client.post(QUERY, body, content_type="application/json")
    assert (answer.status_code, code(answer)) == (403, 1102)
    (entry,) = AuditEntry.objects.filter(action="access.denied")
    assert (entry.actor, entry.organization_id) == ("ada@acme.example", world.acme.pk)
    token = "a" * 32
    client.cookies[settings.CSRF_COOKIE_NAME] = token
    assert code(client.post(QUERY, body, content_type="application/json")) == 1102
    assert code(client.post(QUERY, body, content_type="application/json", headers={"X-CSRFToken": "b" * 32})) == 1102
    assert client.post(QUERY, body, content_type="application/json", headers={"X-CSRFToken": token}).status_code == 200


def test_a_plain_view_asks_for_the_csrf_token_too(world: World) -> None:
    answer = signed_in(world.ada).post("/v1/traces", "{}", content_type="application/json")
    assert answer.status_code == 403


def test_a_key_needs_no_csrf_token_whatever_cookies_come_along(world: World) -> None:
    client = signed_in(world.ben)
    headers = {"Authorization": f"Bearer {world.wide_key}"}
    body = {"metrics": [{"metric": "request_count"}]}
    assert client.post(QUERY, body, content_type="application/json", headers=headers).status_code == 200
    assert client.get(ME, headers=headers).json()["kind"] == "key"


def test_a_bad_key_is_not_saved_by_a_session(world: World) -> None:
    client = signed_in(world.ada)
    assert code(client.get(ME, headers={"Authorization": "Bearer ah_x"})) == 1003
    assert code(client.get(ME, headers={"Authorization": "Basic eDp5"})) == 1003


def test_a_session_that_is_over_is_none(world: World) -> None:
    client = signed_in(world.ada)
    client.session.flush()
    assert code(client.get(ME)) == 1000
    stranger = Client(raise_request_exception=False)
    stranger.cookies[settings.SESSION_COOKIE_NAME] = "x" * 32
    assert code(stranger.get(ME)) == 1000


def test_a_new_password_or_the_end_of_the_account_ends_a_session(world: World) -> None:
    client = signed_in(world.ada)
    world.ada.set_password("another one 12345")
    world.ada.save()
    assert code(client.get(ME)) == 1000
    client = signed_in(world.ben)
    User.objects.filter(pk=world.ben.pk).update(is_active=False)
    assert code(client.get(ME)) == 1000


# -- several organizations ------------------------------------------------------------------------------------------


@pytest.fixture
def ada_of_two(world: World) -> User:
    Membership.objects.create(user=world.ada, organization=world.zenith, role=Role.VIEWER)
    return world.ada


def test_a_member_of_several_names_one(world: World, ada_of_two: User) -> None:
    client = signed_in(ada_of_two)
    answer = client.get(METRICS)
    assert (answer.status_code, code(answer)) == (400, 1201)
    error = answer.json()["error"]
    assert (error["field"], error["details"]) == ("X-Organization", {"organizations": ["acme", "zenith"]})
    assert client.get(METRICS, headers={"X-Organization": "zenith"}).status_code == 200
    roles = {slug: client.get(ME, headers={"X-Organization": slug}).json()["role"] for slug in ("acme", "zenith")}
    assert roles == {"acme": "admin", "zenith": "viewer"}


def test_who_am_i_answers_before_one_is_named(world: World, ada_of_two: User) -> None:
    shown = signed_in(ada_of_two).get(ME).json()
    assert (shown["organization"], shown["role"], shown["permissions"], shown["projects"]) == (None, None, [], [])
    assert [row["slug"] for row in shown["organizations"]] == ["acme", "zenith"]


def test_a_session_remembers_the_organization(world: World, ada_of_two: User) -> None:
    client = signed_in(ada_of_two, organization="zenith")
    assert client.get(ME).json()["organization"]["slug"] == "zenith"
    assert client.get(ME, headers={"X-Organization": "acme"}).json()["organization"]["slug"] == "acme"
    Membership.objects.filter(user=ada_of_two, organization=world.zenith).delete()
    forget_keys()
    assert client.get(ME).json()["organization"]["slug"] == "acme"


@pytest.mark.parametrize("slug", ["zenith", "nowhere", "a b"])
def test_an_organization_of_others_does_not_exist(world: World, slug: str) -> None:
    answer = signed_in(world.ada).get(METRICS, headers={"X-Organization": slug})
    assert (answer.status_code, code(answer)) == (404, 1300)


def test_someone_without_an_organization_may_do_nothing(world: World) -> None:
    client = signed_in(User.objects.create_user("nobody@hub.example", PASSWORD))
    answer = client.get(METRICS)
    assert (answer.status_code, code(answer)) == (403, 1100)
    assert client.get(ME).json()["organizations"] == []


def test_a_superuser_sees_tenants_data_only_as_a_member(world: World) -> None:
    root = User.objects.create_superuser("root@hub.example", PASSWORD)
    client = signed_in(root)
    assert code(client.get(METRICS)) == 1100
    assert code(client.get(METRICS, headers={"X-Organization": "acme"})) == 1300
    assert client.get(ME).json()["is_superuser"] is True


# -- chosen projects ------------------------------------------------------------------------------------------------


def test_a_membership_of_chosen_projects_sees_those_alone(world: World) -> None:
    client = signed_in(world.dora)
    shown = client.get(ME).json()
    assert (shown["all_projects"], [row["slug"] for row in shown["projects"]]) == (False, ["web"])
    assert client.get(f"{METRICS}&project=web").status_code == 200
    answer = client.get(f"{METRICS}&project=default")
    assert (answer.status_code, code(answer)) == (403, 1101)
    assert "membership" in answer.json()["error"]["message"]
    assert code(client.get(f"{METRICS}&project=secret")) == 1300


def test_a_membership_never_reaches_another_organizations_project(world: World) -> None:
    world.member_of(world.dora).projects.add(world.zenith_project)
    assert [row["slug"] for row in signed_in(world.dora).get(ME).json()["projects"]] == ["web"]
