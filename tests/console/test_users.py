"""The users, one user, and why they cost what they cost: the figures are the API's, and the links lead on."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from apps.console.changes import effects_of
from apps.console.figures import shown
from apps.console.people import address_of
from tests.support.world import World

ODD = (
    "a/b/c",
    "with spaces and ünïcödé",
    "x" * 200,
    "q?a=1&b=2#c",
    "50%25",
    "/begins and ends/",
    "back\\slash",
    "<script>alert(1)</script>",
    "dearest",
)


def send(world: World, *users: str, cost: float = 1.0, key: str | None = None, hours: float = 1) -> None:
    """One request for each of these users, each dearer than the one before."""
    begin = datetime.now(UTC) - timedelta(hours=hours)
    spans = [
        {
            "trace_id": f"{number + 1:016x}{int(begin.timestamp() * 1e6):016x}",
            "span_id": f"{number + 1:016x}",
            "name": "chat",
            "kind": "llm",
            "start_time": begin.isoformat(),
            "duration_ms": 900,
            "provider": "openai",
            "model": "gpt-4o",
            "user_id": user,
            "prompt_tokens": 100,
            "completion_tokens": 10,
            "cost_usd": cost * (number + 1),
        }
        for number, user in enumerate(users)
    ]
    answer = world.send("POST", "/api/v1/traces", {"spans": spans}, key=key or world.key)
    assert answer.json()["rejected"] == [], answer.content


def said(world: World, url: str) -> Any:
    """What anybody gets who asks the question of a page."""
    parts = urlsplit(url)
    return world.get(parts.path, **dict(parse_qsl(parts.query))).json(parse_float=Decimal)


def test_the_list_is_the_api_s(story: World, ada: Any) -> None:
    page = ada.get("/users", {"range": "7d", "sort_by": "requests"})
    rows = said(story, page.context["listed"].url)["data"]
    assert [row["user_id"] for row in page.context["rows"]] == [row["user_id"] for row in rows]
    assert len(rows) == 5
    text = page.content.decode()
    for row in rows:
        assert f'href="/users/{row["user_id"]}?range=7d"' in text
        assert f">{shown(row['total_cost_usd'], 'usd')}<" in text
    assert 'aria-sort="descending"' in text


def test_the_list_is_cut_into_pages(world: World, ada: Any) -> None:
    send(world, *(f"person-{number:03}" for number in range(120)))
    found: list[str] = []
    address = "/users"
    for _ in range(5):
        page = ada.get(address)
        found += [row["user_id"] for row in page.context["rows"]]
        if not page.context["pagination"]["has_more"]:
            break
        address = "/users?" + page.context["bar"].query(cursor=page.context["pagination"]["next_cursor"])
    assert found == [f"person-{number:03}" for number in reversed(range(120))]
    assert [row["user_id"] for row in ada.get("/users?search=person-00").context["rows"]][:2] == [
        "person-009",
        "person-008",
    ]
    assert b"No user&#x27;s id begins so" in ada.get("/users?search=nobody").content


def test_a_model_s_users_are_those_of_its_costs(story: World, ada: Any) -> None:
    page = ada.get("/users", {"range": "7d", "model": "gpt-4o"})
    answer = story.get("/api/v1/costs/breakdown", by="user", model="gpt-4o").json(parse_float=Decimal)
    costs = {row["value"]: row["total_cost_usd"] for row in answer["data"]}
    assert {row["user_id"]: row["total_cost_usd"] for row in page.context["rows"]} == costs
    whole = said(story, ada.get("/users?range=7d").context["listed"].url)["data"]
    assert 0 < sum(costs.values()) < sum(row["total_cost_usd"] for row in whole)


def test_the_period_before_stands_beside(world: World, ada: Any) -> None:
    send(world, "ann", "bob", hours=1)
    send(world, "bob", cost=0.5, hours=30)
    for address in ("/users?compare=1", "/users?compare=1&model=gpt-4o"):
        rows = {row["user_id"]: row for row in ada.get(address).context["rows"]}
        assert (rows["bob"]["before"], rows["bob"]["change"]) == (Decimal("0.5"), 300)
        assert (rows["ann"]["before"], rows["ann"]["change"]) == (0, None)


@pytest.mark.parametrize("user", ODD)
def test_an_id_may_be_any_text(world: World, ada: Any, user: str) -> None:
    send(world, "other", user)
    listed = ada.get("/users")
    link = next(part for part in _links(listed) if part.startswith("/users/") and "other" not in part)
    page = ada.get(link)
    assert page.context["user_id"] == user
    assert page.context["now"]["requests"] == 1
    assert page.context["rank"]["place"] == 1
    assert float(page.context["rank"]["share"]) == pytest.approx(2 / 3)
    assert b"<script>alert" not in page.content


def _links(page: Any) -> list[str]:
    return [unescape(part.partition('"')[0]) for part in page.content.decode().split('href="')[1:]]


@pytest.mark.parametrize("user", ["..", "a/../b", "./x", "two\nlines"])
def test_an_id_that_no_address_can_hold_leads_to_the_list(user: str) -> None:
    assert address_of(user, None, costs=True).startswith("/users?user_id=")
    assert address_of(user, None, costs=False).startswith("/traces?user_id=")


def test_an_id_with_a_comma_is_not_taken_for_two(world: World, ada: Any) -> None:
    send(world, "a", "b", "a,b")
    assert b"cannot be asked for" in ada.get("/users/a,b").content
    before = {row["user_id"]: row["before"] for row in ada.get("/users?compare=1").context["rows"]}
    assert before == {"a": 0, "b": 0, "a,b": None}


def test_a_user_s_page_says_what_the_api_says(story: World, ada: Any) -> None:
    page = ada.get("/users/user-1", {"range": "7d"})
    change = said(story, page.context["changed"].url)
    assert page.context["now"] == change["current_period"]
    assert sum(row["value"] for row in page.context["effects"]) == change["change"]["change_usd"]
    users = story.get("/api/v1/costs/breakdown", by="user").json(parse_float=Decimal)
    costs = [row["total_cost_usd"] for row in users["data"]]
    mine = change["current_period"]["total_cost_usd"]
    assert page.context["rank"]["place"] == 1 + sum(cost > mine for cost in costs)
    assert page.context["rank"]["share"] == mine / users["totals"]["total_cost_usd"]
    models = {row["model"]: row["current_cost_usd"] for row in page.context["rows"]}
    assert sum(models.values()) == mine
    traces = story.get("/api/v1/traces", user_id="user-1", sort_by="total_cost_usd", limit=10).json()["data"]
    assert [row["trace_id"] for row in page.context["traces"].data] == [row["trace_id"] for row in traces]
    assert f'href="/traces/{traces[0]["trace_id"]}?' in page.content.decode()


def test_from_the_overview_to_why_a_user_cost_most_yesterday(story: World, ada: Any) -> None:
    """The walk of docs/pages.md after the sign-in: each address is taken from the page before."""
    yesterday = "range=yesterday"
    assert b'<option value="yesterday"' in ada.get("/overview").content
    part = next(link for link in _loaded(ada.get(f"/overview?{yesterday}")) if "users" in link)
    rows = ada.get(part)
    address = next(link for link in _links(rows) if link.startswith("/users/"))
    page = ada.get(address)
    costs = said(story, rows.context["found"].url)["data"]
    assert page.context["user_id"] == costs[0]["user_id"]
    assert page.context["now"]["total_cost_usd"] == costs[0]["total_cost_usd"]
    assert page.context["rank"]["place"] == 1
    assert b"In this range this user cost" in page.content


def _loaded(page: Any) -> list[str]:
    return [unescape(part.partition('"')[0]) for part in page.content.decode().split('hx-get="')[1:]]


def test_who_is_not_there_is_told_without_a_figure(world: World, ada: Any) -> None:
    send(world, "cleo-s-user", key=world.zenith_key)
    for user in ("cleo-s-user", "nobody-here"):  # another tenant's is nobody
        text = ada.get(f"/users/{user}").content
        assert b"No requests of this user in this range" in text
        assert b'class="tile-value"' not in text


def test_another_user_in_the_bar_is_another_page(story: World, ada: Any) -> None:
    answer = ada.get("/users/user-1?range=7d&user_id=user-2&model=gpt-4o")
    assert answer["Location"] == "/users/user-2?range=7d&model=gpt-4o"


def test_no_page_asks_the_engine_more_than_three_times(story: World, ada: Any) -> None:
    engine = ("metrics", "costs", "performance", "users", "models", "sessions")
    for address in ("/users?compare=1", "/users?model=gpt-4o&compare=1", "/users/user-1?range=7d", "/overview/users"):
        asked = ada.get(address).wsgi_request.hub_asked
        assert sum(one.path.split("/")[3] in engine for one in asked) <= 3, address


def test_roles_get_what_they_may_see(story: World, ben: Any, browser_of: Any) -> None:
    """A viewer sees users, no costs of a model; billing sees costs, no traces."""
    viewer = ben.get("/users?range=7d")
    assert 'href="/traces?range=7d&amp;user_id=user-1"' in viewer.content.decode()
    assert b"costs:read" in ben.get("/users?model=gpt-4o").content
    billing = browser_of(story.new_person("bill@acme.example", "billing"))
    assert len(billing.get("/users?range=7d").context["rows"]) == 5
    assert b"Traces are not open to you." in billing.get("/users/user-1?range=7d").content
    from apps.orgs.models import AuditEntry

    assert not AuditEntry.objects.filter(action__contains="denied").exists()


def test_effects_are_told_by_their_size() -> None:
    found = effects_of({"volume_usd": Decimal("-3"), "mix_usd": Decimal(1), "price_usd": Decimal(0)})
    assert [(row["label"], row["text"], row["width"]) for row in found] == [
        ("Volume", "fewer requests", "100.00"),
        ("Mix", "a greater part of them to dearer models", "33.33"),
        ("Price", "no change", "0.00"),
    ]


def test_a_part_of_a_page_sends_nobody_s_page_to_sign_in(world: World, web: Any) -> None:
    answer = web.get("/overview/users", headers={"HX-Request": "true"})
    assert (answer.status_code, answer["HX-Refresh"], answer.content) == (200, "true", b"")


def test_the_overview_names_the_dearest_users(story: World, ada: Any) -> None:
    part = ada.get("/overview/users?range=7d")
    rows = story.get("/api/v1/users", limit=5).json()["data"]
    assert [row["user_id"] for row in part.context["rows"]] == [row["user_id"] for row in rows]
    assert b"<html" not in part.content
    assert ada.get("/overview").content.count(b'hx-get="/overview/users') == 1


def test_a_user_without_a_known_cost_is_told_so_instead_of_changes_of_nothing(world: World, ada: Any) -> None:
    begin = (datetime.now(UTC) - timedelta(minutes=9)).isoformat()
    span = {"name": "chat", "kind": "llm", "provider": "p" * 200, "model": "m" * 200, "user_id": "ida"}
    sent = {"spans": [{**span, "start_time": begin, "duration_ms": 5, "prompt_tokens": 3}]}
    assert world.send("POST", "/api/v1/traces", sent, key=world.key).json()["accepted"] == 1
    text = ada.get("/users/ida").content.decode()
    assert "is not known: none of" in text
    assert "add up to the change" not in text
    assert re.search(r'<span class="[^"]*long[^"]*"[^>]*>p{200}</span>', text)  # cut, so that the figures stay in sight
