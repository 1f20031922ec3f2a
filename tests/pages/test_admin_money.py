"""Prices, budgets, repricing and storage in the administration: the services' rules, said at the form's fields."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.costs.budgets.models import Budget
from apps.costs.pricebook.models import PriceEntry, PriceVersion
from apps.costs.pricebook.services import price_create, price_update
from apps.orgs.audit import SYSTEM
from apps.orgs.models import AuditEntry, User
from apps.orgs.services import ANYTHING
from tests.pages.conftest import PASSWORD
from tests.pages.test_pages import check_page
from tests.support.world import World


@pytest.fixture
def desk(web: Client, world: World) -> Client:
    """A browser in which a superuser has signed in."""
    web.force_login(User.objects.create_superuser("root@hub.example", PASSWORD))
    return web


def url(name: str, *args: Any) -> str:
    return reverse(f"admin:costs_{name}", args=args)


def saved(answer: Any) -> Any:
    errors = answer.context["adminform"].form.errors if answer.status_code == 200 and answer.context else ""
    assert answer.status_code == 302, (answer.status_code, errors)
    return answer


def refused(answer: Any, field: str) -> str:
    assert answer.status_code == 200
    check_page(answer)
    return " ".join(answer.context["adminform"].form.errors[field])


def entry_of(action: str) -> AuditEntry:
    found = AuditEntry.objects.filter(action=action).latest("id")
    assert found.actor == "root@hub.example"
    return found


def posted(desk: Client, address: str, **changes: Any) -> dict[str, Any]:
    """What a browser would send of a form as it stands, with some changes."""
    form = desk.get(address).context["adminform"].form
    values: dict[str, Any] = {}
    for bound in form:
        value = bound.value()
        widgets = getattr(bound.field.widget, "widgets", None)
        if widgets:
            parts = bound.field.widget.decompress(value)
            values |= {f"{bound.name}_{n}": part or "" for n, part in enumerate(parts)}
        elif value is not None and value is not False:
            values[bound.name] = value
    return {**values, **changes}


# -- budgets -------------------------------------------------------------------------------------------------------


def test_a_budget_is_made_changed_and_deleted(desk: Client, world: World) -> None:
    named = {"organization": world.acme.pk, "name": "Web", "amount": "100", "period": "month", "timezone": "UTC"}
    scope = {"projects": "web\n", "model_names": "gpt-4o\r\no1, preview", "thresholds": "1\n0.8", "active": "on"}
    form = {**named, **scope}
    saved(desk.post(url("budget_add"), form))
    budget = Budget.objects.get()
    assert (budget.project_ids, budget.model_names) == ([world.web.pk], ["gpt-4o", "o1, preview"])
    assert (budget.thresholds, budget.starts_on.day) == ([Decimal("0.8"), Decimal(1)], 1)
    assert (entry_of("budget.create").after or {})["project_ids"] == [world.web.pk]

    address = url("budget_change", budget.pk)
    assert ">web</textarea>" in re.sub(r"\s+(?=web)", "", check_page(desk.get(address)))
    saved(desk.post(address, posted(desk, address)))
    assert not AuditEntry.objects.filter(action="budget.update").exists(), "an unchanged form changes nothing"
    saved(desk.post(address, posted(desk, address, amount="250.5", projects="")))
    budget.refresh_from_db()
    assert (budget.amount, budget.project_ids) == (Decimal("250.5"), [])
    assert set(entry_of("budget.update").after or {}) == {"amount", "project_ids"}

    assert "$250.5" in check_page(desk.get(url("budget_changelist")))
    saved(desk.post(url("budget_delete", budget.pk), {"post": "yes"}))
    assert not Budget.objects.exists()
    entry_of("budget.delete")


def test_what_a_budget_may_not_say_stands_at_its_field(desk: Client, world: World) -> None:
    form = {"organization": world.acme.pk, "name": "Web", "amount": "5", "period": "month", "timezone": "UTC"}

    def said(field: str, **changes: Any) -> str:
        return refused(desk.post(url("budget_add"), {**form, **changes}), field)

    assert "greater than or equal to 0.000001" in said("amount", amount="0")
    assert "zone" in said("timezone", timezone="Mars/Base").lower()
    assert "no project secret" in said("projects", projects="secret")  # another organization's
    assert "One number a line" in said("thresholds", thresholds="half")
    assert "256" in said("model_names", model_names="m" * 300)
    saved(desk.post(url("budget_add"), form))
    assert "already" in said("__all__")
    assert AuditEntry.objects.filter(action="budget.create").count() == 1


# -- prices --------------------------------------------------------------------------------------------------------

PRICE = {"match": "exact", "model": "GPT-4o", "prices": "input 2.5\noutput: 10", "tiers": "200000 input 5"}


def test_a_price_is_made_and_changed_with_its_history(desk: Client, world: World) -> None:
    saved(desk.post(url("priceentry_add"), {"organization": world.acme.pk, **PRICE}))
    entry = PriceEntry.objects.get()
    (first,) = entry.versions.all()
    assert (first.model, first.prices, first.provider) == ("gpt-4o", {"input": "2.5", "output": "10"}, None)
    assert first.tiers == [{"above": 200_000, "prices": {"input": "5"}}]
    assert first.effective_from is not None
    assert entry_of("price.create").object_id == str(entry.pk)

    address = url("priceentry_change", entry.pk)
    saved(desk.post(address, posted(desk, address)))
    assert entry.versions.count() == 1, "an unchanged form changes nothing"
    saved(desk.post(address, posted(desk, address, prices="input 2\noutput 10", note="Renegotiated")))
    second = entry.versions.get(superseded_at=None)
    assert (second.number, second.prices["input"], second.effective_from) == (2, "2", first.effective_from)
    assert (entry_of("price.update").after or {}) == {"prices": second.prices, "note": "Renegotiated"}
    page = check_page(desk.get(address))
    assert "input 2.5, output 10, 1 tiers" in page
    saved(desk.post(address, posted(desk, address, always="on")))
    assert entry.versions.get(superseded_at=None).effective_from is None
    assert f"?object=price:{entry.pk}" in desk.get(url("priceentry_history", entry.pk))["Location"]


def test_what_a_price_may_not_say_stands_at_its_field(desk: Client, world: World) -> None:
    form = {"organization": world.acme.pk, **PRICE}

    def said(field: str, **changes: Any) -> str:
        return refused(desk.post(url("priceentry_add"), {**form, **changes}), field)

    assert "not 2 words" in said("prices", prices="input")
    assert "these kinds" in said("prices", prices="imput 3")
    assert "number of dollars" in said("prices", prices="input -1")
    assert "number of prompt tokens" in said("tiers", tiers="many input 5")
    assert "may price these kinds" in said("tiers", tiers="200000 request 5")
    assert "expression" in said("model", match="regex", model="(")
    end = {"effective_to_0": "2001-01-01", "effective_to_1": "00:00:00"}
    assert "after effective_from" in said("effective_to", **end)
    saved(desk.post(url("priceentry_add"), form))
    assert "holds for the same calls" in said("effective_from")
    assert PriceEntry.objects.count() == 1


def test_who_was_slower_is_told_and_changes_nothing(desk: Client, world: World) -> None:
    version = price_create(actor=SYSTEM, by=ANYTHING, organization=world.acme, model="a", prices={"input": 1})
    address = url("priceentry_change", version.entry_id)
    form = posted(desk, address, prices="input 9")
    price_update(actor=SYSTEM, by=ANYTHING, entry=version.entry, prices={"input": 3})
    answer = desk.post(address, form)
    assert "at version 2 by now" in refused(answer, "__all__")
    assert PriceVersion.objects.get(superseded_at=None).prices == {"input": "3"}


def test_prices_are_ended_withdrawn_and_found(desk: Client, world: World) -> None:
    def made(model: str, **more: Any) -> PriceEntry:
        given = {"organization": world.acme, "model": model, "prices": {"input": 1}, **more}
        return price_create(actor=SYSTEM, by=ANYTHING, **given).entry

    held, ended, gone = made("held", effective_from=None), made("ended", effective_from=None), made("gone")
    made("later", effective_from=datetime.now(UTC) + timedelta(days=9))
    address = url("priceentry_change", ended.pk)
    assert "/do/end/" in check_page(desk.get(address))
    desk.post(url("priceentry_act", ended.pk, "end"))
    assert "/do/end/" not in check_page(desk.get(address))
    told = desk.post(url("priceentry_act", ended.pk, "end"), follow=True).content.decode()
    assert "ended already" in told
    chosen = {"action": "withdraw", "_selected_action": [gone.pk]}
    assert "Withdrawn: 1." in desk.post(url("priceentry_changelist"), chosen, follow=True).content.decode()
    assert (entry_of("price.end").after or {}) == {"withdrawn": True}

    def shown(**filters: Any) -> set[str]:
        answer = desk.get(url("priceentry_changelist"), filters)
        check_page(answer)
        return {entry.last[0].model for entry in answer.context["cl"].result_list}

    assert shown(state="holds") == {"held"}
    assert shown(state="ended") == {"ended"}
    assert shown(state="withdrawn") == {"gone"}
    assert shown(state="to come") == {"later"}
    assert shown(q="HEL") == {"held"}
    assert shown(q="zenith") == set()
    assert desk.get(url("priceentry_change", held.pk)).status_code == 200
    assert desk.post(url("priceentry_delete", held.pk), {"post": "yes"}).status_code == 403


# -- repricing -----------------------------------------------------------------------------------------------------


def test_a_repricing_is_applied_and_undone(desk: Client, world: World) -> None:
    from apps.costs.repricing.services import reprice_count

    now = datetime.now(UTC)
    day: dict[str, Any] = {"start": now - timedelta(days=1), "end": now}
    job = reprice_count(actor=SYSTEM, organization_id=world.acme.pk, project_ids=[world.default.pk], **day)
    address = url("repricejob_change", job.pk)
    assert "Apply it" in check_page(desk.get(address))
    desk.post(url("repricejob_act", job.pk, "apply"))
    job.refresh_from_db()
    assert job.state == "applied"
    entry_of("reprice.apply")
    again = desk.post(url("repricejob_act", job.pk, "apply"), follow=True).content.decode()
    assert "Only what has been counted can be applied" in again
    desk.post(url("repricejob_act", job.pk, "undo"))
    job.refresh_from_db()
    assert job.state == "undone"
    entry_of("reprice.undo")


# -- storage -------------------------------------------------------------------------------------------------------


def test_storage_tells_the_tier_sizes_and_how_far_the_rollups_are(desk: Client) -> None:
    answer = desk.get("/admin/storage/")
    text = check_page(answer)
    assert not [panel.title for panel in answer.context["panels"] if panel.failed]
    for word in ("span_content", "usage_1h", "RAW_RETENTION_DAYS", "Whole database", "no refresh has folded"):
        assert word in text, word
    assert "no-store" in answer["Cache-Control"]


def test_a_panel_that_fails_leaves_the_others(desk: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db import connection

    from apps.metrics import admin as page

    def broken(*_: Any) -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 / 0 AS host_db_internal")

    monkeypatch.setattr(page, "sizes_of", broken)
    answer = desk.get("/admin/storage/")
    text = check_page(answer)
    assert [panel.title for panel in answer.context["panels"] if panel.failed] == ["Other tables"]
    assert "could not be read" in text
    assert "division" not in text
    assert "RAW_RETENTION_DAYS" in text
