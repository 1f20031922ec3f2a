"""What the administration offers over all: the index, the search over everything, CSV, and dead letters."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.orgs.models import AuditEntry, Organization, User
from tests.ingest.build import json_request, json_span
from tests.pages.conftest import PASSWORD
from tests.pages.test_pages import check_page
from tests.support.world import World


@pytest.fixture
def desk(web: Client, world: World) -> Client:
    """A browser in which a superuser has signed in."""
    web.force_login(User.objects.create_superuser("root@hub.example", PASSWORD))
    return web


@pytest.fixture
def staff(world: World) -> Client:
    """A browser of somebody who may look at people and at dead letters."""
    browser = Client(raise_request_exception=False, headers={"Accept": "text/html"})
    one = User.objects.create_user("staff@hub.example", PASSWORD, is_staff=True)
    one.user_permissions.set(Permission.objects.filter(codename__in=("view_user", "view_deadletter")))
    browser.force_login(one)
    return browser


def rows_of(answer: Any) -> list[dict[str, str]]:
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/csv"
    assert re.fullmatch(r'attachment; filename="[a-z]+-\d{8}-\d{6}\.csv"', answer["Content-Disposition"])
    return list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))


# -- the index -----------------------------------------------------------------------------------------------------


def test_everything_has_its_place_and_its_sentence(desk: Client) -> None:
    from apps.orgs.adminsite import SECTIONS

    sections = desk.get("/admin/").context["app_list"]
    assert [section["name"] for section in sections] == list(SECTIONS)
    shown = [entry for section in sections for entry in section["models"]]
    assert all(entry["about"].endswith(".") for entry in shown)
    site: Any = admin.site
    there = {model.__name__ for model in site._registry} | set(site.pages)
    assert {entry["object_name"] for entry in shown} == there
    assert {entry.what for entries in SECTIONS.values() for entry in entries} == there
    for entry in shown:
        assert desk.get(entry["admin_url"]).status_code == 200, entry["admin_url"]
    assert desk.get("/admin/orgs/")["Location"] == "/admin/"


def test_staff_see_the_sections_of_what_they_may_look_at(staff: Client) -> None:
    sections = staff.get("/admin/").context["app_list"]
    assert [(one["name"], [entry["object_name"] for entry in one["models"]]) for one in sections] == [
        ("People and access", ["User"]),
        ("Data and storage", ["DeadLetter"]),
    ]
    for slug in ("background", "storage"):
        assert staff.get(f"/admin/{slug}/").status_code == 403


def test_every_list_is_searched_and_bounded() -> None:
    from apps.orgs.admin.base import BoundedPaginator

    for model, model_admin in admin.site._registry.items():
        assert model_admin.search_fields, model
        assert issubclass(model_admin.paginator, BoundedPaginator), model
        assert not model_admin.show_full_result_count, model


def test_an_empty_list_says_whether_there_is_nothing_or_nothing_fits(desk: Client) -> None:
    page = reverse("admin:costs_budget_changelist")
    assert "There are no budgets yet." in check_page(desk.get(page))
    found = check_page(desk.get(page, {"q": "nobody"}))
    assert "Nothing fits" in found
    assert f'href="{page}">Show everything' in found
    assert "Nothing fits" in check_page(desk.get(page, {"period__exact": "day"}))
    assert 'name="action"' not in found


# -- the search ----------------------------------------------------------------------------------------------------


def kinds(answer: Any) -> dict[str, list[str]]:
    check_page(answer)
    return {group.kind: [text for _, text in group.lines] for group in answer.context["groups"]}


def test_the_search_finds_what_has_a_name(desk: Client, world: World) -> None:
    key, text = world.new_key(name="zenith's ci")
    found = kinds(desk.get("/admin/search/", {"q": "zenith"}))
    assert found["Organizations"] == ["zenith: zenith"]
    assert found["Projects"] == ["zenith/secret: secret"]
    assert found["API keys"][0].startswith(key.prefix)
    assert kinds(desk.get("/admin/search/", {"q": key.prefix[:9]}))["API keys"]
    whole = desk.get("/admin/search/", {"q": text})
    assert [*kinds(whole)] == ["API keys"]
    assert text not in whole.content.decode()
    assert "Nothing is called" in check_page(desk.get("/admin/search/", {"q": "no\x00body"}))
    assert kinds(desk.get("/admin/search/")) == {}


def test_the_search_shows_a_few_of_many_and_leads_to_the_others(desk: Client) -> None:
    Organization.objects.bulk_create(Organization(slug=f"many-{number}", name="x") for number in range(9))
    page = desk.get("/admin/search/", {"q": "many-"})
    assert len(kinds(page)["Organizations"]) == 6
    (more,) = [group.more for group in page.context["groups"]]
    assert len(desk.get(more).context["cl"].result_list) == 9


def test_the_search_goes_no_further_than_a_persons_permissions(staff: Client, world: World) -> None:
    assert [*kinds(staff.get("/admin/search/", {"q": "acme"}))] == ["People"]
    assert "acme" not in kinds(staff.get("/admin/search/", {"q": "zenith"}))


# -- CSV -----------------------------------------------------------------------------------------------------------


def test_a_list_is_downloaded_as_it_is_filtered(desk: Client, world: World) -> None:
    Organization.objects.create(slug="evil", name="=1+1")
    Organization.objects.create(slug="other", name="Other")
    page = reverse("admin:orgs_organization_csv")
    found = rows_of(desk.get(page, {"q": "evil"}))
    assert [(one["slug"], one["name"], one["projects"]) for one in found] == [("evil", "'=1+1", "0")]
    assert len(rows_of(desk.get(page))) == Organization.objects.count()
    link = reverse("admin:orgs_organization_csv") + "?q=evil"
    assert f'href="{link}"' in desk.get(reverse("admin:orgs_organization_changelist"), {"q": "evil"}).content.decode()
    taken = AuditEntry.objects.filter(action="list.download").latest("id")
    assert (taken.actor, taken.object_type) == ("root@hub.example", "organization")
    assert desk.get(page, {"nonsense": "1"}).status_code == 302


def test_the_chosen_ones_are_downloaded(desk: Client, world: World) -> None:
    first = AuditEntry.objects.create(action="key.create", outcome="done", actor="=cmd", after={"a": "<b>"})
    page = reverse("admin:orgs_auditentry_changelist")
    (found,) = rows_of(desk.post(page, {"action": "csv", "_selected_action": [first.pk]}))
    assert (found["actor"], json.loads(found["after"])) == ("'=cmd", {"a": "<b>"})
    assert found["at"].endswith("Z")


def test_no_secret_is_downloaded(desk: Client, world: World) -> None:
    from apps.orgs.models import ApiKey

    key, text = world.new_key(name="ci")
    answer = desk.get(reverse("admin:orgs_apikey_csv"))
    body = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
    assert key.prefix in body
    for secret in (text, text.rpartition("_")[2], ApiKey.objects.get(pk=key.pk).secret_sha256):
        assert secret not in body


def test_a_download_is_bounded_and_of_few_statements(
    desk: Client, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from apps.orgs.admin import sheets

    AuditEntry.objects.bulk_create(AuditEntry(action="x", outcome="done", actor=str(n)) for n in range(40))
    monkeypatch.setattr(sheets, "MOST_ROWS", 20)
    with CaptureQueriesContext(connection) as seen:
        assert len(rows_of(desk.get(reverse("admin:orgs_auditentry_csv")))) == 20
    assert len([one for one in seen if "orgs_auditentry" in one["sql"] and "INSERT" not in one["sql"]]) <= 2


def test_what_may_not_be_seen_is_not_downloaded(staff: Client) -> None:
    assert staff.get(reverse("admin:orgs_apikey_csv")).status_code == 403
    assert rows_of(staff.get(reverse("admin:orgs_user_csv")))


# -- dead letters --------------------------------------------------------------------------------------------------


@pytest.fixture
def letters(world: World) -> list[Any]:
    """Three refused spans of Acme: one that would be taken now, one that is still too old, one that was cut."""
    from apps.ingest.models import DeadLetter
    from apps.ingest.otlp_json import spans_of
    from apps.ingest.service import ingest
    from apps.orgs.models import Project
    from apps.orgs.projects import forget_projects, ingest_project

    Project.objects.filter(pk=world.default.pk).update(raw_retention_days=1)
    forget_projects()
    now = time.time_ns()
    ages = (3, 400, 2)
    spans = [
        json_span({"input.value": "private"}, spanId=f"{n:016x}", startTimeUnixNano=str(now - days * 86_400 * 10**9),
                  endTimeUnixNano=str(now - days * 86_400 * 10**9 + 10**9))
        for n, days in enumerate(ages, 1)
    ]  # fmt: skip
    ingest(ingest_project(world.default.pk), spans_of(json_request(spans)))
    Project.objects.filter(pk=world.default.pk).update(raw_retention_days=None)
    forget_projects()
    found = list(DeadLetter.objects.order_by("pk"))
    DeadLetter.objects.filter(pk=found[2].pk).update(truncated=True)
    return found


PAGE = "admin:ingest_deadletter_changelist"


def test_dead_letters_are_found(desk: Client, world: World, letters: list[Any]) -> None:
    def count(**filters: Any) -> int:
        return len(desk.get(reverse(PAGE), filters).context["cl"].result_list)

    assert count() == count(reason="older_than_retention") == count(project=world.default.pk) == 3
    assert count(project=world.web.pk) == count(reason="malformed") == count(source="json") == 0
    assert (count(state="waiting"), count(state="cut"), count(state="redriven")) == (2, 1, 0)
    assert count(q=letters[0].pk) == 1
    assert count(q=letters[0].trace_id, project=world.default.pk) == 3
    assert count(q="9" * 40) == count(q="x") == 0
    with CaptureQueriesContext(connection) as seen:
        desk.get(reverse(PAGE), {"reason": "older_than_retention"})
    reads = [one["sql"] for one in seen if 'FROM "ingest_deadletter"' in one["sql"]]
    assert not any('"payload"' in sql for sql in reads)
    assert all("LIMIT" in sql for sql in reads if "COUNT" in sql), reads
    assert all('"id" > ' in sql for sql in reads if "MAX(" not in sql), "unindexed filters look at the newest alone"


def test_dead_letters_are_driven_in_again(desk: Client, world: World, letters: list[Any]) -> None:
    chosen = {"action": "redrive", "_selected_action": [letter.pk for letter in letters]}
    told = desk.post(reverse(PAGE), chosen, follow=True).content.decode()
    assert "Stored as spans: 1." in told
    assert "Refused again: 1 (older_than_retention)." in told
    entry = AuditEntry.objects.get(action="dead_letter.redrive")
    assert (entry.organization_id, entry.project_id, entry.after) == (world.acme.pk, world.default.pk, {"stored": 1})
    assert len(desk.get(reverse(PAGE), {"state": "redriven"}).context["cl"].result_list) == 1

    page = reverse("admin:ingest_deadletter_change", args=[letters[1].pk])
    (address,) = re.findall(r'action="([^"]+/do/redrive/)"', check_page(desk.get(page)))
    assert "Refused again: older_than_retention." in desk.post(address, follow=True).content.decode()
    assert "/do/redrive/" not in desk.get(page.replace(str(letters[1].pk), str(letters[2].pk))).content.decode()
    assert AuditEntry.objects.filter(action="dead_letter.redrive").count() == 1
    assert desk.get(address).status_code == 405


def test_what_cannot_be_reached_in_time_is_left(world: World, letters: list[Any]) -> None:
    from apps.ingest.redrive import redrive_by
    from apps.orgs.audit import SYSTEM

    assert redrive_by(SYSTEM, [letter.pk for letter in letters], seconds=-1) == (0, {}, 3)


def test_only_superusers_see_a_refused_span_and_drive_it(desk: Client, staff: Client, letters: list[Any]) -> None:
    page = reverse("admin:ingest_deadletter_change", args=[letters[0].pk])
    assert "private" in check_page(desk.get(page))
    shown = check_page(staff.get(page))
    assert "older_than_retention" in shown
    assert "private" not in shown
    assert staff.post(f"{page.removesuffix('change/')}do/redrive/").status_code == 403
    staff.post(reverse(PAGE), {"action": "redrive", "_selected_action": [letters[0].pk]})
    assert "private" not in b"".join(staff.get(reverse("admin:ingest_deadletter_csv"))).decode()
    letters[0].refresh_from_db()
    assert letters[0].redriven_at is None


def test_every_reason_can_be_chosen() -> None:
    from apps.ingest import letters

    folder = Path(letters.__file__).parent
    texts = [path.read_text(encoding="utf-8") for path in folder.glob("*.py")]
    named = {name for text in texts for name in re.findall(r'Drop\(\s*"([a-z_]+)"', text)}
    assert len(named) > 5
    assert named <= set(letters.REASONS)
