"""`/api/v1/invitations`: a link makes one person a member, once."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.test import override_settings
from django.utils import timezone

from apps.orgs.models import AuditEntry, Invitation, Membership, Role, User
from apps.orgs.services import ANYTHING, invitation_accept, invitation_create, invitation_preview
from tests.support.authority import TESTER
from tests.support.races import codes_of_race
from tests.support.world import PASSWORD, World, make_world

URL = "/api/v1/invitations"
ACCEPT = f"{URL}/accept"
NEW = "eve@acme.example"


@pytest.fixture(autouse=True)
def many_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests share an address."""
    monkeypatch.setattr("apps.orgs.tiers.SIGN_IN_FIGURES", (1_000_000, 1_000_000))


def error(answer: Any) -> tuple[int, int, str | None]:
    found = answer.json()["error"]
    return answer.status_code, found["code"], found["field"]


def invite(world: World, email: str = NEW, role: str = "developer", **more: Any) -> tuple[dict[str, Any], str]:
    answer = world.send("POST", URL, {"email": email, "role": role, **more})
    assert answer.status_code == 201, answer.content
    row = answer.json()
    return row, row["link"].rpartition("/")[2]


def accept(world: World, token: Any, **more: Any) -> Any:
    given = {"token": token, "name": "Eve", "password": PASSWORD, **more}
    return world.client.post(ACCEPT, given, content_type="application/json")


def test_a_new_person_becomes_a_member(world: World) -> None:
    row, token = invite(world, "Eve@Acme.example ", projects=["web"])
    assert row["link"] == f"http://testserver/invitations/{token}"
    assert (row["email"], row["state"], row["projects"]) == (NEW, "open", ["web"])
    answer = accept(world, token)
    assert answer.status_code == 200, answer.content
    assert {name: answer.json()[name] for name in ("organization", "email", "name", "role", "projects")} == {
        "organization": "acme",
        "email": NEW,
        "name": "Eve",
        "role": "developer",
        "projects": ["web"],
    }
    eve = User.objects.get(email=NEW)
    assert eve.check_password(PASSWORD) and not eve.is_staff
    membership = Membership.objects.get(user=eve)
    assert (membership.organization, membership.all_projects) == (world.acme, False)
    entry = AuditEntry.objects.get(action="invitation.accept")
    assert (entry.actor_kind, entry.actor_id, entry.actor, entry.address) == ("user", eve.pk, NEW, "127.0.0.1")
    assert world.get(URL).json()["data"][0]["state"] == "accepted"


def test_a_link_works_once(world: World) -> None:
    _, token = invite(world)
    assert accept(world, token).status_code == 200
    assert error(accept(world, token)) == (404, 1300, "token")
    assert Membership.objects.filter(user__email=NEW).count() == 1


def test_a_known_person_proves_the_password(world: World) -> None:
    _, token = invite(world, "cleo@z.example")
    assert invitation_preview(token).known
    assert error(accept(world, token, password="not hers at all")) == (401, 1001, "password")
    assert AuditEntry.objects.get(action="invitation.accept").organization_id == world.acme.pk
    world.cleo.is_active = False
    world.cleo.save()
    assert error(accept(world, token)) == (401, 1001, "password")
    world.cleo.is_active = True
    world.cleo.save()
    assert accept(world, token).status_code == 200
    world.cleo.refresh_from_db()
    assert world.cleo.name == ""
    assert set(Membership.objects.filter(user=world.cleo).values_list("organization__slug", flat=True)) == {
        "acme",
        "zenith",
    }


