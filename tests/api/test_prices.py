"""The price book over HTTP: what it takes, what it refuses, its history, and that ingest prices by it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.costs.pricebook.overrides import forget_books
from apps.orgs.models import AuditEntry
from tests.ingest.world import stored
from tests.support.callers import bearer
from tests.support.world import World

pytestmark = pytest.mark.django_db
PATH = "/api/v1/costs/prices"
OWN = {"provider": "openai", "model": "gpt-4o", "prices": {"input": 2, "cache_read": "0.5", "output": 8}}


def add(world: World, status: int = 201, **given: Any) -> Any:
    answer = world.send("POST", PATH, {**OWN, **given})
    assert answer.status_code == status, answer.content
    return answer.json()


def error(answer: Any) -> tuple[int, str]:
    found = answer.json()["error"]
    return found["code"], found.get("field") or ""


def call(world: World, ago: timedelta = timedelta(minutes=5), **given: Any) -> dict[str, Any]:
    """Send one call through ingest; its row."""
    began = timezone.now() - ago
    span = {
        "trace_id": f"{abs(hash(repr(given))) % 10**20:032d}",
        "kind": "llm",
        "provider": "openai",
        "model": "gpt-4o",
        "start_time": began.isoformat(),
        "duration_ms": 900,
        "prompt_tokens": 1_000,
        "completion_tokens": 100,
        **given,
    }
    forget_books()
    answer = world.client.post(
        "/api/v1/traces", {"spans": [span]}, content_type="application/json", headers=bearer(world.key)
    )
    assert answer.json()["accepted"] == 1, answer.content
    return next(row for row in stored() if row["trace_id"] == span["trace_id"])


@pytest.fixture(autouse=True)
def _committed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spans are acknowledged once they are committed; here the test's own transaction holds them."""
    monkeypatch.setattr("apps.traces.writer._refuse_outer_transaction", lambda *_: None)


def test_ingest_prices_by_the_book_from_its_first_moment_on(world: World) -> None:
    begin = (timezone.now() - timedelta(hours=1)).isoformat()
    made = add(world, effective_from=begin)
    assert made["price_version_id"] == f"override:{made['id']}.1"
    after, before = call(world), call(world, timedelta(hours=2), name="earlier")
    # 1000 x 2 + 100 x 8 dollars a million; the list says 2.5 and 10
    assert (after["total_cost"], after["price_version_id"]) == (2_800_000_000, made["price_version_id"])
    assert before["total_cost"] == 3_500_000_000
    assert before["price_version_id"].startswith("genai-prices:")


def test_every_kind_of_price_reaches_the_cost(world: World) -> None:
    add(world, model="own", prices={"input": "1", "cache_read": "0.25", "output": 2, "reasoning": 4, "request": "0.01"})
    add(world, model="calls-", match="prefix", prices={"request": 0.02, "input": 0, "output": 0})
    row = call(world, model="own", cached_tokens=400, reasoning_tokens=30, ago=timedelta(0))
    # (600 x 1 + 400 x 0.25) and (70 x 2 + 30 x 4) dollars a million, and a cent for the call
    assert (row["prompt_cost"], row["completion_cost"]) == (700_000_000, 260_000_000)
    assert row["total_cost"] == 700_000_000 + 260_000_000 + 10_000_000_000
    assert call(world, model="calls-7", ago=timedelta(0))["total_cost"] == 20_000_000_000


def test_a_models_tiers_hold_above_their_threshold(world: World) -> None:
    tiers = [{"above": 1_000, "prices": {"input": 10}}]
    add(world, model="tiered", prices={"input": 1, "output": 1}, tiers=tiers)
    assert call(world, model="tiered", ago=timedelta(0))["prompt_cost"] == 1_000_000_000
    row = call(world, model="tiered", prompt_tokens=1_001, ago=timedelta(0))
    assert (row["prompt_cost"], row["completion_cost"]) == (10_010_000_000, 100_000_000)


def test_another_organization_has_its_own_prices(world: World) -> None:
    add(world, effective_from=None)
    span = {"kind": "llm", "provider": "openai", "model": "gpt-4o", "prompt_tokens": 1_000, "completion_tokens": 100}
    moment = timezone.now().isoformat()
    body = {"spans": [{**span, "trace_id": "z" * 32, "start_time": moment, "duration_ms": 1}]}
    world.client.post("/api/v1/traces", body, content_type="application/json", headers=bearer(world.zenith_key))
    assert [row["total_cost"] for row in stored() if row["trace_id"] == "z" * 32] == [3_500_000_000]
    assert world.get(PATH, key=world.zenith_key).json()["data"] == []
    mine = world.get(PATH).json()["data"][0]["id"]
    for method in ("GET", "PATCH", "DELETE"):
        assert world.send(method, f"{PATH}/{mine}", key=world.zenith_key).status_code == 404


