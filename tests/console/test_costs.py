"""The pages about money: their figures are the API's, they add up, and their links lead to what is behind them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from apps.console.figures import shown
from apps.console.pages.costs import DIVISIONS
from apps.console.pages.outlook import judged
from tests.support.world import World

PAGES = ("/costs", "/costs/by", "/costs/change", "/costs/forecast", "/costs/unpriced", "/costs/budgets")
ENGINE = ("metrics", "costs", "performance", "users", "models", "sessions")


def said(world: World, url: str) -> Any:
    """What anybody gets who asks the question of a page."""
    parts = urlsplit(url)
    return world.get(parts.path, **dict(parse_qsl(parts.query))).json(parse_float=Decimal)


def budget(world: World, **changes: Any) -> int:
    body = {"name": "All", "amount_usd": 0.01, "period": "month", "starts_on": "2020-01-01", **changes}
    answer = world.send("POST", "/api/v1/budgets", body)
    assert answer.status_code == 201, answer.content
    return int(answer.json()["id"])


def test_the_overview_of_costs_is_the_summary(story: World, ada: Any) -> None:
    page = ada.get("/costs?range=7d")
    found = said(story, page.context["summary"].url)
    text = page.content.decode()
    for figure in (
        found["totals"]["total_cost_usd"],
        found["totals"]["cost_per_request_usd"],
        found["day_over_day"]["current"]["total_cost_usd"],
        found["week_over_week"]["previous"]["total_cost_usd"],
        found["top_traces"][0]["total_cost_usd"],
    ):
        assert f">{shown(figure, 'usd')}<" in text
    chart = page.context["cost_chart"]
    drawn = sum(value or 0 for series in chart.series for value in series.values)
    assert drawn == found["totals"]["total_cost_usd"]
    assert [row["value"] for row in page.context["shares"][0]["rows"]] == [
        row["value"] for row in found["by_model"]["data"]
    ]


def test_comparing_draws_the_period_before(story: World, ada: Any) -> None:
    chart = ada.get("/costs?range=24h&compare=1").context["cost_chart"]
    now, before = chart.series
    assert before.dashed and not now.dashed
    assert len(now.values) == len(before.values) == len(chart.times)
    assert sum(value or 0 for value in before.values) > 0


@pytest.mark.parametrize("by", DIVISIONS)
def test_every_division_adds_up_to_the_total(story: World, ada: Any, by: str) -> None:
    page = ada.get("/costs/by", {"by": by, "range": "7d", "compare": "1"})
    found = said(story, page.context["listed"].url)
    rows = page.context["rows"]
    assert [row["total_cost_usd"] for row in rows] == [row["total_cost_usd"] for row in found["data"]]
    whole = sum(row["total_cost_usd"] for row in rows) + page.context["others"]["total_cost_usd"]
    whole += (page.context["unattributed"] or {"total_cost_usd": 0})["total_cost_usd"]
    assert whole == found["totals"]["total_cost_usd"] or (by == "tag" and found["sums_may_exceed_total"])
    assert len(rows) >= 1
    if page.context["cost_chart"]:
        values = [value for series in page.context["cost_chart"].series for value in series.values]
        most = sum(row["total_cost_usd"] for row in rows[: page.context["charted"] or None])
        assert sum(value or 0 for value in values) == most


def test_the_links_of_a_division_find_what_is_in_it(story: World, ada: Any) -> None:
    """As many requests as the row says, on whatever page the row leads to."""
    for by in ("model", "provider", "environment", "project", "session", "tag", "team"):
        row = ada.get("/costs/by", {"by": by, "range": "7d"}).context["rows"][0]
        query = dict(parse_qsl(urlsplit(row["address"]).query))
        assert query.pop("range") == "7d"
        traces = story.get("/api/v1/traces", limit=1000, **query).json()["data"]
        assert sum(trace["request_count"] for trace in traces) == row["requests"], by
    row = ada.get("/costs/by", {"by": "user", "range": "7d"}).context["rows"][0]
    assert ada.get(row["address"]).context["now"]["requests"] == row["requests"]


def test_a_key_of_tags_is_a_division_of_its_own(story: World, ada: Any) -> None:
    page = ada.get("/costs/by?by=tag&key=tier&range=7d")
    assert {row["value"] for row in page.context["rows"]} == {"tier:free", "tier:pro"}


def test_further_filters_hold_for_every_figure(story: World, ada: Any) -> None:
    page = ada.get("/costs?range=7d&tag=tier:pro&team=support")
    whole = said(story, ada.get("/costs?range=7d").context["summary"].url)["totals"]
    assert 0 < page.context["summary"].document["totals"]["requests"] < whole["requests"]
    assert all(f"{name}=" in tab["address"] for tab in page.context["tabs"] for name in ("tag", "team"))
    assert "tag=tier%3Apro" in page.context["traces_page"]
    drawn = sum(value or 0 for series in page.context["cost_chart"].series for value in series.values)
    assert drawn == page.context["summary"].document["totals"]["total_cost_usd"]
    assert "tag=team%3Asupport" in ada.get("/costs?team=support").context["traces_page"]


def test_what_is_not_known_of_the_period_before_is_not_0(story: World, ada: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("apps.console.pages.costs._BEFORE", 1)
    rows = ada.get("/costs/by?by=user&range=24h&compare=1").context["rows"]
    assert [row["before"] is None for row in rows].count(False) == 1


def test_what_changed_adds_up(story: World, ada: Any) -> None:
    for compare_to in ("previous_period", "1d", "7d"):
        page = ada.get("/costs/change", {"range": "24h", "compare_to": compare_to})
        change = said(story, page.context["changed"].url)["change"]
        assert sum(row["value"] for row in page.context["effects"]) == change["change_usd"]
        assert shown(change["change_usd"], "usd_change") in page.content.decode()


def test_the_forecast_begins_where_the_past_ends(story: World, ada: Any) -> None:
    page = ada.get("/costs/forecast?period=next_week")
    chart = page.context["forecast_chart"]
    found = said(story, page.context["told"].url)
    spent, *expected = chart.series
    assert found["month"]["spent_usd"] == page.context["month"]["spent_usd"]
    if found["forecast"]["status"] == "ok":
        assert [value for value in expected[0].values if value is not None] == [
            row["cost_usd"] for row in found["data"]
        ]
    assert any(value for value in spent.values)
    assert ada.get("/costs/forecast?period=never").status_code == 400


def test_what_has_no_price_is_listed(story: World, ada: Any) -> None:
    page = ada.get("/costs/unpriced?range=7d")
    found = said(story, page.context["listed"].url)
    assert [row["requests"] for row in page.context["rows"]] == [row["requests"] for row in found["data"]]


def test_budgets_come_some_at_a_time(story: World, ada: Any, ben: Any) -> None:
    names = [f"Budget {number}" for number in range(7)]
    for name in names:
        budget(story, name=name)
    found, address, part = [], "/costs/budgets", None
    for _ in range(4):
        part = ada.get(address)
        assert sum(one.path.startswith("/api/v1/budgets/") for one in part.wsgi_request.hub_asked) <= 3
        found += [row["name"] for row in part.context["rows"]]
        if not part.context["next"]:
            break
        address = f"/costs/budgets/more?cursor={part.context['next']}"
    assert sorted(found) == names
    strip = ada.get("/overview/budgets")
    assert strip.content.count(b"<li") == 4  # three, and what asks for the next
    assert b'hx-get="/overview/budgets"' in ada.get("/overview").content
    # A viewer sees no costs, and so no budgets, and no room kept for them.
    assert (ben.get("/overview/budgets").content, ben.get("/costs/budgets").status_code) == (b"", 403)
    assert b"/overview/budgets" not in ben.get("/overview").content


def test_a_budget_says_how_it_stands(story: World, ada: Any) -> None:
    budget(story, name="Spent", amount_usd=0.0001, users=["user-1"], hard_stop=True)
    budget(story, name="Ample", amount_usd=1_000_000)
    rows = {row["name"]: row for row in ada.get("/costs/budgets").context["rows"]}
    assert (rows["Spent"]["word"], rows["Ample"]["word"]) == ("stop", "within")
    assert rows["Spent"]["scope"] == "user user-1"
    assert "user_id=user-1" in rows["Spent"]["address"]
    assert rows["Ample"]["scope"] == "everything"


STATE = {"state": "running", "hard_stop_reached": False, "exceeded": False, "forecast": None, "thresholds": []}


@pytest.mark.parametrize(
    ("changes", "active", "word"),
    [
        ({}, True, "within"),
        ({"state": "scheduled"}, True, "not begun"),
        ({"exceeded": True}, True, "exceeded"),
        ({"exceeded": True, "hard_stop_reached": True}, True, "stop"),
        ({"exceeded": True}, False, "inactive"),
        ({"forecast": {"forecast_to_exceed": "2026-11-28"}}, True, "will be exceeded"),
        ({"forecast": {"forecast_to_exceed": None}}, True, "within"),
        (
            {"thresholds": [{"threshold": Decimal("0.5"), "reached": True}, {"threshold": 1, "reached": False}]},
            True,
            "past 50%",
        ),
    ],
)
def test_the_word_for_a_state(changes: dict[str, Any], active: bool, word: str) -> None:
    assert judged({"active": active}, {**STATE, **changes})["word"] == word


def test_no_page_asks_the_engine_more_than_three_times(story: World, ada: Any) -> None:
    for number in range(4):
        budget(story, name=f"Budget {number}")
    for path in (*PAGES, "/overview/budgets"):
        for query in ("", "?compare=1&range=7d"):
            asked = ada.get(path + query).wsgi_request.hub_asked
            states = sum(one.path.startswith("/api/v1/budgets/") for one in asked)
            assert states + sum(one.path.split("/")[3] in ENGINE for one in asked) <= 3, path


def test_pages_without_anything_say_so(world: World, ada: Any) -> None:
    for path in PAGES:
        page = ada.get(path)
        assert page.status_code == 200, path
        assert b"Traceback" not in page.content
        assert b"state-title" in page.content, path
    assert b"Nothing to carry on yet" in ada.get("/costs/forecast").content


def test_another_tenant_s_figures_are_in_no_page(story: World, browser_of: Any) -> None:
    """Zenith has no spans: whatever Acme spent, its pages are as empty as before."""
    web = browser_of(story.cleo)
    for path in ("/costs?range=7d", "/costs/by?range=7d", "/costs/change?range=7d", "/costs/unpriced?range=7d"):
        page = web.get(path)
        assert b"gpt-4o" not in page.content and b"user-1" not in page.content
    number = budget(story)
    assert web.get(f"/api/v1/budgets/{number}").status_code == 404
    assert b"There is no budget" in web.get("/costs/budgets").content
