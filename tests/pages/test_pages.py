"""What holds of every page: the content policy, the errors that people see, and a short chain for programs."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.test import Client, RequestFactory

from apps.common.edge.pages import PAGE_POLICY, prefers_page, without_session
from apps.orgs.models import User
from tests.support.world import World

STRICT = ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'")
INLINE = re.compile(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", re.IGNORECASE)


def check_page(answer: Any) -> str:
    """An HTML answer that a browser can be trusted with."""
    page: str = answer.content.decode()
    assert answer["Content-Type"].startswith("text/html")
    policy = answer["Content-Security-Policy"]
    assert all(part in policy for part in STRICT)
    assert "unsafe" not in policy
    assert answer["X-Frame-Options"] == "DENY"
    assert not INLINE.search(page), INLINE.search(page)
    assert not re.search(r'(?:src|href|action)="(?:https?:)?//', page)
    return page


PUBLIC_PAGES = ["/login", "/docs/errors/", "/docs/errors/1202", "/api/docs/"]


@pytest.mark.parametrize("path", [*PUBLIC_PAGES, "/nowhere", "/docs/errors/1", "/invitations/x"])
def test_pages_for_everybody(web: Client, db: None, path: str) -> None:
    check_page(web.get(path))


@pytest.mark.parametrize("path", ["/account", "/account/password"])
def test_pages_for_people_who_signed_in(signed_in: Client, path: str) -> None:
    answer = signed_in.get(path)
    assert answer.status_code == 200
    assert 'action="/logout"' in check_page(answer)
    assert "no-store" in answer["Cache-Control"]
    assert Client().get(path)["Location"] == f"/login?next={path.replace('/', '%2F')}"


def test_pages_without_a_person_may_be_cached(signed_in: Client) -> None:
    answer = signed_in.get("/docs/errors/")
    assert answer["Cache-Control"] == "public, max-age=3600"
    assert "logout" not in answer.content.decode()
    assert "Cookie" not in answer.get("Vary", "")


def test_an_error_is_a_page_for_people_and_the_envelope_for_programs(web: Client, db: None) -> None:
    page = web.get("/nowhere")
    assert page.status_code == 404
    assert "There is nothing here" in check_page(page)
    assert page["X-Request-ID"] in page.content.decode()
    assert page["Vary"] == "Accept"
    for accept in ("application/json", "*/*", "", "text/html;q=0.5, application/json"):
        answer = Client().get("/nowhere", headers={"Accept": accept})
        assert answer.json()["error"]["code"] == 1300
        assert answer["Vary"] == "Accept"
    for path in ("/api/v1/nowhere", "/v1/nowhere"):
        answer = web.get(path)
        assert answer.json()["error"]["code"] == 1300
        assert "Accept" not in answer.get("Vary", "").split(", ")  # the same for everybody
    assert web.delete("/login").status_code == 405


def test_a_page_that_breaks_says_nothing_of_why(signed_in: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("host=db.internal")

    monkeypatch.setattr("apps.orgs.pages.account.memberships_of", broken)
    answer = signed_in.get("/account")
    assert answer.status_code == 500
    page = check_page(answer)
    assert "db.internal" not in page
    assert answer["X-Request-ID"] in page


def test_the_policy_names_no_other_origin() -> None:
    sources = re.findall(r"[a-z-]+-(?:src|action|ancestors|uri) ([^;]+)", PAGE_POLICY)
    assert len(sources) > 8
    assert {word for source in sources for word in source.split()} <= {"'self'", "'none'", "data:"}


@pytest.mark.parametrize(
    ("path", "cookie", "expected"),
    [
        ("/v1/traces", "", True),
        ("/api/v1/metrics", "", True),
        ("/api/schema/", "", True),
        ("/health", "hub_session=x", True),
        ("/v1/traces", "hub_session=x", False),
        ("/api/v1/metrics", "a=b; hub_session=x", False),
        ("/api/docs/", "", False),
        ("/login", "", False),
        ("/admin/", "", False),
        ("/apis", "", False),
    ],
)
def test_who_has_a_session(path: str, cookie: str, expected: bool) -> None:
    request = RequestFactory().get(path, headers={"Cookie": cookie} if cookie else {})
    assert without_session(request) is expected


def test_programs_have_neither_session_nor_user(world: World, ada: User) -> None:
    answer = world.get("/api/v1/metrics/catalog")
    assert answer.status_code == 200
    assert not hasattr(answer.wsgi_request, "session")
    assert not isinstance(answer.wsgi_request.user, User | AnonymousUser)  # the door's principal
    assert not answer.cookies
    world.client.force_login(ada)
    assert hasattr(world.get("/api/v1/metrics/catalog").wsgi_request, "session")


def test_spans_need_no_form_token(world: World) -> None:
    """A cookie beside a key must not make ingest ask for a CSRF token."""
    web = Client(enforce_csrf_checks=True)
    web.cookies["hub_session"] = "x"
    headers = {"Authorization": f"Bearer {world.key}"}
    answer = web.post("/v1/traces", b"{}", content_type="application/json", headers=headers)
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("path", "accept", "expected"),
    [
        ("/x", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", True),
        ("/x", "*/*", False),
        ("/x", "application/json", False),
        ("/api/v1/x", "text/html", False),
        ("/v1/x", "text/html", False),
        ("/api/docs/x", "text/html", True),
        ("/ready", "text/html", False),
    ],
)
def test_who_prefers_a_page(path: str, accept: str, expected: bool) -> None:
    assert prefers_page(RequestFactory().get(path, headers={"Accept": accept})) is expected


def test_swagger_ui_knows_who_signed_in(signed_in: Client) -> None:
    nobody = Client().get("/api/docs/")
    assert "data-csrf" not in nobody.content.decode()
    assert not nobody.cookies
    page = check_page(signed_in.get("/api/docs/"))
    assert "Requests are sent as ada@acme.example." in page
    assert re.search(r'data-csrf="\w{64}"', page)
