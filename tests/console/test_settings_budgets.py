"""Budgets in the settings: the form says what the API is told, the page shows the API's state."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from apps.console.figures import shown
from apps.costs.budgets.models import Budget
from tests.support.world import World

BUDGETS = "/settings/budgets"
FORM = {
    **{"name": "Search", "amount_usd": "$1,500.25", "period": "month", "timezone": "Europe/Berlin", "starts_on": ""},
    **{"thresholds": "50, 80%, 100", "hard_stop": "on", "active": "on", "models": "gpt-4o\nclaude-sonnet-4-5"},
    **{"projects": ["web"], "providers": "", "environments": "", "teams": "search", "users": ""},
}


def test_a_budget_is_made_as_it_was_typed(world: World, ada: Any) -> None:
    answer = ada.post(f"{BUDGETS}/new", FORM)
    row = Budget.objects.get()
    assert answer["Location"] == f"{BUDGETS}/{row.pk}"
    assert (row.name, row.amount, row.period, row.timezone) == ("Search", Decimal("1500.25"), "month", "Europe/Berlin")
    assert row.thresholds == [Decimal("0.5"), Decimal("0.8"), Decimal(1)]
    assert (row.model_names, row.teams, row.project_ids) == (
        ["gpt-4o", "claude-sonnet-4-5"],
        ["search"],
        [world.web.pk],
    )
    assert (row.hard_stop, row.active) == (True, True)
    listed = ada.get(BUDGETS).content.decode()
    assert "models: gpt-4o, claude-sonnet-4-5" in listed and f"{BUDGETS}/{row.pk}/state" in listed


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"amount_usd": ""}, "amount_usd"),
        ({"amount_usd": "much"}, "amount_usd"),
        ({"amount_usd": "NaN"}, "amount_usd"),
        ({"amount_usd": "0"}, "amount_usd"),
        ({"period": "year"}, "period"),
        ({"timezone": "Mars/North"}, "timezone"),
        ({"thresholds": "half"}, "thresholds"),
        ({"thresholds": "0"}, "thresholds"),
        ({"thresholds": "1100"}, "thresholds"),
        ({"starts_on": "soon"}, "starts_on"),
        ({"starts_on": "1999-01-01"}, "starts_on"),
        ({"models": "x" * 257}, "models"),
        ({"projects": ["nowhere"]}, "projects"),
        ({"projects": ["secret"]}, "projects"),
    ],
)
def test_a_budget_is_refused_at_its_field(world: World, ada: Any, changes: dict[str, Any], field: str) -> None:
    refused = ada.post(f"{BUDGETS}/new", {**FORM, **changes})
    assert refused.status_code in (400, 404)
    assert set(refused.context["form"].errors) == {field}
    assert not Budget.objects.exists()


def test_a_taken_name_is_told(world: World, ada: Any) -> None:
    ada.post(f"{BUDGETS}/new", FORM)
    refused = ada.post(f"{BUDGETS}/new", FORM)
    assert refused.status_code == 409 and set(refused.context["form"].errors) == {"name"}


def test_the_state_is_the_apis(story: World, ada: Any) -> None:
    sent = {**FORM, "models": "", "teams": "", "projects": [], "amount_usd": "0.01", "timezone": "UTC"}
    assert ada.post(f"{BUDGETS}/new", {**sent, "period": "quarter"}).status_code == 302
    number = Budget.objects.get().pk
    said = story.get(f"/api/v1/budgets/{number}").json(parse_float=Decimal)["state"]
    assert said["exceeded"] and said["spent_usd"] > 0
    page = ada.get(f"{BUDGETS}/{number}")
    text = page.content.decode()
    assert f">{shown(said['spent_usd'], 'usd')}<" in text and "exceeded" in text and "told to stop" in text
    assert len(page.wsgi_request.hub_asked) == 1
    part = ada.get(f"{BUDGETS}/{number}/state").content.decode()
    assert f">{shown(said['spent_usd'], 'usd')}<" in part and "<html" not in part
    assert len(ada.get(BUDGETS).wsgi_request.hub_asked) == 1
    traces = ada.get(page.context["behind"])
    assert traces.status_code == 200


def test_a_change_sends_what_differs(world: World, ada: Any) -> None:
    ada.post(f"{BUDGETS}/new", {**FORM, "amount_usd": "0.123456789012"})
    row = Budget.objects.get()
    path = f"{BUDGETS}/{row.pk}"
    form = ada.get(path).context["form"]
    kept = {name: form[name].value() for name in form.fields}
    assert (kept["amount_usd"], kept["thresholds"]) == ("0.123456789012", "50, 80, 100")
    sent = {name: value for name, value in kept.items() if value not in (None, False)}
    stamp = row.updated_at
    assert ada.post(path, sent).status_code == 302
    row.refresh_from_db()
    assert row.updated_at == stamp
    assert ada.post(path, {**sent, "thresholds": "", "amount_usd": "5"}).status_code == 302
    row.refresh_from_db()
    assert (row.amount, list(row.thresholds), row.model_names) == (Decimal(5), [], ["gpt-4o", "claude-sonnet-4-5"])


def test_deleting_asks_once(world: World, ada: Any) -> None:
    ada.post(f"{BUDGETS}/new", FORM)
    path = f"{BUDGETS}/{Budget.objects.get().pk}/delete"
    assert b"Delete the budget" in ada.get(path).content
    assert Budget.objects.exists()
    assert ada.post(path)["Location"] == BUDGETS
    assert not Budget.objects.exists()
    assert ada.post(path).status_code == 404


def test_budgets_of_others_and_out_of_reach(world: World, ada: Any, browser_of: Any) -> None:
    ada.post(f"{BUDGETS}/new", {**FORM, "projects": []})
    mine = Budget.objects.get().pk
    theirs = Budget.objects.create(
        organization=world.zenith, name="theirs", amount=1, period="month", starts_on="2026-01-01"
    ).pk
    dora = browser_of(world.dora)
    for web, number, status in ((ada, theirs, 404), (ada, 2**40, 404), (dora, mine, 403)):
        assert web.get(f"{BUDGETS}/{number}").status_code == status
        assert web.get(f"{BUDGETS}/{number}/state").status_code == status
    assert ada.post(f"{BUDGETS}/{theirs}", {**FORM, "name": "ours"}).status_code == 404
    assert ada.post(f"{BUDGETS}/{theirs}/delete").status_code == 404
    assert Budget.objects.filter(name="theirs").exists()
