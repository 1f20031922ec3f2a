"""The first run: a key that is shown once, programs that work as they are, and word of the first span."""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.db import connection

from apps.console.snippets import KINDS, NO_KEY, snippets
from apps.orgs.models import ApiKey, AuditEntry, Role
from tests.support.world import World

KEY = re.compile(r"ah_[0-9a-f]{16}_[0-9a-f]{64}")


def span(**more: Any) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat()
    return {"name": "chat", "kind": "llm", "model": "gpt-4o", "duration_ms": 5, "start_time": now, **more}


def made_on(web: Any, project: str = "web") -> tuple[str, Any]:
    page = web.post("/start", {"project": project})
    assert page.status_code == 200, page.content
    (text,) = set(KEY.findall(page.content.decode()))
    return text, page


def asked_after(page: Any) -> str:
    """What the page asks by and by."""
    found = re.search(r'hx-get="([^"]+)"', page.content.decode())
    assert found is not None
    return unescape(found[1])


def test_the_key_stands_in_every_program_and_sends_to_its_project(world: World, ada: Any) -> None:
    key, page = made_on(ada)
    assert page.content.decode().count(key) == 1 + len(KINDS)
    assert NO_KEY not in page.content.decode()
    assert "http://testserver/" in page.content.decode()
    row = ApiKey.objects.get(public_id=key.split("_")[1])
    assert (row.project_id, row.permissions, row.created_by) == (world.web.pk, ["traces:write"], world.ada)
    assert world.send("POST", "/api/v1/traces", span(), key=key).json()["accepted"] == 1
    assert world.get("/api/v1/traces", key=key).status_code == 403


def test_the_keys_text_is_kept_nowhere(world: World, ada: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        key, page = made_on(ada)
    secret = key.rpartition("_")[2]
    assert secret not in caplog.text
    assert secret not in "".join(str(page.headers))
    assert all(secret not in str(session.get_decoded()) for session in Session.objects.all())
    assert AuditEntry.objects.filter(action="key.create", object_name=key.rpartition("_")[0]).exists()
    with connection.cursor() as cursor:
        for table in ("orgs_auditentry", "orgs_apikey", "django_session"):
            cursor.execute(f"SELECT count(*) FROM {table} t WHERE t::text LIKE %s", [f"%{secret}%"])
            assert cursor.fetchone()[0] == 0, table
    assert secret not in ada.get("/start?project=web").content.decode()
    assert page["Cache-Control"] == "private, no-store"


def test_says_when_the_first_span_is_there(world: World, ada: Any) -> None:
    key, page = made_on(ada)
    assert ada.get(asked_after(page)).status_code == 204  # nothing new since the page was made
    assert world.send("POST", "/api/v1/traces", span(), key=world.key).json()["accepted"] == 1
    assert ada.get(asked_after(page)).status_code == 204  # it went to another project
    world.send("POST", "/api/v1/traces", span(trace_id="a/b", name="<b>"), key=key)
    told = ada.get(asked_after(page))
    assert told.status_code == 200
    text = told.content.decode()
    assert 'href="/traces/a%2Fb?project=web"' in text and "&lt;b&gt;" in text
    assert "hx-get" not in text  # it asks no more


def test_says_when_a_span_was_refused(world: World, ada: Any) -> None:
    key, page = made_on(ada)
    refused = world.send("POST", "/api/v1/traces", span(start_time="2001-01-01T00:00:00Z"), key=key)
    assert refused.json()["accepted"] == 0
    told = ada.get(asked_after(page))
    assert b"older_than_retention" in told.content and b'href="/ingest/letters?project=web"' in told.content
    assert ada.get(asked_after(told)).status_code == 204
    world.send("POST", "/api/v1/traces", span(), key=key)
    assert b"It is here." in ada.get(asked_after(told)).content


def test_says_when_the_key_was_used_and_nothing_came(world: World, ada: Any) -> None:
    key, page = made_on(ada)
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    world.send("POST", "/api/v1/traces", span(start_time=yesterday), key=key)
    assert b"The key was used" in ada.get(asked_after(page)).content


def test_a_developer_makes_one_for_what_they_see(world: World, browser_of: Any) -> None:
    dora = browser_of(world.dora)
    key, _ = made_on(dora)
    assert ApiKey.objects.get(public_id=key.split("_")[1]).project == world.web
    assert dora.post("/start", {"project": "default"}).status_code == 404
    assert dora.get("/start?project=secret").status_code == 404


def test_who_makes_no_keys_is_told_whom_to_ask(world: World, ben: Any) -> None:
    page = ben.get("/start")
    assert page.status_code == 200
    assert b"Your role makes no keys" in page.content and b"<form method" not in page.content.split(b"<main", 1)[1]
    assert NO_KEY.encode() in page.content
    assert ben.post("/start", {"project": "web"}).status_code == 403
    assert not ApiKey.objects.filter(name="First spans").exists()


def test_forms_of_other_sites_make_no_key(world: World) -> None:
    from django.test import Client

    web = Client(enforce_csrf_checks=True, raise_request_exception=False)
    web.force_login(world.ada)
    assert web.post("/start", {"project": "web"}).status_code == 403
    assert not ApiKey.objects.filter(name="First spans").exists()


@pytest.mark.parametrize("asked", ["project=web", "project=web&since=now", "project=nope&since=2026-01-01T00:00:00Z",
                                   "project=web&since=2026-01-01T00:00:00Z&key=x"])  # fmt: skip
def test_what_makes_no_sense_is_refused(world: World, ada: Any, asked: str) -> None:
    assert ada.get(f"/start/arrived?{asked}").status_code in (400, 404)


def test_another_ones_key_tells_nothing(world: World, browser_of: Any) -> None:
    """The number in the address is read through the API, which knows whose key it is."""
    other, _ = world.new_key(role=Role.VIEWER)
    dora = browser_of(world.dora)
    answer = dora.get(f"/start/arrived?project=web&since=2026-01-01T00:00:00Z&key={other.pk}")
    assert b"Waiting" in answer.content


def test_a_program_is_its_text(world: World) -> None:
    by_name = {one.name: one.text for one in snippets("http://hub.example:8000/", "ah_x")}
    assert set(by_name) == set(KINDS)
    assert all("ah_x" in text and "http://hub.example:8000" in text and "//v1" not in text for text in by_name.values())
