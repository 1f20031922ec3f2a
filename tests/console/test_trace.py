"""One trace: its rows, its parts, and who sees what of it."""

from __future__ import annotations

from typing import Any

from tests.support.world import World

TRACE = f"{10:032x}"  # the tenth of the story: a chain and two calls, all of them failed


def test_shows_the_spans_and_figures_of_the_api(story: World, ada: Any) -> None:
    page = ada.get(f"/traces/{TRACE}")
    assert page.status_code == 200
    said = story.get(f"/api/v1/traces/{TRACE}").json()
    assert [row.span["span_id"] for row in page.context["picture"].rows] == [one["span_id"] for one in said["spans"]]
    assert page.context["trace"]["totals"].keys() == said["totals"].keys()
    assert len(page.wsgi_request.hub_asked) == 1


def test_the_parts_of_time_and_money_are_the_whole(story: World, ada: Any) -> None:
    context = ada.get(f"/traces/{TRACE}").context
    totals = context["trace"]["totals"]
    assert sum(part.value for part in context["cost_parts"]) == totals["total_cost_usd"]
    assert sum(part.value for part in context["time_parts"]) == totals["duration_ms"]


def test_begins_with_the_span_where_the_error_began(story: World, ada: Any) -> None:
    page = ada.get(f"/traces/{TRACE}")
    assert page.context["span"]["depth"] == 1 and page.context["span"]["status"] == "error"
    assert b"rate_limit" in page.content and b"Too many requests" in page.content
    assert ada.get(f"/traces/{11:032x}").context["span"]["depth"] == 0


def test_htmx_gets_the_chosen_span_alone(story: World, ada: Any) -> None:
    address = f"/traces/{TRACE}?span={9 * 8 + 2:016x}"
    part = ada.get(address, headers={"HX-Request": "true", "HX-Target": "span"})
    assert part.content.lstrip().startswith(b"<section") and b"<html" not in part.content
    restored = {"HX-Request": "true", "HX-Target": "span", "HX-History-Restore-Request": "true"}
    assert b"<html" in ada.get(address, headers=restored).content


def test_what_is_not_there_is_404_and_what_is_twice_is_asked_for(story: World, ada: Any, browser_of: Any) -> None:
    assert ada.get(f"/traces/{'e' * 32}").status_code == 404
    assert browser_of(story.cleo).get(f"/traces/{TRACE}").status_code == 404  # another tenant's
    assert browser_of(story.dora).get(f"/traces/{TRACE}").status_code == 404  # of a project that she does not see
    span = story.get(f"/api/v1/traces/{TRACE}").json()["spans"][0]
    twin = {"trace_id": TRACE, "span_id": "a" * 16, "name": "twin", "start_time": span["start_time"]}
    story.send("POST", "/api/v1/traces", twin, key=story.wide_key, **{"X-Project": "web"})
    page = ada.get(f"/traces/{TRACE}")
    assert page.status_code == 400 and b"?of=web" in page.content
    assert ada.get(f"/traces/{TRACE}?of=web").context["trace"]["name"] == "twin"
