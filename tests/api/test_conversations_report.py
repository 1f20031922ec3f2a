"""The report on conversations, against the same computed in Python from the spans and scores that were sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine

from apps.metrics.refresh import refresh
from apps.traces.writer import write
from tests.metrics.oracle import bucket
from tests.support.cells import clear_cells
from tests.support.conversations import Row, conversations
from tests.support.conversing import END, START, table, tell_conversations
from tests.support.spans import T0, span_row
from tests.support.world import World, make_world

pytestmark = pytest.mark.django_db(transaction=True)
PATH = "/api/v1/metrics/conversations"
HALF_HOUR = timedelta(minutes=30)


@pytest.fixture
def told(transactional_db: None) -> World:
    return tell_conversations()


def _rank(values: Sequence[Any], percent: int) -> Any:
    return sorted(values)[-(-percent * len(values) // 100) - 1] if values else None


def _share(part: int, whole: int) -> Any:
    return pytest.approx(part / whole, abs=1e-9) if whole else None


def outcomes(rows: list[Row], as_of: datetime) -> dict[str, Any]:
    judged = [row for row in rows if row["resolved"] is not None]
    settled = [row for row in rows if row["last_end"] + HALF_HOUR <= as_of]
    abandoned = sum(row["last_error"] for row in settled)
    resolved = sum(row["resolved"] for row in judged)
    return {
        "resolution": {"rate": _share(resolved, len(judged)), "resolved": resolved, "sample_size": len(judged)},
        "abandonment": {
            "rate": _share(abandoned, len(settled)),
            "abandoned": abandoned,
            "sample_size": len(settled),
            "pending": len(rows) - len(settled),
        },
    }


def dollars(pico: Any) -> float:
    return float(Decimal(pico).scaleb(-12))


def near(value: Any, unit: float = 1.0) -> Any:
    """Within the stated error of a percentile."""
    return None if value is None else pytest.approx(float(value) * unit, rel=0.0101)


def period(rows: list[Row], as_of: datetime) -> dict[str, Any]:
    count = len(rows)
    turns = [row["turns"] for row in rows]
    costs = [row["total_cost"] for row in rows if row["total_cost"] is not None]
    tokens = [row["total_tokens"] for row in rows if row["total_tokens"] is not None]
    lengths = [row["duration_us"] / 1000 for row in rows]
    return {
        "conversations": count,
        "turns": {
            "total": sum(turns),
            "avg": _share(sum(turns), count),
            "p50": _rank(turns, 50),
            "p95": _rank(turns, 95),
            "max": max(turns, default=None),
        },
        "duration_ms": {
            "avg": pytest.approx(sum(lengths) / count) if count else None,
            "p50": near(_rank(lengths, 50)),
            "p95": near(_rank(lengths, 95)),
        },
        "cost_usd": {
            "total": dollars(sum(costs)) if costs else None,
            "avg": pytest.approx(dollars(sum(costs) / len(costs)), abs=1e-11) if costs else None,
            "p50": near(_rank(costs, 50), 1e-12),
            "p95": near(_rank(costs, 95), 1e-12),
            "sample_size": len(costs),
        },
        "tokens": {
            "total": sum(tokens) if tokens else None,
            "avg": round(sum(tokens) / len(tokens), 6) if tokens else None,
            "sample_size": len(tokens),
        },
        "errors": {
            "conversations": sum(row["error_count"] > 0 for row in rows),
            "rate": _share(sum(row["error_count"] > 0 for row in rows), count),
            "turn_rate": _share(sum(row["error_turns"] for row in rows), sum(turns)),
        },
        **outcomes(rows, as_of),
    }


def began(rows: list[Row], start: datetime, end: datetime) -> list[Row]:
    return [row for row in rows if start <= row["first_start"] < end]


def _plain(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name not in ("start_time", "end_time")}


def check(world: World, rows: list[Row], start: datetime, end: datetime, interval: str, zone: str, **more: Any) -> None:
    """The whole answer for one range."""
    asked = {"start_time": start.isoformat(), "end_time": end.isoformat(), "interval": interval, "timezone": zone}
    answer = world.get(PATH, **asked, **more)
    assert answer.status_code == 200, answer.content
    found = answer.json()
    as_of = datetime.fromisoformat(found["metadata"]["as_of"])
    mine = began(rows, start, end)
    assert _plain(found["current_period"]) == period(mine, as_of)
    assert _plain(found["previous_period"]) == period(began(rows, start - (end - start), start), as_of)
    assert sum(one["conversations"] for one in found["turns_distribution"]) == len(mine)
    for one in found["turns_distribution"]:
        inside = [row for row in mine if one["from"] <= row["turns"] <= (one["to"] or 10**9)]
        assert one["conversations"] == len(inside)
    by_bucket: dict[datetime, list[Row]] = {}
    for row in mine:
        by_bucket.setdefault(bucket(row["first_start"], interval, ZoneInfo(zone)), []).append(row)
    series = {datetime.fromisoformat(one["timestamp"]): one for one in found["series"]}
    assert set(by_bucket) <= set(series)
    for moment, one in series.items():
        members = by_bucket.get(moment, [])
        expected = period(members, as_of)
        assert one["conversations"] == len(members)
        assert one["turns_avg"] == expected["turns"]["avg"]
        assert one["duration_avg_ms"] == expected["duration_ms"]["avg"]
        assert one["cost_usd"] == expected["cost_usd"]["total"]
        assert one["resolution_rate"] == expected["resolution"]["rate"]
        assert one["abandonment_rate"] == expected["abandonment"]["rate"]


RANGES = (
    (START, END, "1day", "UTC"),  # edges inside hours
    (START + timedelta(minutes=17), END - timedelta(minutes=33), "1hour", "Europe/Berlin"),
    (START, END, "1day", "Asia/Kolkata"),  # buckets that begin inside hours
    (START + timedelta(days=2, minutes=5), START + timedelta(days=2, minutes=25), "5min", "UTC"),
)
FILTERS: list[tuple[dict[str, str], Callable[[Row], bool]]] = [
    ({}, lambda row: True),
    ({"user_id": "ann,nobody"}, lambda row: row["user_id"] == "ann"),
    ({"environment": "default"}, lambda row: row["environment"] is None),
]


def test_the_report_before_and_after_a_refresh(told: World) -> None:
    for _ in ("before", "after"):
        rows = list(conversations(table("span"), table("score")).values())
        assert len(began(rows, START, END)) > 12
        for start, end, interval, zone in RANGES:
            check(told, rows, start, end, interval, zone)
        for parameters, keep in FILTERS:
            check(told, list(filter(keep, rows)), START, END, "1day", "UTC", **parameters)
        web = [row for row in rows if row["project_id"] == told.web.pk]
        check(told, web, START, END, "1day", "UTC", project="web")
        refresh()


def test_a_last_turn_is_pending_for_half_an_hour(transactional_db: None) -> None:
    clear_cells()
    world = make_world()
    with time_machine.travel(T0 + timedelta(minutes=1), tick=False):
        write([span_row(project_id=world.default.pk, session_id="s", status="error", duration_us=0)])
        refresh()
    asked = {"start_time": (T0 - timedelta(hours=1)).isoformat(), "end_time": (T0 + timedelta(hours=2)).isoformat()}
    seen, etags = [], []
    for minutes in (29, 30, 31, 32):
        with time_machine.travel(T0 + timedelta(minutes=minutes), tick=False):
            answer = world.get(PATH, **asked)
            found = answer.json()["current_period"]["abandonment"]
            seen.append((found["abandoned"], found["sample_size"], found["pending"]))
            etags.append(answer.headers["ETag"])
    # The answer is as of the last full minute: T0 lies 15 seconds behind one.
    assert seen == [(0, 0, 1), (0, 0, 1), (1, 1, 0), (1, 1, 0)]
    assert len(set(etags)) == 3, "an ETag changes by the minute while a conversation is pending, and not after"
    assert etags[2] == etags[3]


def test_what_is_older_than_what_is_kept_is_refused(world: World) -> None:
    old = datetime.now(UTC) - timedelta(days=200)
    answer = world.get(PATH, start_time=old.isoformat())
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, 1204)
    assert "kept_since" in answer.json()["error"]["details"]
    nothing = world.get(PATH).json()
    assert nothing["current_period"]["conversations"] == 0
    assert nothing["current_period"]["resolution"] == {"rate": None, "resolved": 0, "sample_size": 0}
    assert {row["conversations"] for row in nothing["series"]} == {0}


@pytest.mark.parametrize(("parameters", "code"), [({"model": "gpt-4o"}, 1202), ({"interval": "2day"}, 1202)])
def test_refusals(world: World, parameters: dict[str, Any], code: int) -> None:
    assert world.get(PATH, **parameters).json()["error"]["code"] == code
