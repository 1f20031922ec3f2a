"""Signing in and out in a browser, and what an attacker would try there."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from apps.common.rates.bucket import Bucket
from apps.common.rates.limits import Verdict
from apps.orgs.models import AuditEntry, User
from apps.orgs.pages import common
from apps.orgs.sessions import remove_expired
from apps.orgs.tiers import sign_in_bucket
from tests.pages.conftest import PASSWORD


def sign_in(web: Client, email: str = "ada@acme.example", password: str = PASSWORD, **more: str) -> Any:
    return web.post("/login", {"email": email, "password": password, **more})


def last(action: str) -> AuditEntry:
    return AuditEntry.objects.filter(action=action).latest("id")


def test_the_root_leads_to_the_sign_in_and_then_to_the_overview(web: Client, ada: User) -> None:
    assert web.get("/")["Location"] == "/login"
    assert sign_in(web)["Location"] == "/overview"
    assert web.get("/")["Location"] == "/overview"
    assert web.get("/login")["Location"] == "/overview"


def test_the_address_may_be_written_in_any_case(web: Client, ada: User) -> None:
    assert sign_in(web, "Ada@ACME.example").status_code == 302
    entry = last("session.sign_in")
    assert (entry.actor, entry.actor_id, entry.outcome) == (ada.email, ada.pk, "done")
    assert (entry.object_type, entry.object_id, entry.address) == ("user", str(ada.pk), "127.0.0.1")
    assert entry.request_id.startswith("req_")


@pytest.mark.parametrize(
    ("email", "password"),
    [("ada@acme.example", "wrong"), ("nobody@acme.example", PASSWORD), ("gone@x.example", "closed-door")],
)
def test_a_refusal_tells_nothing_about_the_account(web: Client, ada: User, email: str, password: str) -> None:
    User.objects.create_user("gone@x.example", "closed-door", is_active=False)
    answer = sign_in(web, email, password)
    assert answer.status_code == 400
    assert "E-mail and password do not match an account." in answer.content.decode()
    assert password not in answer.content.decode()
    entry = last("session.refused")
    assert (entry.outcome, entry.actor_kind, entry.object_name) == ("denied", "anonymous", email)
    assert web.get("/account").status_code == 302


def test_what_is_missing_is_said_at_its_field(web: Client, ada: User) -> None:
    page = sign_in(web, "ada", "").content.decode()
    assert 'aria-invalid="true"' in page
    assert page.count('class="error"') == 2
    assert not AuditEntry.objects.filter(action="session.refused").exists()


@pytest.mark.parametrize("after", ["/account/password", "/admin/orgs/project/?q=a", "/api/docs/#/traces"])
def test_back_to_where_one_was(web: Client, ada: User, after: str) -> None:
    page = web.get("/login", {"next": after})
    assert page.context["next"] == after
    assert sign_in(web, next=after)["Location"] == after


@pytest.mark.parametrize(
    "after",
    [
        "https://evil.example/",
        "//evil.example/",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        " //evil.example",
        "/\t/evil.example",
        "http:/account",
        "account",
        "https://testserver/account",
    ],
)
def test_never_to_another_site(web: Client, ada: User, after: str) -> None:
    assert web.get("/login", {"next": after}).context["next"] == "/overview"
    assert sign_in(web, next=after)["Location"] == "/overview"
    assert web.get("/login", {"next": after})["Location"] == "/overview"


def test_a_planted_session_opens_nothing(web: Client, ada: User) -> None:
    session = web.session
    session["planted"] = "yes"
    session.save()
    planted = str(session.session_key)
    web.cookies["hub_session"] = planted
    sign_in(web)
    assert web.cookies["hub_session"].value != planted
    assert not Session.objects.filter(session_key=planted).exists()


def test_someone_elses_session_is_not_taken_over(signed_in: Client, ada: User) -> None:
    """Signing in as another person over an open session keeps nothing of it."""
    session = signed_in.session
    session["organization"] = "acme"
    session.save()
    User.objects.create_user("bo@x.example", PASSWORD)
    sign_in(signed_in, "bo@x.example")
    assert "organization" not in signed_in.session
    assert "bo@x.example" in signed_in.get("/account").content.decode()


def test_cookies_are_out_of_reach_of_scripts_and_other_sites(signed_in: Client, settings: Any) -> None:
    for name in ("hub_session", "hub_csrf"):
        cookie = signed_in.cookies[name]
        assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")
    assert (settings.SESSION_COOKIE_SECURE, settings.CSRF_COOKIE_SECURE) == (False, False)


def test_signing_out_ends_the_session_everywhere(signed_in: Client) -> None:
    stolen = signed_in.cookies["hub_session"].value
    assert signed_in.get("/logout").status_code == 405
    assert signed_in.get("/account").status_code == 200
    assert signed_in.post("/logout")["Location"] == "/login"
    assert last("session.sign_out").actor == "ada@acme.example"
    assert not Session.objects.exists()
    thief = Client()
    thief.cookies["hub_session"] = stolen
    assert thief.get("/account").status_code == 302


@pytest.mark.parametrize("path", ["/login", "/logout", "/account/organization"])
def test_a_form_of_another_site_is_refused(ada: User, path: str) -> None:
    web = Client(enforce_csrf_checks=True, headers={"Accept": "text/html"})
    web.force_login(ada)
    answer = web.post(path, {"email": ada.email, "password": PASSWORD, "organization": "acme"})
    assert answer.status_code == 403
    assert "security token is missing or stale" in answer.content.decode()
    assert "_auth_user_id" in web.session


def test_the_pages_own_form_is_taken(ada: User) -> None:
    web = Client(enforce_csrf_checks=True)
    token = web.get("/login").context["csrf_token"]
    assert sign_in(web, csrfmiddlewaretoken=str(token)).status_code == 302


def test_an_address_has_so_many_tries(web: Client, ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Bucket] = []

    def empty(charges: Any) -> tuple[Verdict, None]:
        asked.extend(bucket for bucket, _ in charges)
        return Verdict(False, charges[0][0], 0, 2_000_000_000, 7), None

    monkeypatch.setattr(common, "take", empty)
    answer = sign_in(web)
    assert (answer.status_code, answer["Retry-After"], answer["X-RateLimit-Limit"]) == (429, "7", "10")
    assert "Too many tries from your address. Try again in 7 seconds." in answer.content.decode()
    assert asked == [sign_in_bucket("127.0.0.1")]
    assert web.get("/account").status_code == 302


def test_the_bucket_of_an_address() -> None:
    assert sign_in_bucket("192.0.2.1") != sign_in_bucket("192.0.2.2")
    assert sign_in_bucket("2001:db8::1") == sign_in_bucket("2001:db8::ffff") != sign_in_bucket("2001:db8:0:1::1")
    assert sign_in_bucket("").per_minute == 10


def test_the_page_offers_no_reset_by_mail(web: Client, db: None) -> None:
    page = web.get("/login").content.decode()
    assert "Ask your administrator" in page
    assert "/account/password" not in page


def test_old_sessions_are_forgotten(signed_in: Client, ada: User) -> None:
    other = Client()
    other.force_login(ada)
    Session.objects.filter(session_key=other.session.session_key).update(expire_date=timezone.now())
    remove_expired()
    assert [session.session_key for session in Session.objects.all()] == [signed_in.session.session_key]
