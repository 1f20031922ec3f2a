"""The price book and repricing in the settings: a form says what the API is told, and a refusal stands at its field."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from apps.costs.pricebook.models import PriceVersion
from apps.costs.repricing import work
from apps.costs.repricing.models import RepriceJob
from tests.support.world import World

PRICES = "/settings/prices"
FORM = {
    **{"model": "gpt-4o", "match": "exact", "provider": "openai", "service_tier": "", "input": "2", "output": "8.50"},
    **{"cache_read": "", "cache_write": "", "further": "request 0.01\nreasoning 9", "source": "Contract", "note": ""},
    **{"tiers": "200,000: input 3, output 12.5", "effective_from": "2026-10-01T00:00", "effective_to": ""},
}


def latest(world: World) -> PriceVersion:
    return PriceVersion.objects.filter(organization=world.acme).latest("pk")


def test_a_price_is_added_and_told(world: World, ada: Any) -> None:
    ada.cookies["hub_tz"] = "Europe/Berlin"
    answer = ada.post(f"{PRICES}/new", FORM)
    row = latest(world)
    assert answer["Location"] == f"{PRICES}/{row.entry_id}"
    assert row.prices == {"input": "2", "output": "8.5", "request": "0.01", "reasoning": "9"}
    assert row.tiers == [{"above": 200_000, "prices": {"input": "3", "output": "12.5"}}]
    assert (row.provider, row.service_tier, row.effective_to) == ("openai", None, None)
    assert row.effective_from is not None and row.effective_from.isoformat() == "2026-09-30T22:00:00+00:00"
    page = ada.get(PRICES, {"model": "gpt-4o", "provider": "openai"})
    assert page.context["holds"]["origin"] == "override"
    assert "priced by your own price" in page.content.decode() and page.context["listed"]
    assert ada.get(PRICES, {"model": "gpt-4o", "as_of": "2026-09-01T00:00"}).context["holds"]["origin"] == "list"
    assert "A call has no price: unknown_model" in ada.get(PRICES, {"model": "nobodys"}).content.decode()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"model": ""}, "model"),
        ({"input": "free"}, "input"),
        ({"input": "-1"}, "input"),
        ({"output": "1.1234567890123"}, "output"),
        ({"input": "", "output": "", "further": "", "tiers": ""}, "input"),
        ({"further": "gold 3"}, "further"),
        ({"further": "request"}, "further"),
        ({"further": "request 9999999"}, "further"),
        ({"tiers": "input 3"}, "tiers"),
        ({"tiers": "many: input 3"}, "tiers"),
        ({"tiers": "10: page 3"}, "tiers"),
        ({"effective_to": "2026-09-01T00:00"}, "effective_to"),
        ({"effective_from": "never"}, "effective_from"),
        ({"match": "regex", "model": "(a+)+$"}, "model"),
        ({"match": "nearly"}, "match"),
        ({"service_tier": "gold"}, "service_tier"),
        ({"source": "x" * 501}, "source"),
    ],
)
def test_a_price_is_refused_at_its_field(world: World, ada: Any, changes: dict[str, str], field: str) -> None:
    refused = ada.post(f"{PRICES}/new", {**FORM, **changes})
    assert refused.status_code == 400
    errors = refused.context["form"].errors
    assert set(errors) == {field} or (field, set(errors)) == ("input", {"__all__"}), errors
    assert not PriceVersion.objects.filter(organization=world.acme).exists()


@pytest.mark.parametrize("moment", ["0001-01-01T00:00+14:00", "9999-12-31T23:59-12:00"])
@pytest.mark.parametrize("address", ["/settings/prices/new", "/settings/keys/new", "/settings/prices/reprice"])
def test_a_time_beyond_the_calendar_is_refused(world: World, ada: Any, address: str, moment: str) -> None:
    times = dict.fromkeys(("effective_from", "effective_to", "expires_at", "start_time", "end_time"), moment)
    assert ada.post(address, {**times, "name": "a", "role": "viewer", "once": "a" * 20}).status_code == 400


def test_from_now_on_and_from_the_beginning(world: World, ada: Any) -> None:
    ada.post(f"{PRICES}/new", {**FORM, "effective_from": ""})
    assert latest(world).effective_from is not None
    ada.post(f"{PRICES}/new", {**FORM, "model": "other", "effective_from": "", "always": "on"})
    assert latest(world).effective_from is None
    refused = ada.post(f"{PRICES}/new", {**FORM, "model": "other", "effective_from": "", "always": "on"})
    assert refused.status_code == 409 and refused.context["form"].errors


def test_a_change_makes_a_version_and_keeps_what_it_does_not_name(world: World, ada: Any) -> None:
    body = {
        **{
            "model": "gpt-4o",
            "prices": {"input": 2, "output": 8, "page": 0.5},
            "effective_from": "2026-10-01T00:00:30Z",
        },
        **{"tiers": [{"above": 1000, "prices": {"page": 0.25}}], "note": "kept"},
    }
    number = world.send("POST", "/api/v1/costs/prices", body).json()["id"]
    path = f"{PRICES}/{number}"
    form = ada.get(path).context["form"]
    sent = {name: form[name].value() or "" for name in form.fields}
    assert sent["further"] == "page 0.5" and sent["tiers"] == "1000: page 0.25"
    assert ada.post(path, {**sent, "version": "1"}).status_code == 302
    assert latest(world).number == 1
    assert ada.post(path, {**sent, "version": "1", "output": "7"}).status_code == 302
    row = latest(world)
    assert (row.number, row.prices, row.note) == (2, {"input": "2", "output": "7", "page": "0.5"}, "kept")
    assert row.effective_from is not None and row.effective_from.second == 30
    assert row.tiers == [{"above": 1000, "prices": {"page": "0.25"}}]
    stale = ada.post(path, {**sent, "version": "1", "output": "6"})
    assert stale.status_code == 409 and b"at version 2 by now" in stale.content
    text = ada.get(path).content.decode()
    assert f"override:{number}.1" in text and f"override:{number}.2" in text


def test_ending_and_withdrawing_ask_once(world: World, ada: Any) -> None:
    ada.post(f"{PRICES}/new", FORM)
    row = latest(world)
    path = f"{PRICES}/{row.entry_id}/end"
    assert b"Withdraw it" in ada.get(path).content
    assert latest(world).effective_to is None
    assert ada.post(path)["Location"] == PRICES
    assert latest(world).effective_to is not None
    refused = ada.post(path)
    assert refused.status_code == 409 and b"has ended already" in refused.content
    assert ada.post(path, {"withdraw": "1"}).status_code == 302
    assert not PriceVersion.objects.filter(organization=world.acme, superseded_at=None).exists()
    assert b"withdrawn" in ada.get(f"{PRICES}/{row.entry_id}").content


def test_prices_and_repricings_of_others_are_not_there(world: World, ada: Any) -> None:
    body = {"model": "theirs", "prices": {"input": 1}}
    number = world.send("POST", "/api/v1/costs/prices", body, key=world.zenith_key).json().get("id")
    if number is None:  # the key sees one project
        number = PriceVersion.objects.count() + 1
    for path in (f"{PRICES}/{number}", f"{PRICES}/{number}/end"):
        assert (ada.get(path).status_code, ada.post(path, {**FORM, "version": "1"}).status_code) == (404, 404)
    for deed in ("apply", "undo"):
        path = f"{PRICES}/reprice/1/{deed}"
        assert (ada.get(path).status_code, ada.post(path).status_code) == (404, 404)


def test_who_only_reads_sees_no_forms(world: World, browser_of: Any) -> None:
    world.send("POST", "/api/v1/costs/prices", {"model": "gpt-4o", "prices": {"input": 1}})
    analyst = browser_of(world.new_person("ann@acme.example", "analyst"))
    for path in (PRICES, f"{PRICES}/{latest(world).entry_id}", f"{PRICES}/reprice"):
        page = analyst.get(path)
        assert page.status_code == 200
        assert b'class="button button-bad"' not in page.content and b"<textarea" not in page.content


def test_a_repricing_is_counted_applied_and_undone(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.support.cells import clear_cells
    from tests.support.story import tell
    from tests.support.world import make_world

    clear_cells()
    monkeypatch.setattr(work, "SETTLES", timedelta(0))
    world = make_world()
    tell(world)
    web = Client(raise_request_exception=False, headers={"Accept": "text/html"})
    web.force_login(world.ada)
    before = world.get("/api/v1/metrics/summary").json()["current_period"]["total_cost_usd"]
    price = {
        **FORM,
        "match": "prefix",
        "model": "gpt",
        "provider": "",
        "tiers": "",
        "effective_from": "",
        "always": "on",
    }
    assert web.post(f"{PRICES}/new", price).status_code == 302
    counted = web.post(f"{PRICES}/reprice", {"start_time": "2020-01-01T00:00"})
    job = RepriceJob.objects.get()
    path = f"{PRICES}/reprice/{job.pk}"
    assert (counted["Location"], job.state, job.applied) == (path, "counted", {})
    page = web.get(path)
    assert page.context["sums"]["changed"] > 0 and f"{path}/apply" in page.content.decode()
    assert b"are replaced" in web.get(f"{path}/apply").content
    assert web.post(f"{path}/apply")["Location"] == path
    job.refresh_from_db()
    assert job.state == "applied"
    after = world.get("/api/v1/metrics/summary").json()["current_period"]["total_cost_usd"]
    assert after != before
    assert web.post(f"{path}/apply").status_code == 409
    assert web.post(f"{path}/undo")["Location"] == path
    assert world.get("/api/v1/metrics/summary").json()["current_period"]["total_cost_usd"] == before
    assert b"have their costs again" in web.get(f"{path}?part=1").content
    refused = web.post(f"{PRICES}/reprice", {"start_time": "2026-02-01T00:00", "end_time": "2026-01-01T00:00"})
    assert refused.status_code == 400 and set(refused.context["form"].errors) == {"end_time"}
    clear_cells()