def test_a_change_supersedes_and_what_was_believed_can_be_asked(world: World) -> None:
    first = add(world, effective_from="2026-01-01T00:00:00Z", note="as signed")
    changed = world.send("PATCH", f"{PATH}/{first['id']}", {"prices": {"input": 3, "output": 9}}).json()
    assert (changed["version"], changed["prices"], changed["note"]) == (2, {"input": 3, "output": 9}, "as signed")
    history = world.get(f"{PATH}/{first['id']}").json()["history"]
    assert [state["version"] for state in history] == [1, 2]
    assert history[0]["superseded_at"] == history[1]["recorded_at"]
    assert history[0]["prices"] == {"input": 2, "cache_read": 0.5, "output": 8}
    believed = world.get(PATH, at=history[0]["recorded_at"]).json()["data"]
    assert [one["version"] for one in believed] == [1]
    assert [one["version"] for one in world.get(PATH).json()["data"]] == [2]
    long_ago = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    assert world.get(PATH, at=long_ago).json()["data"] == []
    assert world.get(PATH, as_of="2025-12-31T23:59:59Z").json()["data"] == []
    assert len(world.get(PATH, as_of="2026-01-01T00:00:00Z").json()["data"]) == 1


def test_put_says_all_of_it_anew(world: World) -> None:
    made = add(world, effective_from=None, note="n", tiers=[{"above": 5, "prices": {"input": 1}}])
    put = world.send("PUT", f"{PATH}/{made['id']}", {"model": "gpt-4o", "prices": {"input": 1}}).json()
    assert (put["provider"], put["note"], put["tiers"], put["effective_from"]) == (None, "", [], None)


def test_two_entries_never_hold_for_the_same_calls(world: World) -> None:
    first = add(world, effective_from="2026-01-01T00:00:00Z", effective_to="2026-03-01T00:00:00Z")
    for begin, end in (("2026-02-01", None), (None, "2026-01-02"), ("2025-01-01", "2027-01-01"), (None, None)):
        given = {
            name: None if day is None else f"{day}T00:00:00Z"
            for name, day in zip(("effective_from", "effective_to"), (begin, end), strict=True)
        }
        answer = world.send("POST", PATH, {**OWN, **given})
        assert (answer.status_code, error(answer)[0]) == (409, 1400)
        assert answer.json()["error"]["details"]["overlaps"]["id"] == first["id"]
    later = add(world, effective_from="2026-03-01T00:00:00Z")  # they touch
    for other in ({"provider": None}, {"service_tier": "batch"}, {"match": "prefix"}, {"model": "gpt-4o-mini"}):
        add(world, effective_from=None, **other)
    answer = world.send("PATCH", f"{PATH}/{later['id']}", {"effective_from": "2026-02-28T23:59:59Z"})
    assert error(answer)[0] == 1400
    assert world.send("PATCH", f"{PATH}/{first['id']}", {"note": "its own time is no overlap"}).status_code == 200


def test_ending_keeps_the_past_and_withdrawing_does_not(world: World) -> None:
    ended, gone = add(world, effective_from=None), add(world, effective_from=None, model="other")
    planned = add(world, model="planned", effective_from="2999-01-01T00:00:00Z")
    for one, query in ((ended, ""), (gone, "?withdraw=true"), (planned, "")):
        assert world.send("DELETE", f"{PATH}/{one['id']}{query}").status_code == 204
    assert [one["model"] for one in world.get(PATH).json()["data"]] == ["gpt-4o"]
    assert world.get(PATH, as_of=timezone.now().isoformat()).json()["data"] == []
    assert call(world, timedelta(hours=1))["total_cost"] == 2_800_000_000
    assert call(world, timedelta(0), name="after the end")["total_cost"] == 3_500_000_000
    assert error(world.send("DELETE", f"{PATH}/{ended['id']}"))[0] == 1402
    assert error(world.send("PATCH", f"{PATH}/{gone['id']}", {"note": "x"}))[0] == 1402
    assert len(world.get(f"{PATH}/{gone['id']}").json()["history"]) == 1