def test_tries_are_limited_together_with_signing_in(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.orgs.tiers.SIGN_IN_FIGURES", (1, 2))
    place: dict[str, Any] = {"content_type": "application/json", "REMOTE_ADDR": f"198.51.100.{world.acme.pk % 256}"}
    given = {"token": "x", "password": PASSWORD}
    first = world.client.post(ACCEPT, given, **place)
    assert (first.status_code, first["X-RateLimit-Remaining"]) == (404, "1")
    signing_in = {"email": "nobody@x.example", "password": "x"}
    assert world.client.post("/api/v1/auth/token", signing_in, **place).status_code == 401
    for path, body in ((ACCEPT, given), ("/api/v1/auth/token", signing_in)):
        last = world.client.post(path, body, **place)
        assert error(last)[:2] == (429, 1500)
        assert int(last["Retry-After"]) >= 1


@override_settings(
    AUTH_PASSWORD_VALIDATORS=[
        {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
        {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
    ]
)
def test_djangos_password_rules_hold(world: World) -> None:
    _, token = invite(world)
    answer = accept(world, token, password="123")
    assert error(answer) == (400, 1202, "password")
    assert len(answer.json()["error"]["details"]) == 2
    assert not User.objects.filter(email=NEW).exists()
    assert accept(world, token).status_code == 200


def test_links_that_are_not_good(world: World) -> None:
    row, token = invite(world)
    assert world.send("DELETE", f"{URL}/{row['id']}").status_code == 204
    assert world.send("DELETE", f"{URL}/{row['id']}").status_code == 204
    assert error(accept(world, token)) == (404, 1300, "token")
    _, late = invite(world, expires_in_days=1)
    Invitation.objects.filter(revoked_at=None).update(expires_at=timezone.now() - timedelta(seconds=1))
    assert error(accept(world, late)) == (404, 1300, "token")
    for odd in ("x", "é", "x" * 200):
        assert error(accept(world, odd)) == (404, 1300, "token")
    for wrong in ("", "\0", "x" * 201, None, 5, ["x"]):
        status, code, field = error(accept(world, wrong))
        assert (status, field) == (400, "token") and 1200 <= code < 1300
    assert not User.objects.filter(email=NEW).exists()


def test_a_new_invitation_of_the_same_address_ends_the_earlier(world: World) -> None:
    _, first = invite(world, role="admin")
    _, second = invite(world, role="viewer")
    assert error(accept(world, first)) == (404, 1300, "token")
    assert accept(world, second).json()["role"] == "viewer"


def test_only_a_hash_of_the_token_is_kept(world: World) -> None:
    row, token = invite(world)
    assert token not in str(Invitation.objects.filter(pk=row["id"]).values())
    assert token not in str(list(AuditEntry.objects.values()))
    assert "link" not in world.get(URL).json()["data"][0]


def test_members_are_not_invited(world: World) -> None:
    assert error(world.send("POST", URL, {"email": "BEN@acme.example", "role": "viewer"})) == (409, 1400, "email")


def test_nobody_invites_beyond_their_own_reach(world: World) -> None:
    _, limited = world.new_key(role=Role.ADMIN, project=world.web)
    named = {"email": NEW, "role": "viewer"}
    assert error(world.send("POST", URL, named, key=limited))[:2] == (403, 1102)
    answer = world.send("POST", URL, {**named, "projects": ["default"]}, key=limited)
    assert error(answer) == (403, 1101, "projects")
    assert error(world.send("POST", URL, {**named, "projects": ["secret"]})) == (404, 1300, "projects")
    _, narrow = world.new_key(role="", permissions=["members:manage"])
    assert error(world.send("POST", URL, named, key=narrow)) == (403, 1100, "role")
    wide, _ = invite(world, "wide@acme.example")
    own, _ = invite(world, "own@acme.example", projects=["web"])
    assert [row["id"] for row in world.get(URL, key=limited).json()["data"]] == [own["id"]]
    assert error(world.send("DELETE", f"{URL}/{wide['id']}", key=limited))[:2] == (403, 1102)
    assert error(world.send("DELETE", f"{URL}/{wide['id']}", key=world.zenith_key))[:2] == (404, 1300)
    assert error(world.send("DELETE", f"{URL}/{2**31}"))[:2] == (404, 1300)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"email": "nobody"}, "email"),
        ({"email": "a\0@x.example"}, "email"),
        ({"email": None}, "email"),
        ({"email": "a" * 250 + "@x.example"}, "email"),
        ({"role": "owner"}, "role"),
        ({"expires_in_days": 0}, "expires_in_days"),
        ({"expires_in_days": 91}, "expires_in_days"),
        ({"expires_in_days": 10**20}, "expires_in_days"),
        ({"expires_in_days": "7"}, "expires_in_days"),
        ({"projects": "web"}, "projects"),
        ({"projects": []}, "projects"),
        ({"all_projects": True, "projects": ["web"]}, "projects"),
        ({"all_projects": False}, "projects"),
        ({"token": "x"}, "token"),
    ],
)
def test_what_is_no_invitation(world: World, given: dict[str, Any], field: str) -> None:
    status, code, at = error(world.send("POST", URL, {"email": NEW, "role": "viewer", **given}))
    assert (status, str(at).partition("[")[0]) == (400, field) and 1200 <= code < 1300
    assert not Invitation.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("known", [True, False])
def test_a_link_that_is_used_at_the_same_time_works_once(known: bool) -> None:
    world = make_world()
    email = world.cleo.email if known else NEW
    _, token = invitation_create(actor=TESTER, by=ANYTHING, organization=world.acme, email=email, role=Role.VIEWER)
    accept = partial(invitation_accept, actor=TESTER, password=PASSWORD, name="Eve")
    assert codes_of_race(lambda _: accept(token=token), range(4)) == [0, 1300, 1300, 1300]
    assert Membership.objects.filter(user__email=email, organization=world.acme).count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_links_for_one_new_person_make_one_account() -> None:
    world = make_world()
    tokens = [
        invitation_create(actor=TESTER, by=ANYTHING, organization=tenant, email=NEW, role=Role.VIEWER)[1]
        for tenant in (world.acme, world.zenith)
    ]
    accept = partial(invitation_accept, actor=TESTER, password=PASSWORD, name="Eve")
    # Who comes second either finds the account, whose password is the same, or is told that it was just taken.
    assert codes_of_race(lambda token: accept(token=token), tokens) in ([0, 0], [0, 1401])
    assert User.objects.filter(email=NEW).count() == 1
