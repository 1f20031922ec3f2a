"""Keys in the settings: a text that is shown once, a form that makes one key, and nothing of anybody else's."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client

from apps.orgs.authentication import forget_keys
from apps.orgs.models import ApiKey, AuditEntry
from tests.support.world import World, make_world

KEYS = "/settings/keys"
TEXT = re.compile(r"ah_[0-9a-f]{16}_[0-9a-f]{64}")


def mark_of(page: Any) -> str:
    """The mark of the form on a page."""
    found = re.search(r'name="once" value="([^"]+)"', page.content.decode())
    assert found is not None
    return found[1]


def filled(web: Any, path: str, **fields: Any) -> dict[str, Any]:
    """The form of a page with these fields."""
    return {"once": mark_of(web.get(path)), **fields}


def text_of(page: Any) -> str:
    """The key on a page, which stands there once."""
    found = TEXT.findall(page.content.decode())
    assert len(found) == 1
    return str(found[0])


def test_a_new_key_is_shown_once_and_works(world: World, ada: Any) -> None:
    sent = filled(ada, f"{KEYS}/new", name="nightly import", role="viewer", project="web", networks="127.0.0.0/8\n::1")
    answer = ada.post(f"{KEYS}/new", sent)
    assert answer.status_code == 200 and "no-store" in answer["Cache-Control"]
    text = text_of(answer)
    key = ApiKey.objects.get(name="nightly import")
    assert (key.role, key.project, key.networks) == ("viewer", world.web, ["127.0.0.0/8", "::1/128"])
    opened = world.get("/api/v1/projects", key=text).json()
    assert [project["slug"] for project in opened["data"]] == ["web"]
    secret = text.rpartition("_")[2]
    for path in (KEYS, f"{KEYS}/{key.pk}", f"{KEYS}/{key.pk}/rotate"):
        page = ada.get(path)
        assert page.status_code == 200 and secret not in page.content.decode() and key.prefix in page.content.decode()
    kept = [*AuditEntry.objects.values_list("after", flat=True), *(row.get_decoded() for row in Session.objects.all())]
    assert secret not in repr(kept)


def test_a_reload_makes_no_second_key(world: World, ada: Any) -> None:
    before = ApiKey.objects.count()
    sent = filled(ada, f"{KEYS}/new", name="once", role="viewer")
    first, again = ada.post(f"{KEYS}/new", sent), ada.post(f"{KEYS}/new", sent)
    assert "If you reload this page" in first.content.decode()
    assert (first.status_code, again.status_code) == (200, 409)
    assert ApiKey.objects.count() == before + 1
    assert not TEXT.search(again.content.decode()) and b"Nothing was made now" in again.content
    for wrong in ("", "x", "<script>" * 4):
        assert ada.post(f"{KEYS}/new", {**sent, "once": wrong}).status_code == 400
    assert ApiKey.objects.count() == before + 1


def test_a_refused_form_can_be_sent_again(world: World, ada: Any) -> None:
    sent = filled(ada, f"{KEYS}/new", name="", role="viewer", networks="nowhere")
    refused = ada.post(f"{KEYS}/new", sent)
    assert refused.status_code == 400
    assert set(refused.context["form"].errors) == {"name"}
    refused = ada.post(f"{KEYS}/new", {**sent, "name": "n"})
    assert set(refused.context["form"].errors) == {"networks"}
    assert text_of(ada.post(f"{KEYS}/new", {**sent, "name": "n", "networks": ""}))


def test_a_key_has_a_role_or_permissions(world: World, ada: Any) -> None:
    sent = filled(ada, f"{KEYS}/new", name="both", role="viewer", permissions=["traces:read"])
    refused = ada.post(f"{KEYS}/new", sent)
    assert refused.context["form"].errors["role"] == ["A key has a role or a list of permissions."]
    ada.post(f"{KEYS}/new", {**sent, "role": ""})
    assert ApiKey.objects.get(name="both").permissions == ["traces:read"]


def test_a_rotation_shows_the_new_text_and_says_how_long_the_old_one_works(world: World, ada: Any) -> None:
    row, old = world.new_key(name="ci")
    path = f"{KEYS}/{row.pk}/rotate"
    sent = filled(ada, path, grace_seconds="3600")
    answer = ada.post(path, sent)
    new = text_of(answer)
    assert new != old and b"The text before works until" in answer.content
    forget_keys()
    assert [world.get("/api/v1/projects", key=text).status_code for text in (old, new)] == [200, 200]
    assert ada.post(path, sent).status_code == 409
    refused = ada.post(path, filled(ada, path, grace_seconds="3600"))
    assert "rotated before" in refused.context["form"].errors["grace_seconds"][0]
    newest = text_of(ada.post(path, filled(ada, path, grace_seconds="0")))
    forget_keys()
    opened = [world.get("/api/v1/projects", key=text).status_code for text in (old, new, newest)]
    assert opened == [401, 401, 200]


def test_a_key_is_changed_only_where_the_form_was(world: World, ada: Any) -> None:
    row, _ = world.new_key(name="ci", networks=["10.0.0.0/8"])
    ada.cookies["hub_tz"] = "Europe/Berlin"
    path = f"{KEYS}/{row.pk}"
    sent = {"name": "ci", "networks": "10.0.0.0/8", "expires_at": "2090-07-01T12:00"}
    assert ada.post(path, sent).status_code == 302
    row.refresh_from_db()
    assert row.expires_at is not None and row.expires_at.isoformat() == "2090-07-01T10:00:00+00:00"
    assert 'value="2090-07-01T12:00"' in ada.get(path).content.decode()
    changes = AuditEntry.objects.filter(action="key.update").count()
    assert ada.post(path, sent).status_code == 302
    assert AuditEntry.objects.filter(action="key.update").count() == changes
    refused = ada.post(path, {**sent, "expires_at": "2000-01-01T00:00"})
    assert set(refused.context["form"].errors) == {"expires_at"}
    refused = ada.post(path, {**sent, "expires_at": "yesterday"})
    assert set(refused.context["form"].errors) == {"expires_at"}


def test_revoking_asks_once_first(world: World, ada: Any) -> None:
    row, text = world.new_key(name="ci")
    path = f"{KEYS}/{row.pk}/revoke"
    assert b"Revoke the key" in ada.get(path).content
    assert world.get("/api/v1/projects", key=text).status_code == 200
    assert ada.post(path)["Location"] == KEYS
    row.refresh_from_db()
    assert row.revoked_at is not None
    assert b"revoked" in ada.get(KEYS).content


@pytest.mark.parametrize("deed", ["", "/rotate", "/revoke"])
def test_keys_of_others_are_not_there(world: World, ada: Any, browser_of: Any, deed: str) -> None:
    foreign = ApiKey.objects.filter(organization=world.zenith).values_list("pk", flat=True)[0]
    mine, _ = world.new_key(name="ada's", created_by=world.ada)
    dora = browser_of(world.dora)
    for web, number, status in ((ada, foreign, 404), (ada, 2**40, 404), (dora, foreign, 404), (dora, mine.pk, 403)):
        path = f"{KEYS}/{number}{deed}"
        sent = {"once": "x" * 20, "name": "taken", "grace_seconds": "0"}
        assert (web.get(path).status_code, web.post(path, sent).status_code) == (status, status)
    assert not ApiKey.objects.filter(name="taken").exists()
    assert mine.name not in dora.get(KEYS).content.decode()


def test_nobody_makes_a_key_that_does_more(world: World, browser_of: Any) -> None:
    dora = browser_of(world.dora)
    page = dora.get(f"{KEYS}/new")
    offered = {value for value, _ in page.context["form"].fields["role"].choices}
    assert "admin" not in offered and "viewer" in offered
    sent = {"once": mark_of(page), "name": "more", "role": "admin", "project": "web"}
    refused = dora.post(f"{KEYS}/new", sent)
    assert refused.status_code == 403 and "role" in refused.context["form"].errors
    refused = dora.post(f"{KEYS}/new", {**sent, "role": "viewer", "project": "default"})
    assert refused.status_code == 403 and "project" in refused.context["form"].errors
    assert not ApiKey.objects.filter(name="more").exists()


def test_a_form_of_another_site_makes_nothing(world: World) -> None:
    web = Client(enforce_csrf_checks=True, raise_request_exception=False, headers={"Accept": "text/html"})
    web.force_login(world.ada)
    before = ApiKey.objects.count()
    sent = filled(web, f"{KEYS}/new", name="forged", role="admin")
    assert web.post(f"{KEYS}/new", sent).status_code == 403
    assert ApiKey.objects.count() == before


def test_of_two_clicks_one_makes_a_key(transactional_db: None) -> None:
    world = make_world()
    first = Client(headers={"Accept": "text/html"})
    first.force_login(world.ada)
    sent = filled(first, f"{KEYS}/new", name="twice", role="viewer")
    clicks = [Client(headers={"Accept": "text/html"}) for _ in range(4)]
    ready = Barrier(len(clicks))

    def click(web: Client) -> int:
        web.cookies.update(first.cookies)
        ready.wait()
        try:
            return int(web.post(f"{KEYS}/new", sent).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(len(clicks)) as pool:
        answers = sorted(pool.map(click, clicks))
    assert answers == [200, 409, 409, 409]
    assert ApiKey.objects.filter(name="twice").count() == 1
