"""The list of traces against traces put together from the raw rows."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from tests.oracle import raw
from tests.oracle.conftest import Asked
from tests.oracle.money import near, same_money

pytestmark = [pytest.mark.django_db, pytest.mark.xdist_group("oracle-traces")]
Row = dict[str, Any]


def listed(hub: Asked, **parameters: Any) -> list[Row]:
    """All pages of the list, small ones."""
    found: list[Row] = []
    cursor: dict[str, str] = {}
    while True:
        page = hub.get("/api/v1/traces", limit=37, **hub.range, **parameters, **cursor)
        found += page["data"]
        if not page["pagination"]["has_more"]:
            assert page["pagination"]["next_cursor"] is None
            return found
        cursor = {"cursor": page["pagination"]["next_cursor"]}


def wanted(hub: Asked) -> list[Row]:
    made = raw.traces().filter(pl.col("first_start").is_between(hub.start, hub.end, closed="left"))
    return [
        {**row, "environment": row["trace_environment"] or "default", "status": row["status"] or "unset"}
        for row in made.to_dicts()
    ]


def test_every_trace_with_its_figures(hub: Asked) -> None:
    want = {row["trace_id"]: row for row in wanted(hub)}
    rows = listed(hub)
    assert len(rows) == len(want)
    assert [row["start_time"] for row in rows] == sorted((row["start_time"] for row in rows), reverse=True)
    for row in rows:
        one = want[row["trace_id"]]
        assert (row["name"], row["status"]) == (one["name"], one["status"])
        assert (row["span_count"], row["request_count"], row["error_count"]) == (
            one["spans"],
            one["requests"],
            one["errors"],
        )
        assert (row["user_id"], row["session_id"]) == (one["trace_user_id"], one["trace_session_id"])
        assert row["environment"] == one["environment"]
        assert (row["tags"] or None) == (one["trace_tags"] or None)
        assert same_money(row["total_cost_usd"], one["total_cost"])
        assert row["total_tokens"] == one["total_tokens"]
        assert float(row["duration_ms"]) == near(one["duration"] / 1000)
        assert (row["models"], row["providers"]) == (one["models"], one["providers"])


Keep = Callable[[Row], bool]
FILTERS: list[tuple[dict[str, str], Keep]] = [
    ({"user_id": "ada"}, lambda row: row["trace_user_id"] == "ada"),
    ({"session_id": "chat-1,chat-2"}, lambda row: row["trace_session_id"] in ("chat-1", "chat-2")),
    ({"environment": "default"}, lambda row: row["environment"] == "default"),
    ({"model": "gpt-4o"}, lambda row: "gpt-4o" in row["models"]),
    ({"provider": "anthropic,google"}, lambda row: bool({"anthropic", "google"} & set(row["providers"]))),
    ({"status": "unset"}, lambda row: row["status"] == "unset"),
    ({"name": "plan"}, lambda row: row["name"] == "plan"),
    ({"tag": "team:red"}, lambda row: "team:red" in (row["trace_tags"] or ())),
    ({"has_error": "true"}, lambda row: row["errors"] > 0),
    ({"has_error": "false", "user_id": "ben"}, lambda row: row["errors"] == 0 and row["trace_user_id"] == "ben"),
    ({"min_duration_ms": "30000"}, lambda row: row["duration"] >= 30_000_000),
    ({"min_cost": "0.02"}, lambda row: row["total_cost"] is not None and row["total_cost"] >= 2 * 10**10),
    ({"max_cost": "0.02"}, lambda row: row["total_cost"] is not None and row["total_cost"] <= 2 * 10**10),
    ({"max_tokens": "9000"}, lambda row: row["total_tokens"] is not None and row["total_tokens"] <= 9000),
]


@pytest.mark.parametrize(
    ("parameters", "keep"), FILTERS, ids=lambda one: str(one)[:60] if isinstance(one, dict) else ""
)
def test_filters(hub: Asked, parameters: dict[str, str], keep: Keep) -> None:
    found = {row["trace_id"] for row in listed(hub, **parameters)}
    assert found == {row["trace_id"] for row in wanted(hub) if keep(row)}
    assert found, "a filter that meets nothing shows nothing"


@pytest.mark.parametrize(("order", "column"), [("total_cost_usd", "total_cost"), ("duration_ms", "duration")])
@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_orders(hub: Asked, order: str, column: str, direction: str) -> None:
    rows = listed(hub, sort_by=order, sort_order=direction)
    values = [row[order] for row in rows]
    known = [Decimal(value) for value in values if value is not None]
    assert known == sorted(known, reverse=direction == "desc")
    assert all(value is None for value in values[len(known) :])
    assert sorted(row["trace_id"] for row in rows) == sorted(row["trace_id"] for row in wanted(hub))
