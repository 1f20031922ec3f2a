"""Exports of metrics and costs say what the API says of the same question, and are proven against raw spans."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import time_machine

from apps.exports.sources import windows
from tests.exports.questions import END, RANGE, answered, exported, fill_world
from tests.metrics.test_oracle import NOW
from tests.support.cells import clear_cells
from tests.support.world import World, make_world

pytestmark = pytest.mark.django_db(transaction=True)

MANY = [
    {"metric": "request_count"},
    {"metric": "total_cost"},
    {"metric": "total_tokens", "aggregation": "max"},
    {"metric": "duration", "aggregation": "p95"},
    {"metric": "unique_users"},
    {"metric": "throughput"},
    {"metric": "error_rate"},
]
TTFT = [{"metric": "ttft", "aggregation": "p90"}]
QUESTIONS: tuple[dict[str, Any], ...] = (
    {"metrics": MANY},
    {"metrics": MANY, "group_by": ["project", "model"]},
    {"metrics": MANY, "interval": "1hour", "group_by": ["provider", "status"]},
    {"metrics": MANY, "interval": "1day", "timezone": "America/New_York", "group_by": ["user_id"]},
    {"metrics": MANY, "interval": "1week", "timezone": "Europe/Berlin", "group_by": ["environment", "kind"]},
    {"metrics": MANY, "interval": "1month", "timezone": "Australia/Lord_Howe"},
    {"metrics": MANY, "interval": "1hour", "timezone": "Australia/Lord_Howe"},
    {"metrics": MANY, "interval": "6hour", "timezone": "Asia/Kathmandu", "group_by": ["session_id"]},
    {"metrics": MANY[:2], "interval": "1hour", "fill": "zero", "group_by": ["model"]},
    {"metrics": MANY[:2], "interval": "6hour", "fill": "null"},
    {"metrics": TTFT, "interval": "1hour", "group_by": ["user_id"]},
    {"metrics": TTFT, "interval": "6hour", "group_by": ["model"], "fill": "null"},
    {"metrics": MANY[:2], "group_by": ["name", "environment"], "filters": {"status": ["ok", None], "provider": None}},
    {
        "metrics": MANY[:2],
        "interval": "1hour",
        "filters": [
            {"field": "user_id", "operator": "not_in", "value": ["ann", None]},
            {"field": "environment", "operator": "ne", "value": "staging"},
            {"field": "project", "operator": "ne", "value": "web"},
        ],
    },
)


@pytest.fixture
def world(transactional_db: None) -> Iterator[World]:
    clear_cells()
    with time_machine.travel(NOW, tick=False):
        yield make_world()
    clear_cells()


@pytest.fixture(params=["raw", "refreshed", "late"])
def filled(request: pytest.FixtureRequest, world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(windows, "MOST_ROWS", 40)
    monkeypatch.setattr(windows, "FIRST", 11)
    fill_world(world, request.param)
    return world


def test_metrics_are_what_the_query_answers(filled: World) -> None:
    for body in QUESTIONS:
        rows, made = exported(filled, "metrics", body)
        assert rows == answered(filled, body), body
        assert rows, body
        proof = made.manifest["proof"]
        assert proof["not_compared"] == {}, body
        assert proof["compared"]["sql"] == ["rows", "requests", "total_cost_usd", "total_tokens"]
        assert proof["compared"]["engine"] == ["requests", "total_cost_usd", "total_tokens"]


def test_costs_add_up_to_the_total(filled: World) -> None:
    for body in (
        {},
        {"interval": "1hour", "group_by": ["team", "user_id", "session_id"], "timezone": "Asia/Kathmandu"},
        {"interval": "none", "group_by": ["environment"], "status": "error"},
        {"interval": "1week", "group_by": [], "tag": "team:x"},
        {"interval": "1month", "group_by": ["kind"], "model": ["gpt-4o"], "user_id": ["ann", "bob"]},
    ):
        rows, made = exported(filled, "costs", body)
        query: dict[str, Any] = {
            name: ",".join(value) if isinstance(value, list) else value
            for name, value in body.items()
            if name not in ("group_by", "interval")
        }
        found = json.loads(filled.get("/api/v1/costs", **RANGE, **query).content, parse_float=Decimal)["totals"]
        for name in ("total_cost_usd", "prompt_cost_usd", "completion_cost_usd", "total_tokens", "prompt_tokens"):
            assert sum(row[name] or 0 for row in rows) == (found[name] or 0), (body, name)
        for name, total in (("request_count", "requests"), ("priced_requests", "priced_requests")):
            assert sum(row[name] for row in rows) == found[total], body
        assert all(row["unpriced_requests"] == row["request_count"] - row["priced_requests"] for row in rows)
        assert made.manifest["proof"]["not_compared"] == {}
        assert rows, body


def test_a_limit_takes_the_first_rows_and_says_so(filled: World) -> None:
    body = {"metrics": MANY[:3], "interval": "1day", "group_by": ["project", "environment", "user_id"]}
    whole, made = exported(filled, "metrics", body)
    assert not made.manifest["truncated"]
    for limit in (13, len(whole) - 1, len(whole)):
        rows, made = exported(filled, "metrics", {**body, "limit": limit})
        assert rows == whole[:limit]
        assert made.manifest["truncated"] == (limit < len(whole))
        proof = made.manifest["proof"]
        assert proof["compared"]["sql"] == ["rows", "requests", "total_cost_usd", "total_tokens"]
        assert set(proof["not_compared"]) == ({"engine"} if limit < len(whole) else set())


def test_fields_choose_and_order_columns(filled: World) -> None:
    rows, _ = exported(filled, "costs", {"fields": ["total_cost_usd", "timestamp"], "group_by": []})
    assert rows
    assert all(list(row) == ["total_cost_usd", "timestamp"] for row in rows)
    assert all(row["timestamp"] < END for row in rows)
