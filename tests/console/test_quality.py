"""Quality and single scores: the report's figures, what a role may not see, and what each score judges."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import unescape
from typing import Any
from urllib.parse import parse_qsl

import pytest

from apps.console.figures import shown
from tests.support.world import World

SESSION = "a/b c?d#e%f"


@pytest.fixture
def judged(story: World) -> World:
    """The story, and what was said of it: numbers, yes and no, categories."""
    now = datetime.now(UTC) - timedelta(minutes=10)
    scores = [
        {"trace_id": f"{number:032x}", "name": "relevance", "value": number / 10, "timestamp": now.isoformat()}
        for number in range(1, 9)
    ]
    scores += [{"trace_id": f"{number:032x}", "name": "grounded", "value": number != 2} for number in range(1, 5)]
    scores += [{"session_id": SESSION, "name": "tone", "value": tone} for tone in ("polite", "polite", "curt")]
    assert story.send("POST", "/api/v1/scores", {"scores": scores}, key=story.key).status_code == 200
    return story


def test_shows_the_figures_of_the_report(judged: World, ada: Any) -> None:
    page = ada.get("/quality", {"range": "7d"})
    said = judged.get("/api/v1/metrics/quality", **dict(parse_qsl(page.context["report"].url.partition("?")[2]))).json(
        parse_float=Decimal
    )
    text = page.content.decode()
    assert f">{shown(said['current_period']['error_rate'], 'rate')}<" in text
    for row in said["most_common_errors"]:
        assert f">{row['error_type']}</a>" in text
        assert row["sample_message"] in text
    figures = {row["name"]: (row["value"], row["says"]) for row in page.context["scores"]}
    by_name = {row["name"]: row for row in said["scores"]}
    assert figures == {
        "relevance": (by_name["relevance"]["numeric"]["avg"], "mean"),
        "grounded": (by_name["grounded"]["boolean"]["true_share"], "yes"),
        "tone": (by_name["tone"]["categorical"]["distribution"][0]["share"], "polite"),
    }
    assert figures["grounded"][0] == Decimal("0.75")
    assert ">few<" in text


def test_texts_of_errors_are_for_those_who_may_read_them(judged: World, ada: Any, ben: Any) -> None:
    assert b"Too many requests" in ada.get("/quality", {"range": "7d"}).content
    page = ben.get("/quality", {"range": "7d"})
    assert b"Too many requests" not in page.content
    assert b"<code>traces:content</code>" in page.content


def test_asks_once_and_twice_with_compare(story: World, ada: Any) -> None:
    for address, asked in (("/quality", 1), ("/quality?compare=1", 2)):
        page = ada.get(address)
        assert page.status_code == 200
        assert [one.status for one in page.wsgi_request.hub_asked] == [200] * asked


def test_nothing_and_nothing_wrong_are_told_apart(story: World, ada: Any) -> None:
    good = ada.get("/quality", {"range": "1h"}).content  # the newest hour of the story has no error
    assert b"No request failed in this range." in good
    assert b"No request failed" not in ada.get("/quality", {"model": "nothing"}).content


def test_single_scores_lead_to_what_they_judge(judged: World, ada: Any) -> None:
    page = ada.get("/quality/scores")
    text = page.content.decode()
    assert len(page.context["rows"]) == 15
    assert f'href="/traces/{1:032x}' in text
    assert 'href="/conversations/a%2Fb%20c%3Fd%23e%25f' in text


def test_single_scores_are_filtered_by_value(judged: World, ada: Any) -> None:
    page = ada.get("/quality/scores", {"name": "relevance", "max_value": "0.3", "source": "api"})
    assert sorted(row["value"] for row in page.context["rows"]) == [Decimal(text) for text in ("0.1", "0.2", "0.3")]
    assert b"At most: 0.3" in page.content


def test_pages_of_scores_go_on_over_the_same_range(judged: World, ada: Any) -> None:
    more = [{"trace_id": f"{1:032x}", "name": "more", "value": number} for number in range(60)]
    assert judged.send("POST", "/api/v1/scores", {"scores": more}, key=judged.key).status_code == 200
    first = ada.get("/quality/scores", {"name": "more"})
    fixed = dict(parse_qsl(first.context["next"]))
    assert {name: fixed.get(name) for name in ("start_time", "end_time")} == first.context["bar"].period()
    second = ada.get("/quality/scores?" + first.context["next"])
    assert second.context["answer"].ok, second.context["answer"].problem
    values = [row["value"] for page in (first, second) for row in page.context["rows"]]
    assert sorted(values) == list(range(60))
    assert second.context["next"] is None
    assert second.context["first"] is not None


def test_filters_that_scores_do_not_have_are_told(judged: World, ada: Any) -> None:
    page = ada.get("/quality/scores", {"model": "gpt-4o"})
    assert page.context["answer"].ok
    assert b"not filtered by model" in page.content
    assert b"must be" in ada.get("/quality/scores", {"min_value": "much"}).content


@pytest.mark.parametrize("path", ["/overview", "/quality"])
def test_an_error_leads_to_the_traces_that_have_it(story: World, ada: Any, path: str) -> None:
    odd = 'odd, "type" / 50%25 🎉'
    begin = (datetime.now(UTC) - timedelta(minutes=3)).isoformat()
    span = {"trace_id": f"{9_000:032x}", "span_id": f"{9_000:016x}", "name": "chat", "kind": "llm", "status": "error"}
    sent = {"spans": [{**span, "start_time": begin, "duration_ms": 5, "error_type": odd}]}
    assert story.send("POST", "/api/v1/traces", sent, key=story.key).json()["accepted"] == 1
    text = ada.get(path, {"range": "7d"}).content.decode()
    links = dict(re.findall(r'<a class="long" href="(/traces\?[^"]*f1=error_type[^"]*)">([^<]*)</a>', text))
    found = {
        unescape(name): {row["trace_id"] for row in ada.get(unescape(link)).context["rows"]}
        for link, name in links.items()
    }
    assert found[odd] == {f"{9_000:032x}"}
    assert len(found["rate_limit"]) == 6
