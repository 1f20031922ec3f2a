"""Repricing over HTTP and in the worker: counted, applied, undone, cut off, beside writers; exact to the picodollar."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from apps.costs.pricebook.overrides import forget_books
from apps.costs.repricing import services, statements, work
from apps.costs.repricing.models import RepriceJob
from apps.metrics.refresh import refresh
from apps.orgs.audit import SYSTEM
from apps.orgs.models import AuditEntry
from apps.traces import tombstones
from tests.ingest.world import stored
from tests.support.callers import bearer
from tests.support.cells import all_cells, clear_cells
from tests.support.world import World, make_world

PRICES, PATH = "/api/v1/costs/prices", "/api/v1/costs/reprice"
MIDNIGHT = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
START, END = MIDNIGHT - timedelta(days=3), MIDNIGHT
RANGE = {"start_time": START.isoformat(), "end_time": END.isoformat()}
COSTS = ("prompt_cost", "completion_cost", "total_cost", "computed_cost", "cost_source", "unpriced_reason")


@pytest.fixture
def shop(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Acme with three days of calls: two models, some that fail, some paid by their sender, some without a price."""
    clear_cells()
    monkeypatch.setattr(work, "SETTLES", timedelta(0))
    world = make_world()
    send(world, [span(number) for number in range(60)])
    yield world
    clear_cells()
    forget_books()


def span(number: int, **given: Any) -> dict[str, Any]:
    model = ("gpt-4o", "claude-sonnet-4-5", "nobodys-model")[number % 3]
    return {
        "trace_id": f"{number + 1:032x}",
        "span_id": f"{number + 1:016x}",
        "kind": "llm",
        "provider": None if model == "nobodys-model" else ("openai", "anthropic")[number % 3],
        "model": model,
        "start_time": (START + timedelta(hours=number * 71 / 60)).isoformat(),
        "duration_ms": 700 + number,
        "status": "error" if number % 11 == 0 else "ok",
        "prompt_tokens": 1_000 + 7 * number,
        "completion_tokens": 100 + number,
        "cached_tokens": 10 * number,
        **({"cost_usd": 0.5} if number % 10 == 9 else {}),
        **given,
    }


def send(world: World, spans: list[dict[str, Any]]) -> None:
    forget_books()
    answer = world.client.post(
        "/api/v1/traces", {"spans": spans}, content_type="application/json", headers=bearer(world.key)
    )
    assert answer.json()["accepted"] == len(spans), answer.content


def back_dated(world: World, **given: Any) -> dict[str, Any]:
    body = {
        "provider": "openai",
        "model": "gpt-4o",
        "effective_from": (START + timedelta(days=1)).isoformat(),
        "prices": {"input": "1.23456789", "cache_read": "0.1", "output": "7.7"},
    }
    answer = world.send("POST", PRICES, {**body, **given})
    assert answer.status_code == 201, answer.content
    return answer.json()  # type: ignore[no-any-return]


def post(world: World, path: str = PATH, body: Any = None, status: int = 200, **more: Any) -> Any:
    answer = world.send("POST", path, body, **more)
    assert answer.status_code == status, answer.content
    return answer.json()


def count(world: World, **given: Any) -> Any:
    return post(world, body={**RANGE, **given})


def rows() -> dict[str, dict[str, Any]]:
    return {row["span_id"]: row for row in stored()}


def said(world: World) -> list[str]:
    """What the API says of the costs, as text, so that no rounding hides a difference."""
    found = []
    for path, body in (
        (
            "/api/v1/metrics/query",
            {"metrics": [{"metric": "total_cost"}, {"metric": "prompt_cost"}], "group_by": ["model"]},
        ),
        ("/api/v1/metrics/query", {"metrics": [{"metric": "total_cost", "aggregation": "max"}], "interval": "1hour"}),
    ):
        found.append(json.dumps(post(world, path, {**RANGE, **body})["data"]))
    for path in ("/api/v1/costs", "/api/v1/costs/breakdown?by=model"):
        joint = "&" if "?" in path else "?"
        start, end = (moment.strftime("%Y-%m-%dT%H:%M:%SZ") for moment in (START, END))
        answer = world.send("GET", f"{path}{joint}start_time={start}&end_time={end}", **{"Cache-Control": "no-cache"})
        assert answer.status_code == 200, answer.content
        found.append(
            json.dumps({key: value for key, value in answer.json().items() if key not in ("meta", "metadata")})
        )
    return found


