"""The performance page: its figures are the report's, its states, and what it asks."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import pytest

from apps.console.figures import shown
from tests.support.world import World


def same_question(story: World, url: str) -> Any:
    path, _, query = url.partition("?")
    return story.get(path, **dict(parse_qsl(query))).json(parse_float=Decimal)


@pytest.mark.parametrize("by", ["model", "provider", "environment", "project", "kind"])
def test_shows_the_figures_of_the_report(story: World, ada: Any, by: str) -> None:
    page = ada.get("/performance", {"range": "7d", "by": by})
    said = same_question(story, page.context["report"].url)
    text = page.content.decode()
    assert said["current_period"]["requests"] > 0
    for unit, value in (
        ("ms", said["current_period"]["latency"]["p95_ms"]),
        ("ms", said["current_period"]["ttft"]["p95_ms"]),
        ("rate", said["current_period"]["error_rate"]),
        *(("ms", group["latency"]["p99_ms"]) for group in said["groups"]),
    ):
        assert f">{shown(value, unit)}<" in text
    for group in said["groups"]:
        assert f">{group[by]}</a>" in text


def test_few_requests_are_marked(story: World, ada: Any) -> None:
    rows = ada.get("/performance", {"range": "24h"}).context["rows"]
    assert rows
    assert all(row["few"] == (row["requests"] < 30) for row in rows)


def test_asks_once_and_twice_with_compare(story: World, ada: Any) -> None:
    for address, asked in (("/performance", 1), ("/performance?compare=1", 2), ("/performance?view=trends", 1)):
        page = ada.get(address)
        assert page.status_code == 200, address
        assert [one.status for one in page.wsgi_request.hub_asked] == [200] * asked


def test_the_period_before_is_drawn_beside_this_one(story: World, ada: Any) -> None:
    page = ada.get("/performance", {"range": "24h", "compare": "1"})
    lines = page.context["charts"][0][2].series
    assert lines[-1].dashed
    assert len(lines[-1].values) == len(lines[0].values)
    assert any(value is not None for value in lines[-1].values)


def test_trends_are_told_in_words(story: World, ada: Any) -> None:
    page = ada.get("/performance", {"view": "trends", "range": "7d"})
    said = same_question(story, page.context["trends"].url)
    assert [row["metric"] for row in page.context["rows"]] == [row["metric"] for row in said["data"]]
    assert b"Too little data" in page.content


@pytest.mark.parametrize("query", ["by=color", "view=x", "by=model&colour=1"])
def test_what_the_page_does_not_know_is_refused(world: World, ada: Any, query: str) -> None:
    assert ada.get(f"/performance?{query}").status_code == 400


def test_nothing_is_said_where_nothing_is(world: World, ada: Any) -> None:
    page = ada.get("/performance")
    assert page.status_code == 200
    assert b"Nothing in this range" in page.content
