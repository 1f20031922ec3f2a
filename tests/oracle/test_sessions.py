"""Conversations and users against the raw rows."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from tests.oracle import raw
from tests.oracle.conftest import Asked
from tests.oracle.money import near, number, same_money

pytestmark = [pytest.mark.django_db, pytest.mark.xdist_group("oracle-sessions")]


def sessions() -> dict[tuple[int, str], pl.DataFrame]:
    """The turns of every conversation, in order."""
    turns = raw.traces().filter(pl.col("trace_session_id").is_not_null()).sort("first_start", "trace_id")
    return dict(turns.group_by("project_id", "trace_session_id"))


def ended_in_error(turn: dict[str, Any]) -> bool:
    """By the root's status; a trace without a root by any of its spans."""
    return bool(turn["status"] == "error" if turn["status"] is not None else turn["errors"] > 0)


def total(turns: pl.DataFrame, column: str) -> int | None:
    return int(turns[column].sum()) if turns[column].count() else None


def test_every_conversation(hub: Asked) -> None:
    rows: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = hub.get("/api/v1/sessions", limit=7, **hub.range, **cursor)
        rows += page["data"]
        if not page["pagination"]["has_more"]:
            break
        cursor = {"cursor": page["pagination"]["next_cursor"]}
    shown = {(hub.projects[row["project"]], row["session_id"]): row for row in rows}
    wanted = {key: turns for key, turns in sessions().items() if hub.start <= turns["first_start"][0] < hub.end}
    assert len(shown) == len(rows)
    assert shown.keys() == wanted.keys()
    for key, turns in wanted.items():
        row, each = shown[key], turns.to_dicts()
        assert row["turns"] == len(each)
        assert row["error_turns"] == sum(map(ended_in_error, each))
        assert row["last_turn_error"] == ended_in_error(each[-1])
        assert (row["request_count"], row["error_count"]) == (turns["requests"].sum(), turns["errors"].sum())
        assert same_money(row["total_cost_usd"], total(turns, "total_cost"))
        assert row["total_tokens"] == total(turns, "total_tokens")
        users = [turn["trace_user_id"] for turn in each if turn["trace_user_id"] is not None]
        assert row["user_id"] == (users[0] if users else None)
        assert row["users"] == len(set(users))
        length = max(turn["end_time"] for turn in each) - each[0]["first_start"]
        assert float(row["duration_ms"]) == near(length.total_seconds() * 1000)


def test_every_user(hub: Asked) -> None:
    rows = raw.billable().filter(pl.col("start_time").is_between(hub.start, hub.end, closed="left"))
    shown = {row["user_id"]: row for row in hub.get("/api/v1/users", limit=1000, **hub.range)["data"]}
    parts = {key[0]: part for key, part in rows.group_by("user_id")}
    parts.pop(None, None)
    assert shown.keys() == parts.keys()
    own: dict[Any, int] = {}
    for turns in sessions().values():
        user = turns["trace_user_id"].drop_nulls().first()
        if hub.start <= turns["first_start"][0] < hub.end:
            own[user] = own.get(user, 0) + 1
    for user, part in parts.items():
        row = shown[user]
        assert (row["requests"], row["errors"]) == (part.height, (part["status"] == "error").sum())
        assert same_money(row["total_cost_usd"], total(part, "total_cost"))
        assert row["total_tokens"] == total(part, "total_tokens")
        assert row["sessions"] == own.get(user, 0)
        assert float(row["avg_duration_ms"]) == near(number(part["duration_us"].mean()) / 1000)