def everything() -> tuple[Any, ...]:
    """Every span and, once refreshed, every cell."""
    refresh(datetime.now(UTC))
    return rows(), all_cells()


def test_a_back_dated_price_counted_applied_and_undone_leaves_no_trace(shop: World) -> None:
    before, answers = everything(), said(shop)
    price = back_dated(shop)
    counted = count(shop)
    assert (counted["state"], counted["applied"]) == ("counted", None)
    assert everything() == before
    assert said(shop) == answers

    applied = post(shop, f"{PATH}/{counted['id']}/apply")
    assert applied["state"] == "applied"
    assert applied["applied"] == counted["counted"]
    changed = {
        number: row
        for number, row in rows().items()
        if row["model"] == "gpt-4o" and row["start_time"] >= START + timedelta(days=1)
    }
    paid = sum(row["cost_source"] == "client" for row in changed.values())
    assert applied["applied"]["changed"] == len(changed) > 10
    for number, row in rows().items():
        if number not in changed:
            assert row == before[0][number]
            continue
        uncached = row["prompt_tokens"] - row["cached_tokens"]
        micro = uncached * 1_234_567_89 + row["cached_tokens"] * 10_000_000 + row["completion_tokens"] * 770_000_000
        assert abs(row["computed_cost"] * 100 - micro) <= 50
        assert row["price_version_id"] == price["price_version_id"]
        assert row["total_cost"] == (500_000_000_000 if row["cost_source"] == "client" else row["computed_cost"])
    assert 0 < paid < len(changed)
    assert said(shop) != answers  # from marks alone
    raw = said(shop)
    refresh(datetime.now(UTC))
    assert said(shop) == raw

    undone = post(shop, f"{PATH}/{counted['id']}/undo")
    assert (undone["state"], undone["undone"]) == ("undone", {"restored": len(changed), "left": 0})
    assert said(shop) == answers
    assert everything() == before
    assert said(shop) == answers
    assert kept_changes() == 0
    assert [entry.action for entry in AuditEntry.objects.filter(object_type="reprice").order_by("pk")] == [
        "reprice.apply",
        "reprice.undo",
    ]


def test_kept_answers_go_when_a_repricing_is_done(shop: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings.HUB, "cache_ttl_costs", 60)
    asked = {"start_time": RANGE["start_time"], "end_time": RANGE["end_time"]}

    def told() -> Any:
        return shop.get("/api/v1/costs", **asked).json()["totals"]["total_cost_usd"]

    before = told()
    assert shop.get("/api/v1/costs", **asked).json()["meta"]["cached"] is True
    back_dated(shop)
    counted = count(shop)
    post(shop, f"{PATH}/{counted['id']}/apply")
    after = told()
    assert after == pytest.approx(before + counted["counted"]["change_usd"]) != before
    post(shop, f"{PATH}/{counted['id']}/undo")
    assert told() == before
    names = AuditEntry.objects.filter(object_type="reprice").values_list("object_name", flat=True)
    assert set(names) == {f"{START:%Y-%m-%dT%H:%M:%SZ} to {END:%Y-%m-%dT%H:%M:%SZ}"}


def kept_changes() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM reprice_change")
        return int(cursor.fetchone()[0])


def test_what_a_deleted_trace_cost_is_not_kept(shop: World) -> None:
    back_dated(shop)
    job = count(shop, dry_run=False)
    changed = job["applied"]["changed"]
    assert kept_changes() == changed > 1
    gone = f"{55:032x}"
    assert rows()[f"{55:016x}"]["model"] == "gpt-4o"
    assert shop.send("DELETE", f"/api/v1/traces/{gone}").status_code == 200
    assert kept_changes() == changed - 1
    undone = post(shop, f"{PATH}/{job['id']}/undo")
    assert undone["undone"] == {"restored": changed - 1, "left": 0}
    tombstones.forget()


