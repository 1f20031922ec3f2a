"""The pages of exports: asked for by the API's rules, watched, cancelled, asked for again, shown with their proof."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from apps.exports.models import ExportJob
from apps.orgs.models import AuditEntry, Role
from tests.support.world import World

RANGE = {"start_time": "2026-10-01T00:00", "end_time": "2026-10-08T00:00"}
TRACES = {**RANGE, "format": "csv", "compression": "gzip", "fields": ["trace_id", "model"], "match": "spans"}
METRICS = {**RANGE, "format": "json", "metrics": ["request_count"], "interval": "1day", "group_by": ["model"]}
COSTS = {**RANGE, "format": "xlsx", "interval": "none", "group_by": ["provider"]}
PROOF = {
    "snapshot": {"time": "2026-11-05T10:00:01Z", "id": "1:1:"},
    "proof": {
        "written": {"rows": 12, "scores": None, "total_cost_usd": "0.000000000001"},
        "sql": {"rows": 12, "scores": None, "total_cost_usd": "0.000000000001"},
        "engine": None,
        "not_compared": {"engine": "a limit left rows out"},
    },
}


def new(web: Any, kind: str, form: dict[str, Any], query: str = "") -> Any:
    return web.post(f"/exports/new?kind={kind}&tz=Europe/Berlin{query}", form)


def made(web: Any, kind: str = "traces", form: dict[str, Any] | None = None) -> ExportJob:
    answer = new(web, kind, form or TRACES)
    assert answer.status_code == 302, answer.content.decode()[-3_000:]
    return ExportJob.objects.get(pk=answer["Location"].rpartition("/")[2])


def finish(job: ExportJob, **changes: Any) -> None:
    now = timezone.now()
    done = {"status": "completed", "file": "f", "file_name": "spans.csv", "row_count": 12, "file_size_bytes": 1_500}
    done |= {"sha256": "a" * 64, "manifest": PROOF, "expires_at": now + timedelta(days=1), "completed_at": now}
    ExportJob.objects.filter(pk=job.pk).update(**{**done, **changes})


@pytest.mark.parametrize(("kind", "form"), [("traces", TRACES), ("metrics", METRICS), ("costs", COSTS)])
def test_asks_for_what_the_form_says(story: World, ada: Any, kind: str, form: dict[str, Any]) -> None:
    job = made(ada, kind, {**form, "model": "gpt-4o, gpt-4o-mini"})
    assert (job.kind, job.format, job.author) == (kind, form["format"], "ada@acme.example")
    # Times are typed in the bar's zone.
    assert job.start_time == datetime(2026, 9, 30, 22, tzinfo=UTC)
    assert job.end_time == datetime(2026, 10, 7, 22, tzinfo=UTC)
    asked = str(job.spec.question)
    assert "gpt-4o" in asked and "gpt-4o-mini" in asked
    if kind == "traces":
        assert job.spec.fields == ("trace_id", "model")
    else:
        assert job.spec.question["timezone"] == "Europe/Berlin"
        assert job.spec.question["group_by"] == form["group_by"]


def test_comes_filled_from_the_page_that_leads_to_it(story: World, ada: Any) -> None:
    page = ada.get("/exports/new?kind=costs&range=7d&model=gpt-4o&environment=production&group_by=user_id")
    text = page.content.decode()
    assert 'value="gpt-4o"' in text and 'value="production"' in text
    form = page.context["form"]
    assert form["group_by"].value() == ["user_id"]
    bar = page.context["bar"]
    assert form["start_time"].value() == bar.start.strftime("%Y-%m-%dT%H:%M")


def test_the_list_of_traces_leads_to_the_same_traces(story: World, ada: Any) -> None:
    """Its address, whose `kind` and `match` are others' than the form's, and whose conditions are a tree here."""
    address = "range=30d&kind=llm&has_error=true&sort_by=duration_ms&limit=10&f1=duration_ms&o1=gt&v1=900&match=trace"
    link = f"/exports/new?kind=traces&match=traces&{address}"
    listed = ada.get(f"/traces?{address.replace('limit=10', 'limit=1000')}")
    page = ada.get(link)
    form = page.context["form"]
    given = {field.name: field.value() for field in form if field.value()}
    assert given["span_kind"] == "llm" and given["match"] == "traces" and "limit" not in given
    job = made(ada, "traces", {**given, "fields": ["trace_id"], "cut_long_cells": ""})
    assert job.spec.question["kind"] == ["llm"] and job.spec.question["match"] == "traces"
    found = spans_in(job)
    assert found == {row["trace_id"] for row in listed.context["rows"]} and found


def spans_in(job: ExportJob) -> set[str]:
    from io import BytesIO

    from apps.exports.produce import produce

    out = BytesIO()
    produce(job.spec, out, job_id=str(job.pk), progress=lambda *_: None)
    return set(out.getvalue().decode().split()[1:])


@pytest.mark.parametrize("path", ["/overview", "/costs", "/performance", "/users", "/models"])
def test_pages_lead_here_with_their_range_and_filters(story: World, ada: Any, ben: Any, path: str) -> None:
    asked = "range=custom&start_time=2026-10-01T00:00:00Z&end_time=2026-10-02T00:00:00Z&model=gpt-4o&compare=1"
    page = ada.get(f"{path}?{asked}")
    (link,) = re.findall(r'href="(/exports/new[^"]+)"', page.content.decode())
    form = ada.get(unescape(link)).context["form"]
    assert (form["model"].value(), form["start_time"].value()) == ("gpt-4o", "2026-10-01T00:00")
    assert b"/exports/new" not in ben.get(f"{path}?{asked}").content  # who makes no exports is not led to the form


@pytest.mark.parametrize("path", ["/overview", "/costs", "/traces"])
def test_an_export_of_a_page_without_a_range_in_its_address_has_the_range_of_the_page(
    story: World, ada: Any, path: str
) -> None:
    page = ada.get(path)
    (link,) = re.findall(r'href="(/exports/new[^"]+)"', page.content.decode())
    form = ada.get(unescape(link)).context["bar"]
    assert (form.range, form.length) == (page.context["bar"].range, page.context["bar"].length)


def test_conditions_that_are_no_json_are_told(world: World, ada: Any) -> None:
    page = new(ada, "traces", {**TRACES, "filter": "{"})
    assert set(page.context["form"].errors) == {"filter"}
    page = new(ada, "traces", {**TRACES, "filter": '{"field": "duration", "operator": "gt", "value": 1}'})
    assert set(page.context["form"].errors) == {"filter"} and b"duration_ms" in page.content


def test_what_the_api_refuses_stands_at_the_field(story: World, ada: Any) -> None:
    wrong = {**TRACES, "min_cost": "much", "start_time": "2026-10-09T00:00", "span_kind": "llm"}
    page = new(ada, "traces", wrong)
    assert page.status_code == 400
    errors = page.context["form"].errors
    assert set(errors) == {"min_cost", "start_time"}
    assert b'value="much"' in page.content  # what was typed stays
    assert not ExportJob.objects.exists()


def test_tells_how_many_rows_before_it_is_asked_for(story: World, ada: Any) -> None:
    week = {**COSTS, "start_time": "2026-10-01T00:00", "estimate": "1"}
    page = new(ada, "costs", week)
    assert page.context["estimate"] == 0 and b"About" in page.content
    alone = ada.post("/exports/new?kind=traces", {**TRACES, "estimate": "1"}, headers={"HX-Request": "true"})
    assert b"<html" not in alone.content and b'id="estimate"' in alone.content
    refused = new(ada, "traces", {**TRACES, "limit": "99999999999", "estimate": "1"})
    assert b"limit must be 1 to" in refused.content
    assert not ExportJob.objects.exists()


def test_the_list_is_the_apis_and_looks_again_while_something_is_under_way(world: World, ada: Any) -> None:
    job = made(ada)
    page = ada.get("/exports")
    assert b'hx-trigger="every 2s"' in page.content
    said = world.get("/api/v1/export/jobs").json()["data"]
    assert [row["job_id"] for row in page.context["rows"]] == [row["job_id"] for row in said] == [str(job.pk)]
    finish(job)
    rows = ada.get("/exports", headers={"HX-Request": "true"})
    assert b"<html" not in rows.content and b"hx-trigger" not in rows.content
    assert f"/api/v1/export/jobs/{job.pk}/download".encode() in rows.content
    assert b"No export is like this" in ada.get("/exports?status=failed").content


def test_the_page_of_one_says_how_far_it_is_and_reloads_when_it_is_over(world: World, ada: Any) -> None:
    job = made(ada)
    ExportJob.objects.filter(pk=job.pk).update(status="processing", rows_done=419, rows_total=1_000)
    state = ada.get(f"/exports/{job.pk}", headers={"HX-Request": "true"})
    assert b"41.9%" in state.content and b"<html" not in state.content
    finish(job)
    assert ada.get(f"/exports/{job.pk}", headers={"HX-Request": "true"})["HX-Refresh"] == "true"
    text = ada.get(f"/exports/{job.pk}").content.decode()
    assert "a" * 64 in text and "$0.000000000001" in text and "a limit left rows out" in text
    assert "Scores" not in text  # neither side knows any


def test_cancels_and_says_so_when_it_is_over_already(world: World, ada: Any) -> None:
    job = made(ada)
    page = ada.post(f"/exports/{job.pk}/cancel", follow=True)
    assert page.context["job"]["status"] == "cancelled" and b"The export is cancelled." in page.content
    again = ada.post(f"/exports/{job.pk}/cancel", follow=True)
    assert b"Only an export that is under way can be cancelled" in again.content
    assert ada.get(f"/exports/{job.pk}/cancel").status_code == 302
    assert AuditEntry.objects.filter(action="export.cancel").count() == 1


def test_asks_for_the_same_again_with_the_rights_of_whoever_asks(world: World, ada: Any, browser_of: Any) -> None:
    job = made(ada, "traces", {**TRACES, "fields": ["trace_id", "input"]})
    finish(job)
    page = ada.post(f"/exports/{job.pk}/again", follow=True)
    other = ExportJob.objects.exclude(pk=job.pk).get()
    assert page.context["job"]["job_id"] == str(other.pk) and other.spec == job.spec
    dora = browser_of(world.dora)  # the export is of a project that she does not see
    assert dora.post(f"/exports/{job.pk}/again").status_code == 404
    assert ExportJob.objects.count() == 2


def test_asking_again_costs_what_asking_costs(world: World, ada: Any) -> None:
    job = made(ada)
    for _ in range(9):
        ada.post(f"/exports/{job.pk}/again")
    page = ada.post(f"/exports/{job.pk}/again", follow=True)
    assert b"a minute. Try again in" in page.content
    assert ExportJob.objects.count() == 10


@pytest.mark.parametrize("path", ["", "/cancel", "/again"])
def test_other_organizations_exports_are_not_there(world: World, ada: Any, browser_of: Any, path: str) -> None:
    job = made(ada)
    cleo = browser_of(world.cleo)
    method = "GET" if not path else "POST"
    foreign, unknown = (cleo.generic(method, f"/exports/{one}{path}", follow=True) for one in (job.pk, uuid4()))
    if path == "/cancel":  # it leads back to the export's page, which is not there
        foreign, unknown = (cleo.get(answer["Location"]) for answer in (foreign, unknown))
    assert foreign.status_code == unknown.status_code == 404
    assert ExportJob.objects.get().status == "pending"
    assert ada.get("/exports/..%2f..%2fkeys").status_code == 404
    assert ada.get("/exports/zzz").status_code == 404


def test_billing_exports_costs_and_metrics_alone(world: World, browser_of: Any, ada: Any) -> None:
    made(ada)
    web = browser_of(world.new_person("bill@acme.example", Role.BILLING))
    assert web.get("/exports").context["rows"] == []
    page = web.get("/exports/new")
    assert page.context["kind"] == "metrics"
    assert web.get("/exports/new?kind=traces").status_code == 403
    made(web, "costs", COSTS)


def test_texts_are_columns_for_those_who_read_them(world: World, browser_of: Any) -> None:
    ana = browser_of(world.new_person("ana@acme.example", Role.ANALYST))
    names = [name for name, _ in ana.get("/exports/new").context["form"].fields["fields"].choices]
    assert "input" in names
    bill = browser_of(world.new_person("bill@acme.example", Role.BILLING))
    page = bill.post("/exports/new?kind=traces", {**TRACES, "fields": ["input"]})
    assert page.status_code == 403 and not ExportJob.objects.exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"start_time": "0001-01-01T00:00+14:00"},
        {"start_time": "0001-01-01T00:00"},  # before the first day in UTC, by Berlin's clock
        {"end_time": "9999-12-31T23:59-12:00"},
        {"filter": '{"field": "name", "operator": "eq", "value": "\\ud800"}'},
        {"filter": '{"field": "duration_ms", "operator": "eq", "value": [' + "9" * 30 + "]}"},
        {"filter": "[" * 400 + "]" * 400},
        {"filter": "[" * 5_000 + "]" * 5_000},
    ],
    ids=lambda wrong: str(wrong)[:60],
)
def test_what_cannot_be_sent_is_told_at_the_form(story: World, ada: Any, wrong: dict[str, str]) -> None:
    page = new(ada, "traces", {**TRACES, **wrong})
    assert page.status_code == 400 and page.context["form"].errors
    told = new(ada, "traces", {**TRACES, **wrong, "estimate": "1"})
    assert told.status_code in (200, 400)
    assert not ExportJob.objects.exists()
