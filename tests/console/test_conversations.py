"""Conversations: the report's figures, the list and its pages, one conversation with what was said, foreign ones."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, quote

import pytest

from apps.console.figures import shown
from apps.console.said import said
from tests.support.world import World

ODD = "a/b c?d#é😀%2F"


def span(trace: int, number: int, minutes: float, **more: Any) -> dict[str, Any]:
    begin = datetime.now(UTC) - timedelta(minutes=minutes)
    return {
        "trace_id": f"{trace:032x}",
        "span_id": f"{trace * 100 + number:016x}",
        "name": "chat",
        "kind": "llm",
        "start_time": begin.isoformat(),
        "duration_ms": 500,
        **more,
    }


def send(world: World, *spans: dict[str, Any], key: str | None = None) -> None:
    answer = world.send("POST", "/api/v1/traces", {"spans": list(spans)}, key=key or world.key)
    assert answer.json()["rejected"] == [], answer.content


def test_shows_the_figures_of_the_report(story: World, ada: Any) -> None:
    page = ada.get("/conversations", {"range": "7d"})
    url = page.context["report"].url
    asked = dict(parse_qsl(url.partition("?")[2]))
    said_ = story.get("/api/v1/metrics/conversations", **asked).json(parse_float=Decimal)["current_period"]
    text = page.content.decode()
    assert said_["conversations"] == len(page.context["rows"]) == 20
    for unit, value in (
        ("count", said_["turns"]["avg"]),
        ("ms", said_["duration_ms"]["p95"]),
        ("usd", said_["cost_usd"]["avg"]),
        ("rate", said_["abandonment"]["rate"]),
    ):
        assert f">{shown(value, unit)}<" in text


def test_asks_the_engine_once(story: World, ada: Any) -> None:
    page = ada.get("/conversations")
    assert [(one.path, one.status) for one in page.wsgi_request.hub_asked] == [
        ("/api/v1/metrics/conversations", 200),
        ("/api/v1/sessions", 200),
    ]


def test_pages_go_on_over_the_same_range_and_order(world: World, ada: Any) -> None:
    send(world, *(span(number, 1, number, session_id=f"s{number:02}") for number in range(1, 41)))
    first = ada.get("/conversations", {"sort_by": "last_activity"})
    fixed = dict(parse_qsl(first.context["next"]))
    assert {name: fixed.get(name) for name in ("start_time", "end_time")} == first.context["bar"].period()
    second = ada.get("/conversations?" + first.context["next"])
    assert second.context["answer"].ok, second.context["answer"].problem
    ids = [row["session_id"] for page in (first, second) for row in page.context["rows"]]
    assert ids == [f"s{number:02}" for number in range(1, 41)]
    assert second.context["next"] is None


def test_filters_of_conversations(story: World, ada: Any) -> None:
    wrong = ada.get("/conversations", {"range": "7d", "has_error": "true"}).context["rows"]
    right = ada.get("/conversations", {"range": "7d", "has_error": "false"}).context["rows"]
    assert wrong
    assert all(row["has_error"] for row in wrong)
    assert len(wrong) + len(right) == 20
    assert b"Filters (1)" in ada.get("/conversations", {"min_turns": "3"}).content


def test_filters_that_would_cut_conversations_apart_are_told(story: World, ada: Any) -> None:
    page = ada.get("/conversations", {"range": "7d", "model": "gpt-4o"})
    assert len(page.context["rows"]) == 20
    assert b"not filtered by model" in page.content


def test_one_conversation_says_what_was_said(story: World, ada: Any) -> None:
    page = ada.get("/conversations/session-2")
    text = page.content.decode()
    assert page.status_code == 200
    assert [row["number"] for row in page.context["turns"]] == [1, 2, 3]
    assert text.count("Where is my refund?") == 3
    assert text.count("It was sent on Monday.") == 3
    document = story.get("/api/v1/sessions/session-2").json(parse_float=Decimal)["data"]
    assert f">{shown(document['total_cost_usd'], 'usd')}<" in text
    for row in document["traces"]:
        assert f'href="/traces/{row["trace_id"]}' in text


def test_texts_are_for_those_who_may_read_them(story: World, ben: Any) -> None:
    page = ben.get("/conversations/session-2")
    assert page.status_code == 200
    assert b"refund" not in page.content
    assert b"<code>traces:content</code>" in page.content
    assert len(page.wsgi_request.hub_asked) == 1
    part = ben.get(f"/conversation-turns/{7:032x}")
    assert part.status_code == 200
    assert b"refund" not in part.content


def test_further_turns_come_when_they_are_scrolled_to(world: World, ada: Any) -> None:
    texts = {"input": "Question?", "output": "Answer."}
    send(world, *(span(number, 1, 60 - number, session_id="long", **texts) for number in range(1, 26)))
    page = ada.get("/conversations/long")
    assert page.content.count(b"Question?") == 3
    assert page.content.count(b'hx-trigger="revealed"') == 17
    assert len(page.wsgi_request.hub_asked) == 4
    part = ada.get(f"/conversation-turns/{20:032x}", {"of": "default"})
    assert b"Question?" in part.content
    assert b"<html" not in part.content
    further = ada.get("/conversations/long?" + page.context["next"])
    assert [row["number"] for row in further.context["turns"]] == [21, 22, 23, 24, 25]


@pytest.mark.parametrize("name", [ODD, "a/../b", "x" * 200])
def test_any_id_has_its_page(world: World, ada: Any, name: str) -> None:
    send(world, span(1, 1, 5, session_id=name, input="Hello"))
    listed = ada.get("/conversations").content.decode()
    href = f"/conversations/{quote(name, safe='')}"  # of a bare slash and dots a browser makes another address
    assert f'href="{href}' in listed
    page = ada.get(href)
    assert page.status_code == 200
    assert page.context["one"]["session_id"] == name
    assert b"Hello" in page.content


def test_one_of_two_projects_is_chosen(world: World, ada: Any) -> None:
    send(world, span(1, 1, 5, session_id="both"))
    answer = world.send(
        "POST",
        "/api/v1/traces",
        {"spans": [span(2, 1, 5, session_id="both")]},
        key=world.wide_key,
        **{"X-Project": "web"},
    )
    assert answer.json()["rejected"] == []
    page = ada.get("/conversations/both")
    assert page.context["named"] == ["default", "web"]
    assert ada.get("/conversations/both", {"of": "web"}).context["one"]["project"] == "web"
    assert "of=web" in ada.get("/conversations").content.decode()


def test_others_conversations_are_not_there(story: World, browser_of: Any) -> None:
    from apps.orgs.models import Membership

    cleo = story.new_person("stranger@acme.example")
    Membership.objects.filter(user=cleo).update(organization=story.zenith)
    web = browser_of(cleo)
    assert web.get("/conversations/session-2").status_code == 404
    assert b"refund" not in web.get("/conversations/session-2").content
    assert b"refund" not in web.get(f"/conversation-turns/{7:032x}").content
    assert web.get("/conversations").context["rows"] == []


def test_nothing_at_all(world: World, ada: Any) -> None:
    page = ada.get("/conversations")
    assert page.status_code == 200
    assert b"No conversations" in page.content
    assert ada.get("/conversations/none").status_code == 404


CHAT = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "One?"},
    {"role": "assistant", "content": "One."},
    {"role": "user", "content": "Two?"},
]


def of(*spans: dict[str, Any], root: str = "r") -> dict[str, Any]:
    made = [
        {"kind": "llm", "status": "ok", "start_time": str(place), "span_id": f"s{place}", **one}
        for place, one in enumerate(spans)
    ]
    return {"root_span_id": root, "content_visible": True, "spans": made}


def test_the_root_speaks_first_and_else_the_models() -> None:
    spoken = said(
        of({"span_id": "r", "kind": "chain", "input": "root"}, {"input": "call", "output": "first"}, {"output": "last"})
    )
    assert spoken.question is not None
    assert spoken.answer is not None
    assert spoken.question.messages[0].pieces[0].head == "root"
    assert spoken.answer.messages[0].pieces[0].head == "last"


def test_messages_that_were_sent_along_again_are_counted_only() -> None:
    spoken = said(of({"input": json.dumps(CHAT), "output": None}))
    assert spoken.question is not None
    assert [message.pieces[0].head for message in spoken.question.messages] == ["Two?"]
    assert spoken.earlier == 3


def test_silence_and_errors_are_told_apart() -> None:
    assert said(of({"kind": "tool"})).silent
    failed = {"status": "error", "error_type": "timeout", "error_message": "too slow"}
    spoken = said(of(failed, failed, {**failed, "error_message": None}))
    assert not spoken.silent
    assert spoken.errors == [("timeout", "too slow"), ("timeout", "")]