def test_without_a_change_of_prices_nothing_changes(shop: World) -> None:
    before = everything()
    job = count(shop, dry_run=False)
    assert (job["state"], job["applied"]["changed"], job["applied"]["spans"]) == ("applied", 0, 60)
    assert job["applied"]["change_usd"] == 0
    assert everything() == before


def test_unpriced_calls_get_a_price_and_priced_ones_lose_it(shop: World) -> None:
    price = back_dated(shop, provider=None, model="nobodys-model", effective_from=None)
    job = count(shop, dry_run=False)
    nobodys = [row for row in rows().values() if row["model"] == "nobodys-model"]
    assert job["applied"]["newly_priced"] == sum(row["cost_source"] == "computed" for row in nobodys) > 0
    assert all(row["unpriced_reason"] is None and row["total_cost"] for row in nobodys)
    shop.send("DELETE", f"{PRICES}/{price['id']}?withdraw=true")
    job = count(shop, dry_run=False)
    assert job["applied"]["newly_unpriced"] == len([row for row in nobodys if row["cost_source"] == "computed"])
    nobodys = [row for row in rows().values() if row["model"] == "nobodys-model" and row["cost_source"] != "client"]
    assert {(row["cost_source"], row["unpriced_reason"], row["total_cost"]) for row in nobodys} == {
        ("none", "unknown_model", None)
    }


def test_senders_costs_are_replaced_only_on_demand(shop: World) -> None:
    before = rows()
    job = count(shop, include_client_costs=True, dry_run=False)
    paid = {number: row for number, row in before.items() if row["cost_source"] == "client"}
    for number, row in rows().items():
        if number in paid and row["model"] != "nobodys-model":
            assert (row["cost_source"], row["total_cost"]) == ("computed", row["computed_cost"])
            assert row["client_cost"] == 500_000_000_000
        else:
            assert row == before[number]  # where there is no price, the sender's stays
    post(shop, f"{PATH}/{job['id']}/undo")
    assert rows() == before


def test_filters_narrow_what_is_repriced(shop: World) -> None:
    back_dated(shop)
    back_dated(shop, provider="anthropic", model="claude-sonnet-4-5", effective_from=None)
    assert {row["model"] for row in count(shop)["counted"]["by_model"]} == {
        "gpt-4o",
        "claude-sonnet-4-5",
        "nobodys-model",
    }
    only = count(shop, model=["claude-sonnet-4-5"], provider="anthropic")["counted"]
    assert [row["model"] for row in only["by_model"]] == ["claude-sonnet-4-5"]
    assert count(shop, project="web")["counted"]["spans"] == 0
    day = count(shop, end_time=(START + timedelta(hours=24)).isoformat())["counted"]
    assert day["spans"] == sum(row["start_time"] < START + timedelta(hours=24) for row in rows().values())


def cut_off_after(slices: int) -> Any:
    """A worker that is killed in the middle of a slice, before its end is committed."""
    real, done = work._Worker._note, iter(range(10**9))

    def note(job: RepriceJob, made: Any) -> None:
        if next(done) >= slices:
            raise KeyboardInterrupt
        real(job, made)

    return mock.patch.object(work._Worker, "_note", staticmethod(note))


