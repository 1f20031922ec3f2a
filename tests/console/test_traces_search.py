"""Conditions on spans: the page puts them as the API's search, and says the list's filters in the search's words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.world import World

# A condition that every trace fulfils: with it the list is asked as a search.
ALL = {"f1": "start_time", "o1": "gt", "v1": "2000-01-01T00:00:00Z"}


def ids(page: Any) -> list[str]:
    assert page.status_code == 200 and page.context["answer"].ok, page.context["answer"].problem
    return [row["trace_id"] for row in page.context["rows"]]


@pytest.mark.parametrize(
    "filters",
    [
        {"status": "error"},
        {"has_error": "false"},
        {"model": "gpt-4o", "provider": "openai"},
        {"model": "gpt-4o,claude-sonnet-4-5", "kind": "llm"},
        {"user_id": "user-3", "session_id": "session-2,session-1"},
        {"tag": "tier:pro", "name": "answer", "environment": "production"},
        {"min_duration_ms": "2500", "max_duration_ms": "2700", "sort_by": "duration_ms", "sort_order": "asc"},
        {"min_cost": "0.004", "max_tokens": "1500", "sort_by": "total_cost_usd"},
        {"trace_id": f"{7:032x},{9:032x}", "range": "90d"},
        {"search": "refund", "kind": "chain"},
        {"model": "gpt-4o", "kind": "chain"},
    ],
    ids=str,
)
def test_the_search_means_what_the_list_means(story: World, ada: Any, filters: dict[str, str]) -> None:
    asked = {"range": "7d", "limit": "1000", **filters}
    listed = ids(ada.get("/traces", asked))
    page = ada.get("/traces", {**asked, **ALL})
    assert ids(page) == listed != []
    assert [one.path for one in page.wsgi_request.hub_asked] == ["/api/v1/traces/search"]


def test_a_model_is_that_of_a_request_in_both(story: World, ada: Any) -> None:
    wrapper = {"trace_id": "e" * 32, "span_id": "e" * 16, "kind": "agent", "name": "run", "model": "gpt-4o"}
    sent = {**wrapper, "start_time": datetime.now(UTC).isoformat()}
    assert story.send("POST", "/api/v1/traces", sent, key=story.key).json()["accepted"] == 1
    asked = {"range": "7d", "limit": "100", "model": "gpt-4o"}
    assert len(ids(ada.get("/traces", asked))) == len(ids(ada.get("/traces", {**asked, **ALL}))) == 30


def test_how_conditions_go_together(story: World, ada: Any) -> None:
    """Chains have no model, calls take no longer than 1.1 s: no span is both, every trace has both."""
    two = {"f1": "model", "v1": "gpt-4o", "f3": "kind", "o3": "eq", "v3": "chain", "range": "7d", "limit": "100"}
    assert ids(ada.get("/traces", two)) == []
    assert len(ids(ada.get("/traces", {**two, "match": "trace"}))) == 30
    assert len(ids(ada.get("/traces", {**two, "match": "any"}))) == 60


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (("attributes.customer.tier", "eq", "pro"), 30),
        (("attributes.customer.tier", "in", "pro, free"), 60),
        (("ttft_ms", "gte", "170"), 10),
        (("error_type", "", "rate_limit"), 6),
        (("error_type", "", ""), 60),  # some span of every trace has none
        (("billable", "eq", "false"), 60),
        (("text", "search", '"on Monday" -politely'), 60),
        (("total_cost_usd", "lt", "0.0001"), 0),
    ],
    ids=str,
)
def test_values_go_as_their_field_has_them(story: World, ada: Any, row: tuple[str, str, str], expected: int) -> None:
    field, operator, value = row
    page = ada.get("/traces", {"range": "7d", "limit": "100", "f2": field, "o2": operator, "v2": value})
    assert len(ids(page)) == expected


def test_a_wrong_condition_is_told_at_its_row(story: World, ada: Any) -> None:
    page = ada.get("/traces", {"f1": "model", "v1": "x", "f4": "duration_ms", "o4": "gt", "v4": "long"})
    assert [bool(row.error) for row in page.context["conditions"]] == [False, True, False, False, False]
    page = ada.get("/traces", {"f1": "modle", "v1": "x", "match": "trace"})
    assert "Did you mean model?" in page.context["conditions"][0].error
    assert ada.get("/traces", {"f1": "model", "v1": "x", "match": "spam"}).status_code == 400
    page = ada.get("/traces", {"f1": "model", "v1": "x", "min_cost": "cheap"})
    assert page.status_code == 200 and not page.context["answer"].ok


@pytest.mark.parametrize("value", ["1e999999999", "1e5000", "nan", "1" * 400])
def test_a_number_of_any_size_is_told_at_its_row(story: World, ada: Any, value: str) -> None:
    page = ada.get("/traces", {"range": "7d", "f1": "duration_ms", "o1": "gt", "v1": value})
    assert page.status_code == 200 and page.context["answer"].status == 400
    assert page.context["conditions"][0].error


@pytest.mark.parametrize("value", ["1" * 60 + "." + "1" * 13, "1e-400000"])
def test_a_number_of_many_places_is_asked_for(story: World, ada: Any, value: str) -> None:
    page = ada.get("/traces", {"range": "7d", "f1": "duration_ms", "o1": "gt", "v1": value})
    assert page.status_code == 200 and page.context["answer"].status in (200, 400)


def test_pages_of_a_search_lead_through_all(story: World, ada: Any) -> None:
    page, seen = ada.get("/traces", {"range": "7d", "limit": "25", **ALL}), []
    for _ in range(6):
        seen += ids(page)
        if page.context["next"] is None:
            break
        page = ada.get(f"/traces?{page.context['next']}")
    assert len(seen) == 60 == len(set(seen))


def test_chips_take_conditions_away_and_empty_rows_leave_no_trace(story: World, ada: Any) -> None:
    empty = {"o2": "eq", "v2": "", "o3": "eq", "match": "any"}
    page = ada.get("/traces", {"range": "7d", **ALL, **empty})
    (chip,) = page.context["named_filters"]
    assert chip[3] == "range=7d" and "o2" not in page.context["bar"].query()
    assert ids(ada.get(f"/traces?{chip[3]}"))


def test_words_can_be_ordered_by_relevance(story: World, ada: Any) -> None:
    page = ada.get("/traces", {"range": "7d", "search": "refund", "sort_by": "relevance"})
    assert len(ids(page)) == 50 and page.context["rows"][0]["relevance"] > 0
    assert ada.get("/traces", {"range": "7d", "search": "refund"}).content.count(b"Most relevant") == 1


def test_content_is_not_asked_about_by_viewers(story: World, ben: Any) -> None:
    assert len(ids(ben.get("/traces", {"range": "7d", "f1": "kind", "v1": "chain"}))) == 50
    page = ben.get("/traces", {"range": "7d", "f1": "input", "o1": "contains", "v1": "refund"})
    assert page.context["answer"].forbidden and page.context["rows"] == []
