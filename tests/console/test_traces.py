"""The list of traces: it asks what the address says, pages on, and leads to each trace."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import pytest

from apps.traces.api.traces import LIST_PARAMETERS
from tests.support.world import World


def ids(page: Any) -> list[str]:
    return [row["trace_id"] for row in page.context["rows"]]


def asked(page: Any) -> dict[str, str]:
    return dict(parse_qsl(page.context["answer"].url.partition("?")[2]))


@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"status": "error"},
        {"has_error": "false", "model": "gpt-4o"},
        {"user_id": "user-3", "sort_by": "total_cost_usd"},
        {"session_id": "session-2"},
        {"tag": "tier:pro", "kind": "chain", "name": "answer"},
        {"min_duration_ms": "2500", "max_duration_ms": "2700", "sort_by": "duration_ms", "sort_order": "asc"},
        {"min_cost": "0.004", "max_tokens": "1500"},
        {"search": "refund"},
        {"provider": "anthropic,openai", "environment": "production"},
    ],
    ids=str,
)
def test_shows_what_the_api_answers(story: World, ada: Any, filters: dict[str, str]) -> None:
    page = ada.get("/traces", {"range": "7d", **filters})
    assert page.status_code == 200
    said = story.get("/api/v1/traces", **asked(page)).json()
    assert ids(page) == [row["trace_id"] for row in said["data"]] != []
    assert filters.items() <= asked(page).items()
    for row in said["data"]:
        assert f"/traces/{row['trace_id']}".encode() in page.content


def test_takes_every_parameter_of_the_list(story: World, ada: Any) -> None:
    from apps.console.bar import NAMES
    from apps.console.pages.traces import OWN

    # `fields` and `include_total` say what an answer holds, not which traces are meant.
    assert set(LIST_PARAMETERS) - {"fields", "include_total"} <= {*NAMES, *OWN}


def test_next_pages_lead_through_all_and_repeat_none(story: World, ada: Any) -> None:
    page, seen = ada.get("/traces?range=7d&limit=25&has_error=false"), []
    for _ in range(9):
        seen += ids(page)
        if page.context["next"] is None:
            break
        # A cursor is of one question: a range that moves on with the clock would make it stale.
        assert "range=custom&start_time=" in page.context["next"]
        page = ada.get(f"/traces?{page.context['next']}")
        assert page.status_code == 200 and page.context["answer"].ok
    whole = ada.get("/traces?range=7d&limit=1000&has_error=false")
    assert seen == ids(whole) and len(seen) == 54


def test_a_chip_drops_its_filter_and_the_place_of_the_page(story: World, ada: Any) -> None:
    first = ada.get("/traces?range=7d&limit=10&kind=llm&model=gpt-4o")
    second = ada.get(f"/traces?{first.context['next']}")
    without = {name: query for name, _, _, query in second.context["named_filters"]}
    assert set(without) == {"kind", "model"}
    page = ada.get(f"/traces?{without['kind']}")
    assert page.context["answer"].ok and "cursor" not in asked(page) and "kind" not in asked(page)


def test_who_names_a_trace_means_it_whenever_it_was(story: World, ada: Any) -> None:
    page = ada.get("/traces", {"trace_id": f"{60:032x}"})  # three days ago; the bar's range is a day
    assert ids(page) == [f"{60:032x}"]
    assert ids(ada.get("/traces", {"trace_id": f"{60:032x}", "range": "1h"})) == []


def test_a_page_stays_light_with_the_longest_names(world: World, ada: Any) -> None:
    long = {name: name[0] * 200 for name in ("name", "model", "provider", "user_id", "session_id", "environment")}
    sent = [
        {
            **long,
            "trace_id": f"{n:032x}",
            "span_id": f"{n:016x}",
            "kind": "llm",
            "start_time": datetime.now(UTC).isoformat(),
        }
        for n in range(1, 121)
    ]
    assert world.send("POST", "/api/v1/traces", {"spans": sent}, key=world.key).json()["rejected"] == []
    page = ada.get("/traces?limit=1000")
    assert len(ids(page)) == 100 and len(page.content) < 230_000
    assert len(ids(ada.get(f"/traces?{page.context['next']}"))) == 20


def test_an_empty_list_says_so(world: World, ada: Any) -> None:
    assert b"No traces" in ada.get("/traces").content


def test_a_viewer_may_filter_but_not_search(story: World, ben: Any) -> None:
    page = ben.get("/traces?range=7d")
    assert page.status_code == 200 and b'type="search"' not in page.content
    refused = ben.get("/traces?range=7d&search=refund")
    assert refused.status_code == 200 and b"traces:content" in refused.content and ids(refused) == []


def test_no_row_of_others(story: World, ada: Any) -> None:
    foreign = {"trace_id": "f" * 32, "span_id": "f" * 16, "name": "secret", "start_time": datetime.now(UTC).isoformat()}
    assert story.send("POST", "/api/v1/traces", foreign, key=story.zenith_key).json()["accepted"] == 1
    assert ada.get(f"/traces/{'f' * 32}").status_code == 404
    assert {row["project"] for row in ada.get("/traces?range=90d&limit=1000").context["rows"]} == {"default"}
