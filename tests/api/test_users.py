"""Users over the API, against the same computed in Python from the spans that were sent."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from apps.metrics.refresh import refresh
from tests.support.conversations import conversations, turns
from tests.support.conversing import END, START, table, tell_conversations
from tests.support.world import World

pytestmark = pytest.mark.django_db(transaction=True)
User = dict[str, Any]


@pytest.fixture
def told(transactional_db: None) -> World:
    return tell_conversations()


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def expected(projects: list[int]) -> dict[str, User]:
    """By the words of docs/conversations.md."""
    spans = [span for span in table("span") if span["project_id"] in projects]
    traces = {(turn["project_id"], turn["trace_id"]): turn for turn in turns(spans)}
    made: dict[str, User] = {}
    for span in spans:
        user = _first(span["user_id"], traces[span["project_id"], span["trace_id"]]["user_id"])
        if user is not None and span["billable"] and START <= span["start_time"] < END:
            made.setdefault(user, {"spans": []})["spans"].append(span)
    began = [one for one in conversations(spans).values() if START <= one["first_start"] < END]
    for user, one in made.items():
        rows = one.pop("spans")
        costs = [row["total_cost"] for row in rows if row["total_cost"] is not None]
        starts = sorted(turn["start"] for turn in traces.values() if turn["user_id"] == user)
        starts = [start for start in starts if START <= start < END]
        errors = sum(row["status"] == "error" for row in rows)
        one |= {
            "user_id": user,
            "requests": len(rows),
            "errors": errors,
            "error_rate": pytest.approx(errors / len(rows)),
            "total_cost_usd": float(Decimal(sum(costs)).scaleb(-12)) if costs else None,
            "prompt_tokens": sum(row["prompt_tokens"] for row in rows),
            "completion_tokens": sum(row["completion_tokens"] for row in rows),
            "total_tokens": sum(row["total_tokens"] for row in rows),
            "avg_duration_ms": pytest.approx(sum(row["duration_us"] for row in rows) / len(rows) / 1000),
            "sessions": sum(conversation["user_id"] == user for conversation in began),
            "first_seen": starts[0].isoformat().replace("+00:00", "Z") if starts else None,
            "last_seen": starts[-1].isoformat().replace("+00:00", "Z") if starts else None,
        }
    return made


def everybody(world: World, **parameters: Any) -> list[User]:
    """All pages of a list."""
    rows: list[User] = []
    asked = {"start_time": START.isoformat(), "end_time": END.isoformat(), "limit": 1, **parameters}
    while True:
        answer = world.get("/api/v1/users", **asked)
        assert answer.status_code == 200, answer.content
        rows += answer.json()["data"]
        cursor = answer.json()["pagination"]["next_cursor"]
        if cursor is None:
            return rows
        asked["cursor"] = cursor


ORDERS: dict[str, Callable[[User], Any]] = {
    "total_cost_usd": lambda user: user["total_cost_usd"],
    "requests": lambda user: user["requests"],
    "errors": lambda user: user["errors"],
    "total_tokens": lambda user: user["total_tokens"],
    "last_seen": lambda user: user["last_seen"],
}


def test_figures_and_orders_before_and_after_a_refresh(told: World) -> None:
    for _ in ("before", "after"):
        for projects, parameters in (
            ([told.default.pk, told.web.pk], {}),
            ([told.web.pk], {"project": "web"}),
        ):
            users = expected(projects)
            assert len(users) == 2
            for name, key in ORDERS.items():
                for order in ("asc", "desc"):
                    wanted = sorted(users.values(), key=lambda user: user["user_id"])
                    wanted.sort(key=key, reverse=order == "desc")
                    assert everybody(told, sort_by=name, sort_order=order, **parameters) == wanted, (name, order)
        refresh()


def test_search_user_and_total(told: World) -> None:
    users = expected([told.default.pk, told.web.pk])
    for order in ("requests", "last_seen"):
        assert everybody(told, search="an", sort_by=order) == [users["ann"]]
        assert everybody(told, user_id="bob,nobody", sort_by=order) == [users["bob"]]
        assert everybody(told, search="%", sort_by=order) == []
        answer = told.get(
            "/api/v1/users",
            start_time=START.isoformat(),
            end_time=END.isoformat(),
            include_total="true",
            sort_by=order,
            fields="user_id",
        ).json()
        assert answer["pagination"] == {"limit": 50, "next_cursor": None, "has_more": False, "total": 2}
        assert {tuple(row) for row in answer["data"]} == {("user_id",)}


def test_pages_keep_the_range_of_the_first(told: World) -> None:
    first = told.get("/api/v1/users", limit=1).json()
    second = told.get("/api/v1/users", limit=1, cursor=first["pagination"]["next_cursor"]).json()
    assert second["metadata"]["end_time"] == first["metadata"]["end_time"]
    assert second["data"][0]["user_id"] != first["data"][0]["user_id"]


@pytest.mark.parametrize(
    ("parameters", "code"),
    [({"sort_by": "cost"}, 1202), ({"search": ""}, 1202), ({"model": "gpt-4o"}, 1202), ({"cursor": "x"}, 1203)],
)
def test_refusals(world: World, parameters: dict[str, Any], code: int) -> None:
    assert world.get("/api/v1/users", **parameters).json()["error"]["code"] == code
