"""From an invitation's link to a membership."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apps.orgs.audit import SYSTEM
from apps.orgs.models import AuditEntry, Invitation, Membership, User
from apps.orgs.services import ANYTHING, invitation_create, invitation_revoke
from tests.pages.conftest import PASSWORD
from tests.support.world import World


@pytest.fixture
def link(world: World) -> str:
    """Bo is invited to see one project of Acme."""
    _, token = invitation_create(
        actor=SYSTEM,
        by=ANYTHING,
        organization=world.acme,
        email="bo@x.example",
        role="viewer",
        all_projects=False,
        projects=[world.web],
    )
    return f"/invitations/{token}"


@pytest.fixture
def bo(db: None) -> User:
    return User.objects.create_user("bo@x.example", PASSWORD)


def accept(web: Client, link: str, **form: str) -> Any:
    return web.post(link, form)


def new_person(web: Client, link: str, **other: str) -> Any:
    return accept(web, link, **{"name": "Bo", "password": PASSWORD, "again": PASSWORD, **other})


def test_a_new_person(web: Client, world: World, link: str) -> None:
    page = web.get(link).content.decode()
    for told in ("Join acme", "bo@x.example", "viewer", "web", "Your name"):
        assert told in page
    assert new_person(web, link)["Location"] == "/account"
    member = Membership.objects.get(user__email="bo@x.example")
    assert (member.organization, member.role, member.all_projects) == (world.acme, "viewer", False)
    assert list(member.projects.all()) == [world.web]
    assert member.user.name == "Bo"
    page = web.get("/account").content.decode()
    assert "Welcome to acme." in page
    assert web.session["organization"] == "acme"
    actions = set(AuditEntry.objects.values_list("action", flat=True))
    assert {"user.create", "member.add", "invitation.accept", "session.sign_in"} <= actions
    assert Client().post("/login", {"email": "bo@x.example", "password": PASSWORD}).status_code == 302


@pytest.mark.parametrize(
    ("other", "said"),
    [({"again": "x"}, "differ"), ({"password": "short", "again": "short"}, "too short"), ({"name": ""}, "required")],
)
def test_a_bad_form_makes_nobody(web: Client, link: str, other: dict[str, str], said: str) -> None:
    answer = new_person(web, link, **other)
    assert answer.status_code == 400
    assert said in answer.content.decode()
    assert not User.objects.filter(email="bo@x.example").exists()
    assert new_person(web, link).status_code == 302


def test_who_has_an_account_proves_it(web: Client, link: str, bo: User) -> None:
    page = web.get(link).content.decode()
    assert "Your password proves" in page
    assert "Your name" not in page
    assert accept(web, link, password="wrong").status_code == 400
    assert new_person(web, link, password="a new password").status_code == 400
    denied = AuditEntry.objects.filter(action="invitation.accept", outcome="denied")
    assert denied.count() == 2
    assert {(entry.object_name, entry.organization_id is None) for entry in denied} == {(bo.email, False)}
    assert not bo.memberships.exists()
    assert accept(web, link, password=PASSWORD)["Location"] == "/account"
    assert bo.memberships.count() == 1
    assert web.session["_auth_user_id"] == str(bo.pk)


def test_who_has_signed_in_needs_one_click(web: Client, link: str, bo: User) -> None:
    web.post("/login", {"email": bo.email, "password": PASSWORD})
    assert 'type="password"' not in web.get(link).content.decode()
    assert not bo.memberships.exists()  # looking accepts nothing
    assert accept(web, link)["Location"] == "/account"
    assert bo.memberships.count() == 1


def test_who_has_signed_in_as_another(signed_in: Client, link: str, bo: User) -> None:
    page = signed_in.get(link).content.decode()
    assert "You are signed in as ada@acme.example" in page
    assert accept(signed_in, link).status_code == 400
    assert not bo.memberships.exists()
    assert accept(signed_in, link, password=PASSWORD).status_code == 302
    assert signed_in.session["_auth_user_id"] == str(bo.pk)


def test_a_closed_account_stays_closed(web: Client, link: str, bo: User) -> None:
    User.objects.filter(pk=bo.pk).update(is_active=False)
    assert accept(web, link, password=PASSWORD).status_code == 400
    assert not bo.memberships.exists()


def test_a_link_is_good_once(web: Client, link: str) -> None:
    new_person(web, link)
    answer = Client(headers={"Accept": "text/html"}).get(link)
    assert answer.status_code == 404
    assert "The invitation has been used." in answer.content.decode()


def test_a_link_that_is_no_longer_good(web: Client, link: str, db: None) -> None:
    Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    page = web.get(link)
    assert page.status_code == 404
    assert "The invitation has expired." in page.content.decode()
    assert new_person(web, link).status_code == 404
    Invitation.objects.update(expires_at=timezone.now() + timedelta(days=1))
    invitation_revoke(actor=SYSTEM, by=ANYTHING, invitation=Invitation.objects.get())
    assert "The invitation has been revoked." in web.get(link).content.decode()
    assert new_person(web, link).status_code == 404
    assert not User.objects.filter(email="bo@x.example").exists()


@pytest.mark.parametrize("token", ["x", "x" * 201, "%00", "%ff", "<script>"])
def test_an_unknown_link(web: Client, db: None, token: str) -> None:
    answer = web.get(f"/invitations/{token}")
    assert answer.status_code == 404
    assert "There is no such invitation." in answer.content.decode()
    answer = Client().get(f"/invitations/{token}")
    assert answer.json()["error"]["code"] == 1300


def test_a_member_already(web: Client, world: World, link: str, bo: User) -> None:
    Membership.objects.create(user=bo, organization=world.acme, role="viewer")
    answer = accept(web, link, password=PASSWORD)
    assert answer.status_code == 400
    assert "is a member already" in answer.content.decode()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_refused_form_tells_nobody_the_link(link: str, db: None, caplog: Any, method: str) -> None:
    assert Client(enforce_csrf_checks=True).generic(method, link).status_code == 403
    entry = AuditEntry.objects.get(action="access.denied")
    assert entry.object_name == f"{method} /invitations/(hidden)"
    assert link.rsplit("/", 1)[1] not in caplog.text