@pytest.mark.parametrize("slices", [0, 1, 2, 4])
def test_a_job_that_is_killed_is_taken_up_again(shop: World, slices: int) -> None:
    before = rows()
    back_dated(shop)
    with mock.patch.object(work, "SLICE", 7):
        whole = count(shop)
        with cut_off_after(slices), pytest.raises(KeyboardInterrupt):
            services.reprice_apply(actor=SYSTEM, job=RepriceJob.objects.get(pk=whole["id"]))
        assert shop.get(f"{PATH}/{whole['id']}").json()["state"] == "applying"
        assert post(shop, body=RANGE, status=409)["error"]["code"] == 1402
        work.run_all()
        applied = shop.get(f"{PATH}/{whole['id']}").json()
    assert (applied["state"], applied["applied"]) == ("applied", whole["counted"])
    assert kept_changes() == whole["counted"]["changed"]
    post(shop, f"{PATH}/{whole['id']}/undo")
    assert rows() == before


@pytest.mark.parametrize("slices", [1, 3])
def test_a_job_that_is_killed_can_be_undone_and_the_undoing_too_be_killed(shop: World, slices: int) -> None:
    before = rows()
    back_dated(shop)
    with mock.patch.object(work, "SLICE", 5):
        job = RepriceJob.objects.get(pk=count(shop)["id"])
        with cut_off_after(slices), pytest.raises(KeyboardInterrupt):
            services.reprice_apply(actor=SYSTEM, job=job)
        job.refresh_from_db()
        with cut_off_after(0), pytest.raises(KeyboardInterrupt):
            services.reprice_undo(actor=SYSTEM, job=job)
        assert RepriceJob.objects.get(pk=job.pk).state == "undoing"
        work.run_all()
    assert RepriceJob.objects.get(pk=job.pk).state == "undone"
    assert rows() == before


def test_a_span_replaced_since_is_left_as_it_is(shop: World) -> None:
    back_dated(shop)
    job = count(shop, dry_run=False)
    number = next(number for number in range(59, 0, -1) if number % 3 == 0 and number % 10 != 9)
    longer = span(number, duration_ms=100_000, completion_tokens=5_000)
    send(shop, [longer])
    replaced = rows()[longer["span_id"]]
    undone = post(shop, f"{PATH}/{job['id']}/undo")["undone"]
    assert undone == {"restored": job["applied"]["changed"] - 1, "left": 1}
    assert rows()[longer["span_id"]] == replaced


def test_a_span_replaced_between_reading_and_writing_is_left_alone(shop: World) -> None:
    back_dated(shop)
    number = next(number for number in range(59, 0, -1) if number % 3 == 0 and number % 10 != 9)
    real = statements.write_costs

    def late(cursor: Any, changes: Any) -> Any:
        with connection.cursor() as other:  # as if another's upsert had been committed meanwhile
            other.execute(
                "UPDATE span SET ingested_at = now() + interval '1 second' WHERE span_id = %s", [f"{number + 1:016x}"]
            )
        return real(cursor, changes)

    before = rows()[f"{number + 1:016x}"]
    with mock.patch.object(statements, "write_costs", late):
        count(shop, dry_run=False)
    after = rows()[f"{number + 1:016x}"]
    assert [after[name] for name in COSTS] == [before[name] for name in COSTS]


def test_what_was_counted_is_refused_once_prices_have_changed(shop: World) -> None:
    back_dated(shop)
    job = count(shop)
    back_dated(shop, model="gpt-4o-mini")
    assert post(shop, f"{PATH}/{job['id']}/apply", status=409)["error"]["code"] == 1402
    again = count(shop)
    post(shop, f"{PATH}/{again['id']}/apply")
    assert post(shop, f"{PATH}/{again['id']}/apply", status=409)["error"]["code"] == 1402


def test_the_latest_is_undone_first(shop: World) -> None:
    before = rows()
    price = back_dated(shop)
    first = count(shop, dry_run=False)
    shop.send("PATCH", f"{PRICES}/{price['id']}", {"prices": {"input": 9, "output": 9}})
    second = count(shop, dry_run=False)
    assert post(shop, f"{PATH}/{first['id']}/undo", status=409)["error"]["details"] == {"id": second["id"]}
    post(shop, f"{PATH}/{second['id']}/undo")
    post(shop, f"{PATH}/{first['id']}/undo")
    assert rows() == before


