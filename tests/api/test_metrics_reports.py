"""The reports over HTTP: shapes, refusals, whose spans are seen."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import time_machine

from apps.metrics.catalog import CATALOGUE
from apps.metrics.runner import Answer, answer_in
from apps.traces.writer import write
from tests.support.cells import clear_cells
from tests.support.spans import T0, T0_US, span_row

if TYPE_CHECKING:
    from tests.support.world import World

pytestmark = pytest.mark.django_db(transaction=True)
RANGE = {"start_time": "2026-11-05T12:00:00Z", "end_time": "2026-11-05T14:00:00Z"}
HOUR_US = 3_600_000_000


@pytest.fixture(autouse=True)
def _at_t0() -> Iterator[None]:
    clear_cells()
    with time_machine.travel(T0 + timedelta(hours=2), tick=False):
        yield
    clear_cells()


def refused(answer: Any, status: int, code: int, field: str | None = None) -> dict[str, Any]:
    body = answer.json()
    assert (answer.status_code, body["error"]["code"]) == (status, code), body
    if field is not None:
        assert body["error"]["field"] == field
    error: dict[str, Any] = body["error"]
    return error


def ask(world: World, path: str, **params: str) -> Any:
    return world.get(f"/api/v1/{path}", **{**RANGE, **params})


def test_performance_has_two_paths_and_one_answer(world: World) -> None:
    project = world.default.pk
    write([span_row(project_id=project, duration_us=1_000_000 * n, ttft_us=1_000) for n in range(1, 41)])
    write([span_row(project_id=project, start_us=T0_US - 2 * HOUR_US) for _ in range(2)])
    answers = [ask(world, path).json() for path in ("performance", "metrics/performance")]
    for body in answers:
        body.pop("meta")
        body["metadata"].pop("query_ms")
    assert answers[0] == answers[1]
    body = answers[0]
    assert body["metadata"] == {
        **RANGE,
        "interval": "1hour",
        "timezone": "UTC",
        "group_by": ["provider", "model"],
        "data_source": ["raw"],
        "fresh_until": None,
        "percentile_error": 0,
    }
    assert body["current_period"]["latency"]["p95_ms"] == 38_000
    assert body["changes"]["requests_change_pct"] == 1900
    assert body["slowest"] == [
        {"provider": "openai", "model": "gpt-4o", "requests": 40, "p50_ms": 20000, "p95_ms": 38000, "p99_ms": 40000}
    ]
    assert [row["timestamp"] for row in body["series"]] == ["2026-11-05T12:00:00Z"]


def test_performance_of_nothing(world: World) -> None:
    body = ask(world, "performance", compare_previous_period="false").json()
    assert body["current_period"]["requests"] == 0
    assert body["current_period"]["error_rate"] is body["current_period"]["latency"]["p95_ms"] is None
    assert body["groups"] == body["slowest"] == body["series"] == []


@pytest.mark.parametrize(
    ("path", "params", "code", "field"),
    [
        ("performance", {"group_by": "user_id"}, 1202, "group_by"),
        ("performance", {"group_by": "provider,model,kind"}, 1205, "group_by"),
        ("performance", {"interval": "2hour"}, 1202, "interval"),
        ("performance", {"limit": "0"}, 1202, "limit"),
        ("performance", {"limit": "1001"}, 1205, "limit"),
        ("performance", {"metrics": "duration"}, 1202, "metrics"),
        ("metrics/models", {"sort_by": "name"}, 1202, "sort_by"),
        ("metrics/models", {"interval": "1hour"}, 1202, "interval"),
        ("metrics/trends", {"metrics": ",".join(list(CATALOGUE)[:11])}, 1205, "metrics"),
        ("metrics/trends", {"metrics": "durations"}, 1202, "metrics"),
        ("metrics/trends", {"alpha": "0.9"}, 1202, "alpha"),
        ("metrics/trends", {"alpha": "small"}, 1203, "alpha"),
        ("metrics/trends", {"start_time": "2026-08-05T00:00:00Z", "interval": "1hour"}, 1204, "interval"),
        ("metrics/duration", {"aggregation": "p95"}, 1202, "aggregation"),
        ("metrics/duration", {"start_time": "2026-11-05T15:00:00Z"}, 1204, "start_time"),
        ("metrics/duration/timeseries", {"metrics": "ttft"}, 1202, "metrics"),
        ("metrics/duration/timeseries", {"aggregation": "p50,p95"}, 1202, "aggregation"),
    ],
)
def test_refusals(world: World, path: str, params: dict[str, str], code: int, field: str) -> None:
    refused(ask(world, path, **params), 400, code, field)


@pytest.mark.parametrize("path", ["metrics/durration", "metrics/durration/timeseries"])
def test_a_metric_that_there_is_not(world: World, path: str) -> None:
    error = refused(ask(world, path), 404, 1300, "name")
    assert error["details"]["nearest"][0] == "duration"
    assert "request_count" in error["details"]["known"]


def test_words_of_other_endpoints_are_no_metrics(world: World) -> None:
    assert "top_items" in ask(world, "metrics/summary").json()
    assert ask(world, "metrics/query").status_code == 405
    assert world.get("/api/v1/metrics/catalog").json()["data"]


def test_one_metric(world: World) -> None:
    project = world.default.pk
    write([span_row(project_id=project, duration_us=us) for us in (1_000_000, 3_000_000)])
    write([span_row(project_id=project, start_us=T0_US - 2 * HOUR_US, duration_us=1_000_000)])
    body = ask(world, "metrics/duration").json()
    assert body["metric"]["unit"] == "ms"
    assert body["value"] == body["current_period"]["values"]["avg"] == 2000
    assert body["current_period"]["values"]["p95"] == 3000
    assert body["previous_period"]["values"]["stddev"] is None
    assert body["changes_pct"]["avg"] == 100 and body["changes_pct"]["stddev"] is None
    kept = ask(world, "metrics/duration", fields="current_period.values.p95").json()
    assert kept["current_period"] == {"values": {"p95": 3000}} and "metric" not in kept


def test_a_metric_over_time(world: World) -> None:
    project = world.default.pk
    write([span_row(project_id=project), span_row(project_id=project, model="o3", start_us=T0_US + HOUR_US)])
    body = ask(world, "metrics/duration/timeseries", group_by="model", include_percentiles="true").json()
    assert [(row["timestamp"], row["model"], row["duration"]) for row in body["data"]] == [
        ("2026-11-05T12:00:00Z", "gpt-4o", 1500),
        ("2026-11-05T13:00:00Z", "o3", 1500),
    ]
    assert body["data"][0]["duration_p95"] == 1500
    assert body["metadata"]["metrics"][0] == "duration"


@pytest.mark.parametrize("path", ["performance", "metrics/models", "metrics/request_count"])
def test_other_tenants_and_projects_are_not_counted(world: World, path: str) -> None:
    write([span_row(project_id=number) for number in (world.default.pk, world.web.pk, world.zenith_project.pk)])

    def requests(body: dict[str, Any]) -> int:
        found = body.get("current_period") or body["totals"]
        return int(found.get("requests", found.get("values", {}).get("sum", 0)))

    assert requests(ask(world, path).json()) == 2
    assert requests(ask(world, path, project="web").json()) == 1
    assert requests(world.get(f"/api/v1/{path}", key=world.key, **RANGE).json()) == 1


DAY_US = 24 * HOUR_US
FIVE_WEEKS = {"start_time": "2026-10-01T00:00:00Z", "end_time": "2026-11-05T00:00:00Z", "interval": "1day"}


@pytest.fixture
def five_weeks(world: World) -> None:
    """Requests that get slower by the day, in numbers that do not change; costs that have no direction."""
    costs = random.Random(3).choices(range(1, 14), k=35)
    write(
        [
            span_row(
                project_id=world.default.pk,
                start_us=T0_US - day * DAY_US,
                duration_us=1_000_000 + (35 - day) * 50_000 + (day * 7919) % 40_000,
                total_cost=10**9 * costs[day - 1],
            )
            for day in range(1, 36)
            for _ in range(2)
        ]
    )


@pytest.mark.usefixtures("five_weeks")
def test_trends(world: World) -> None:
    body = world.get("/api/v1/metrics/trends", metrics="request_count,duration,total_cost,ttft", **FIVE_WEEKS).json()
    found = {row["metric"]: row for row in body["data"]}
    assert {name: row["direction"] for name, row in found.items()} == {
        "request_count": "flat",
        "duration": "up",
        "total_cost": "unclear",
        "ttft": "not_enough_data",
    }
    duration = found["duration"]
    assert duration["method"] == "mann_kendall_weekdays_removed" and duration["cycles"] == 5
    assert duration["points"] == 35 and duration["p_value"] <= duration["p_adjusted"] < 0.05
    assert 25 < duration["slope_per_day"] < 60 and duration["slope_per_day_low"] > 0
    share = duration["slope_per_day"] / duration["median"] * 100
    assert duration["slope_pct_per_day"] == pytest.approx(share, abs=1e-4)
    assert found["ttft"]["reason"] == "0 points with a value; a trend takes 10" and found["ttft"]["p_value"] is None
    assert body["metadata"]["alpha"] == 0.05 and body["metadata"]["correction"] == "holm"
    assert len(body["series"]) == 35 and body["series"][0]["ttft"] is None


@pytest.mark.usefixtures("five_weeks")
def test_the_level_of_significance_decides(world: World) -> None:
    def ask_at(alpha: float) -> dict[str, Any]:
        body = world.get("/api/v1/metrics/trends", metrics="total_cost", alpha=str(alpha), **FIVE_WEEKS).json()
        row: dict[str, Any] = body["data"][0]
        return row

    p = ask_at(0.05)["p_value"]
    assert 0.06 < p < 0.48
    assert ask_at(p - 0.01)["direction"] == "unclear"
    assert ask_at(p + 0.01)["direction"] in ("up", "down")


def test_trends_of_nothing(world: World) -> None:
    body = world.get("/api/v1/metrics/trends").json()
    assert {row["direction"] for row in body["data"]} == {"not_enough_data"}
    assert body["series"] == [] and body["metadata"]["interval"] == "1hour"


@pytest.mark.parametrize(
    ("chosen", "questions"),
    [("series", 1), ("changes,series.p95_ms", 3), ("slowest", 1), ("groups,current_period", 3), ("metadata", 4)],
)
def test_performance_asks_what_the_chosen_blocks_need(
    world: World, chosen: str, questions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    write([span_row(project_id=world.default.pk, start_us=T0_US)])
    whole = world.get("/api/v1/performance", **RANGE).json()
    asked: list[Any] = []

    def watched(*args: Any) -> Answer:
        asked.append(args)
        return answer_in(*args)

    monkeypatch.setattr("apps.metrics.reports.base.answer_in", watched)
    body = world.get("/api/v1/performance", **RANGE, fields=chosen).json()
    assert len(asked) == questions
    for name in chosen.split(","):
        if "." not in name and name != "metadata":
            assert body[name] == whole[name]
