"""Conversations over the API, against the same computed in Python from the spans that were sent."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest

from apps.metrics.refresh import refresh
from tests.support.conversations import Row, conversations
from tests.support.conversing import END, START, table, tell_conversations
from tests.support.world import World

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def told(transactional_db: None) -> World:
    return tell_conversations()


def expected(world: World) -> list[Row]:
    slugs = {world.default.pk: "default", world.web.pk: "web"}
    found = conversations(table("span"), table("score")).values()
    return [{**row, "project": slugs[row["project_id"]]} for row in found]


def zulu(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def as_shown(row: Row) -> dict[str, Any]:
    """What the API should say of a conversation, costs as decimals."""
    return {
        "session_id": row["session_id"],
        "project": row["project"],
        "user_id": row["user_id"],
        "users": row["users"],
        "environment": row["environment"] or "default",
        "start_time": zulu(row["first_start"]),
        "last_turn_time": zulu(row["last_start"]),
        "last_activity": zulu(row["end_time"]),
        "duration_ms": row["duration_us"] / 1000,
        **{name: row[name] for name in ("turns", "error_turns", "request_count", "error_count")},
        "has_error": row["error_count"] > 0,
        "last_turn_error": row["last_error"],
        "resolved": row["resolved"],
        **{
            f"{kind}_tokens": row[f"{kind}_tokens"] for kind in ("prompt", "completion", "total", "cached", "reasoning")
        },
        **{
            f"{kind}_cost_usd": None if row[f"{kind}_cost"] is None else float(row[f"{kind}_cost"].scaleb(-12))
            for kind in ("prompt", "completion", "total")
        },
    }


def in_range(row: Row) -> bool:
    return bool(START <= row["first_start"] < END)


def everything(world: World, **parameters: Any) -> list[dict[str, Any]]:
    """All pages of a list."""
    rows: list[dict[str, Any]] = []
    asked = {"start_time": START.isoformat(), "end_time": END.isoformat(), "limit": 5, **parameters}
    while True:
        answer = world.get("/api/v1/sessions", **asked)
        assert answer.status_code == 200, answer.content
        rows += answer.json()["data"]
        cursor = answer.json()["pagination"]["next_cursor"]
        if cursor is None:
            return rows
        asked["cursor"] = cursor


FILTERS: list[tuple[dict[str, Any], Callable[[Row], bool]]] = [
    ({}, lambda row: True),
    ({"project": "web"}, lambda row: row["project"] == "web"),
    ({"session_id": "s a/a,s b/b"}, lambda row: row["session_id"] in ("s a/a", "s b/b")),
    ({"user_id": "ann"}, lambda row: row["user_id"] == "ann"),
    ({"environment": "default"}, lambda row: row["environment"] is None),
    ({"min_turns": 2, "max_turns": 3}, lambda row: 2 <= row["turns"] <= 3),
    ({"min_cost": "3.5"}, lambda row: row["total_cost"] is not None and row["total_cost"] >= Decimal("3.5e12")),
    ({"max_duration_ms": 50_000_000}, lambda row: row["duration_us"] <= 50_000_000_000),
    ({"min_tokens": 2_400}, lambda row: row["total_tokens"] is not None and row["total_tokens"] >= 2_400),
    ({"has_error": "false"}, lambda row: row["error_count"] == 0),
    ({"has_error": "true"}, lambda row: row["error_count"] > 0),
    ({"resolved": "true"}, lambda row: row["resolved"] is True),
    ({"resolved": "false"}, lambda row: row["resolved"] is False),
]
SORTS: dict[str, Callable[[Row], Any]] = {
    "start_time": lambda row: row["first_start"],
    "last_activity": lambda row: row["end_time"],
    "turns": lambda row: row["turns"],
    "duration_ms": lambda row: row["duration_us"],
    "total_cost_usd": lambda row: row["total_cost"],
}


def in_order(rows: list[Row], name: str, descending: bool) -> list[Row]:
    key = SORTS[name]
    known = [row for row in rows if key(row) is not None]
    unknown = [row for row in rows if key(row) is None]
    known.sort(key=lambda row: (key(row), row["project_id"], row["session_id"]), reverse=descending)
    unknown.sort(key=lambda row: (row["project_id"], row["session_id"]), reverse=descending)
    return known + unknown


def test_filters_and_orders_before_and_after_a_refresh(told: World) -> None:
    for _ in ("before", "after"):
        rows = [row for row in expected(told) if in_range(row)]
        assert len(rows) > 12
        for parameters, keep in FILTERS:
            wanted = [as_shown(row) for row in in_order(list(filter(keep, rows)), "start_time", True)]
            assert everything(told, **parameters) == wanted, parameters
        for name in SORTS:
            for order in ("asc", "desc"):
                wanted = [as_shown(row) for row in in_order(rows, name, order == "desc")]
                assert everything(told, sort_by=name, sort_order=order) == wanted, (name, order)
        refresh()


def test_a_page_counts_all_and_keeps_the_fields_asked_for(told: World) -> None:
    count = sum(in_range(row) for row in expected(told))
    asked: dict[str, Any] = {"start_time": START.isoformat(), "end_time": END.isoformat(), "limit": 2}
    answer = told.get("/api/v1/sessions", **asked, include_total="true", fields="turns,session_id").json()
    assert answer["pagination"]["total"] == count
    assert [set(row) for row in answer["data"]] == [{"turns", "session_id"}] * 2


def test_one_conversation_with_its_turns(told: World) -> None:
    for _ in ("before", "after"):
        spans = table("span")
        for row in expected(told):
            path = f"/api/v1/sessions/{quote(row['session_id'])}"
            turns: list[Any] = []
            cursor: dict[str, str] = {}
            while True:
                answer = told.get(path, project=row["project"], limit=2, **cursor)
                assert answer.status_code == 200, answer.content
                data = answer.json()["data"]
                turns += data.pop("traces")
                if not answer.json()["pagination"]["has_more"]:
                    break
                cursor = {"cursor": answer.json()["pagination"]["next_cursor"]}
            mine = {turn["trace_id"] for turn in turns}
            used = [span for span in spans if span["trace_id"] in mine and span["billable"]]
            assert data.pop("models") == sorted({span["model"] for span in used})
            assert data.pop("providers") == sorted({span["provider"] for span in used})
            verdicts = data.pop("scores")
            assert {score["session_id"] for score in verdicts} <= {row["session_id"]}
            assert (row["resolved"] is not None) == bool(verdicts)
            assert data == as_shown(row)
            assert len(turns) == row["turns"]
            assert [turn["start_time"] for turn in turns] == sorted(turn["start_time"] for turn in turns)
        refresh()


def test_what_is_not_there_and_what_is_meant_twice(told: World) -> None:
    seen: dict[str, set[str]] = {}
    for row in expected(told):
        seen.setdefault(row["session_id"], set()).add(row["project"])
    twice = next(name for name, projects in seen.items() if len(projects) == 2)
    answer = told.get(f"/api/v1/sessions/{quote(twice)}")
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == 1201
    assert answer.json()["error"]["details"] == {"projects": ["default", "web"]}
    for name in ("nothing", "%00"):
        answer = told.get(f"/api/v1/sessions/{name}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, 1300)
    answer = told.get(f"/api/v1/sessions/{quote(twice)}", key=told.zenith_key)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, 1300)


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"sort_by": "turn"}, 1202),
        ({"min_turns": "many"}, 1203),
        ({"min_cost": -1}, 1202),
        ({"start_time": "2026-11-05T00:00:00Z", "end_time": "2026-11-04T00:00:00Z"}, 1204),
        ({"resolved": "perhaps"}, 1203),
        ({"user": "ann"}, 1202),
        ({"cursor": "x"}, 1203),
        ({"fields": "turn"}, 1202),
    ],
)
def test_refusals(world: World, parameters: dict[str, Any], code: int) -> None:
    answer = world.get("/api/v1/sessions", **parameters)
    assert answer.json()["error"]["code"] == code