def test_an_apply_waits_until_every_process_knows_the_price(shop: World) -> None:
    with mock.patch.object(work, "SETTLES", timedelta(hours=1)):
        back_dated(shop)
        job = post(shop, body={**RANGE, "dry_run": False}, status=202)
        assert job["state"] == "applying"
        work.run_all()
        assert shop.get(f"{PATH}/{job['id']}").json()["state"] == "applying"
    work.run_all()
    assert shop.get(f"{PATH}/{job['id']}").json()["state"] == "applied"


def test_what_is_older_than_the_raw_spans_stays_and_is_said(shop: World) -> None:
    shop.send("PATCH", "/api/v1/projects/default", {"raw_retention_days": 1})
    back_dated(shop, effective_from=None)
    job = count(shop)
    assert job["older_than_retention"] is True
    kept = sum(row["start_time"] >= MIDNIGHT - timedelta(days=1) for row in rows().values())
    assert job["counted"]["spans"] == kept > 0


def test_a_fault_of_ours_ends_the_job_and_it_can_be_undone(shop: World) -> None:
    before = rows()
    back_dated(shop)
    job = RepriceJob.objects.get(pk=count(shop)["id"])
    with mock.patch.object(work, "SLICE", 9):
        with cut_off_after(3), pytest.raises(KeyboardInterrupt):
            services.reprice_apply(actor=SYSTEM, job=job)
        with mock.patch.object(work, "outcome", side_effect=ZeroDivisionError):
            work.run_all()
    failed = shop.get(f"{PATH}/{job.pk}").json()
    assert failed["state"] == "failed"
    assert "ZeroDivisionError" in failed["error"]
    post(shop, f"{PATH}/{job.pk}/undo")
    assert rows() == before


def test_old_values_go_after_ninety_days_and_with_them_the_undoing(shop: World) -> None:
    back_dated(shop)
    job = count(shop, dry_run=False)
    RepriceJob.objects.update(created_at=timezone.now() - timedelta(days=100))
    assert services.expire_changes() == 0
    RepriceJob.objects.update(applied_at=timezone.now() - timedelta(days=91))
    with mock.patch.object(services, "EXPIRY_BATCH", 4):
        assert services.expire_changes() == job["applied"]["changed"]
    assert kept_changes() == 0
    assert services.expire_changes() == 0
    assert post(shop, f"{PATH}/{job['id']}/undo", status=409)["error"]["code"] == 1402


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "start_time"),
        ({"start_time": "yesterday"}, "start_time"),
        ({**RANGE, "end_time": RANGE["start_time"]}, "end_time"),
        ({**RANGE, "start_time": "0001-01-01T00:00:00Z"}, "start_time"),
        ({**RANGE, "end_time": "9999-12-31T00:00:00Z"}, "end_time"),
        ({**RANGE, "model": []}, "model"),
        ({**RANGE, "model": [7]}, "model"),
        ({**RANGE, "provider": "a\0b"}, "provider"),
        ({**RANGE, "project": "nowhere"}, "project"),
        ({**RANGE, "dry_run": "no"}, "dry_run"),
        ({**RANGE, "models": ["x"]}, "models"),
    ],
)
@pytest.mark.django_db
def test_what_is_no_range_is_refused(world: World, body: dict[str, Any], field: str) -> None:
    answer = world.send("POST", PATH, body)
    assert answer.status_code in (400, 404), answer.content
    assert answer.json()["error"]["field"] == field


@pytest.mark.django_db
def test_who_sees_a_part_of_the_projects_reprices_and_sees_that_part(world: World) -> None:
    whole = post(world, body=RANGE)
    own = post(world, body=RANGE, key=world.key)
    assert own["filters"]["project"] == ["default"]
    assert [job["id"] for job in world.get(PATH, key=world.key).json()["data"]] == [own["id"]]
    assert world.get(f"{PATH}/{whole['id']}", key=world.key).status_code == 404
    assert [job["id"] for job in world.get(PATH).json()["data"]] == [own["id"], whole["id"]]
    assert world.get(PATH, key=world.zenith_key).json()["data"] == []