def test_a_change_on_top_of_a_change_unseen_is_refused(world: World) -> None:
    made = add(world)
    assert world.send("PATCH", f"{PATH}/{made['id']}", {"note": "a", "expected_version": 1}).status_code == 200
    answer = world.send("PATCH", f"{PATH}/{made['id']}", {"note": "b", "expected_version": 1})
    assert error(answer) == (1402, "expected_version")


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"prices": {"input": -1}}, "prices.input"),
        ({"prices": {"input": "-0"}}, "prices.input"),
        ({"prices": {"input": "NaN"}}, "prices.input"),
        ({"prices": {"input": "1e2"}}, "prices.input"),
        ({"prices": {"input": "0.1234567890123"}}, "prices.input"),
        ({"prices": {"input": 1e-13}}, "prices.input"),
        ({"prices": {"output": 1_000_001}}, "prices.output"),
        ({"prices": {"output": 1e300}}, "prices.output"),
        ({"prices": {"output": True}}, "prices.output"),
        ({"prices": {"imput": 1}}, "prices.imput"),
        ({"prices": {}}, "prices"),
        ({"prices": [1]}, "prices"),
        ({"tiers": [{"above": 0, "prices": {"input": 1}}]}, "tiers.0.above"),
        ({"tiers": [{"above": 10, "prices": {"reasoning": 1}}]}, "tiers.0.prices.reasoning"),
        ({"tiers": [{"above": 10, "prices": {"input": 1}}] * 2}, "tiers"),
        ({"tiers": {}}, "tiers"),
        ({"match": "regex", "model": "(a+)+$"}, "model"),
        ({"match": "regex", "model": "("}, "model"),
        ({"match": "regex", "model": ".*"}, "model"),
        ({"match": "like"}, "match"),
        ({"model": ""}, "model"),
        ({"model": "x" * 257}, "model"),
        ({"provider": " "}, "provider"),
        ({"service_tier": "gold"}, "service_tier"),
        ({"effective_from": "2026-01-01T00:00:00"}, "effective_from"),
        ({"effective_from": "0001-01-01T00:00:00Z"}, "effective_from"),
        ({"effective_from": "2026-01-02T00:00:00Z", "effective_to": "2026-01-02T00:00:00Z"}, "effective_to"),
        ({"price": 3}, "price"),
    ],
)
def test_what_is_no_price_is_refused(world: World, given: dict[str, Any], field: str) -> None:
    answer = world.send("POST", PATH, {**OWN, **given})
    assert answer.status_code == 400, answer.content
    assert error(answer)[1] == field
    assert 1200 <= error(answer)[0] < 1300


@pytest.mark.parametrize(
    ("model", "end"),
    [
        ("(a+)+$", "has a repeat or a choice inside a repeated group, which can backtrack without end."),
        (r"(a)\1", "refers back to a group, which is not allowed."),
    ],
)
def test_what_is_wrong_with_an_expression_is_a_sentence(world: World, model: str, end: str) -> None:
    answer = world.send("POST", PATH, {**OWN, "match": "regex", "model": model})
    assert answer.json()["error"]["message"] == f"The expression {end}"


def test_twelve_decimals_are_kept_exactly(world: World) -> None:
    made = add(world, prices={"input": "0.000000000001", "output": "1000000"}, model="fine")
    assert b'"input":0.000000000001' in world.get(f"{PATH}/{made['id']}").content.replace(b" ", b"")
    # a thousand tokens at 1e-18 dollars round to nothing, and a hundred at a dollar do not
    row = call(world, timedelta(0), model="fine")
    assert (row["prompt_cost"], row["completion_cost"]) == (0, 100 * 10**12)


def test_a_model_is_shown_with_what_holds_for_it(world: World) -> None:
    listed = world.get(PATH, model="gpt-4o", provider="openai").json()
    assert listed["holds"]["origin"] == "list"
    prices = listed["listed"][0]["prices"]
    assert (prices["input"], prices["cache_read"], prices["output"], prices["web_search"]) == (2.5, 1.25, 10, 0.01)
    assert listed["listed"][0]["price_version_id"] == listed["holds"]["price_version_id"]
    exact, family = add(world, effective_from=None), add(world, model="gpt-", match="prefix", effective_from=None)
    add(world, model="claude-", match="prefix", provider=None)
    shown = world.get(PATH, model="openai/gpt-4o-2024-08-06").json()
    assert [one["id"] for one in shown["data"]] == [exact["id"], family["id"]]
    assert shown["holds"] == {"origin": "override", "price_version_id": exact["price_version_id"], "reason": None}
    unknown = world.get(PATH, model="nobody-knows").json()
    assert (unknown["data"], unknown["listed"], unknown["holds"]["origin"]) == ([], [], "none")


def test_changes_are_audited_and_a_part_of_the_projects_is_not_enough(world: World) -> None:
    made = add(world)
    world.send("PATCH", f"{PATH}/{made['id']}", {"prices": {"input": 1}})
    world.send("DELETE", f"{PATH}/{made['id']}")
    entries = AuditEntry.objects.filter(object_type="price").order_by("pk")
    assert [entry.action for entry in entries] == ["price.create", "price.update", "price.end"]
    assert entries[1].before == {"prices": {"input": "2", "cache_read": "0.5", "output": "8"}}
    limited = world.send("POST", PATH, OWN, key=world.key)
    assert (limited.status_code, error(limited)[0]) == (403, 1102)
    assert world.get(PATH, key=world.key).status_code == 200
