"""The overview, its states, and that its figures are the API's."""

from __future__ import annotations

import re
from decimal import Decimal
from html import unescape
from typing import Any
from urllib.parse import parse_qsl

from apps.console.figures import shown
from tests.support.world import World


def test_shows_the_figures_of_the_api(story: World, ada: Any) -> None:
    page = ada.get("/overview", {"range": "7d"})
    assert page.status_code == 200
    summary = page.context["summary"]
    said = story.get(summary.url.partition("?")[0], **_query(summary.url)).json(parse_float=Decimal)
    assert said["current_period"] == summary.document["current_period"]
    text = page.content.decode()
    for field, unit in (("total_cost_usd", "usd"), ("total_requests", "count"), ("error_rate", "rate")):
        assert f">{shown(said['current_period'][field], unit)}<" in text


def _query(url: str) -> dict[str, str]:
    return dict(parse_qsl(url.partition("?")[2]))


def test_asks_the_engine_three_times_at_most(story: World, ada: Any) -> None:
    for address in ("/overview", "/overview?compare=1"):
        asked = [one.path.split("/")[3] for one in ada.get(address).wsgi_request.hub_asked]
        assert asked.count("metrics") == len(asked) - asked.count("budgets") <= 3


def test_an_empty_hub_leads_to_the_first_span(world: World, ada: Any) -> None:
    assert b"Send the first span" in ada.get("/overview").content


def test_strangers_are_sent_to_sign_in_and_back(world: World, web: Any) -> None:
    answer = web.get("/overview?range=7d")
    assert answer.status_code == 302
    assert answer["Location"] == "/login?next=%2Foverview%3Frange%3D7d"


def test_a_mistyped_filter_is_refused(story: World, ada: Any) -> None:
    page = ada.get("/overview?modle=gpt-4o")
    assert page.status_code == 400
    assert b"Did you mean model?" in page.content
    assert b'href="/overview"' in page.content


def test_a_hidden_project_is_told_in_the_panels(world: World, browser_of: Any) -> None:
    page = browser_of(world.dora).get("/overview?project=default")
    assert page.status_code == 200
    assert b"The project is outside your membership." in page.content


def test_what_breaks_leaves_the_rest_of_the_page(story: World, ada: Any, monkeypatch: Any) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("a secret of ours")

    monkeypatch.setattr("apps.metrics.api.series.summarize", broken)
    page = ada.get("/overview?range=7d", headers={"Cache-Control": "no-cache"})
    text = page.content.decode()
    assert page.status_code == 200
    assert "This part could not be answered" in text
    assert "a secret of ours" not in text
    assert not page.context["cost_chart"].empty


def test_a_range_without_requests_names_the_newest_trace(story: World, ada: Any) -> None:
    begin, end = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
    page = ada.get("/overview", {"start_time": begin, "end_time": end})
    newest = story.get("/api/v1/traces", limit=1).json()["data"][0]
    assert page.context["newest"]["start_time"].isoformat()[:19] == newest["start_time"][:19]
    assert b"Send the first span" not in page.content
    around = ada.get("/overview" + page.context["newest"]["around"])
    assert around.context["summary"].document["current_period"]["total_requests"] > 0


def test_filters_that_nothing_matches_can_be_removed(story: World, ada: Any) -> None:
    page = ada.get("/overview?range=7d&model=nothing&tz=Europe/Berlin")
    assert b"Nothing matches the filters" in page.content
    assert page.context["newest"]["plain"] == "?range=7d&tz=Europe%2FBerlin"


def test_one_page_is_in_one_zone_whatever_the_browser_says(story: World, ada: Any) -> None:
    ada.cookies["hub_tz"] = "Europe/Berlin"
    body = ada.get("/overview?range=yesterday&tz=UTC").content.decode().partition("<main")[2]
    links = [unescape(link) for link in re.findall(r'(?:href|hx-get)="(/[^"]*\?[^"]*)"', body) if "/api/" not in link]
    assert links
    assert {dict(parse_qsl(link.partition("?")[2])).get("tz") for link in links} == {"UTC"}


def test_a_part_that_follows_is_in_the_zone_of_its_page(story: World, ada: Any) -> None:
    first = ada.get("/overview?range=yesterday").content.decode()
    (late,) = re.findall(r'hx-get="(/overview/users[^"]*)"', first)
    ada.cookies["hub_tz"] = "Europe/Berlin"  # the first page's script has written it meanwhile
    assert ada.get(unescape(late)).context["bar"].zone == "UTC"


def test_an_address_of_too_many_parameters_is_refused(world: World, ada: Any) -> None:
    page = ada.get("/overview?" + "&".join(f"a{number}=1" for number in range(2_000)))
    assert page.status_code == 400
    assert b'href="/overview"' in page.content
