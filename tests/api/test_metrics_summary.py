"""GET /api/v1/metrics/summary."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import time_machine

from apps.metrics import summary
from apps.metrics.refresh import refresh
from apps.metrics.runner import Answer, answer_in
from apps.metrics.spec import QuerySpec
from apps.traces.writer import write
from tests.support.cells import clear_cells
from tests.support.spans import T0, T0_US, span_row

if TYPE_CHECKING:
    from tests.support.world import World

pytestmark = pytest.mark.django_db(transaction=True)
HOUR_US = 3_600_000_000


@pytest.fixture(autouse=True)
def _at_t0() -> Iterator[None]:
    clear_cells()
    with time_machine.travel(T0 + timedelta(hours=2), tick=False):
        yield
    clear_cells()


@pytest.fixture
def traffic(world: World) -> None:
    project = world.default.pk
    write(
        [span_row(project_id=project, duration_us=n * 1_000_000, user_id=f"u{n % 2}") for n in range(1, 5)]
        + [
            span_row(
                project_id=project,
                model="gpt-4o-mini",
                status="error",
                error_type="rate_limit",
                error_message=f"slow down {n}",
                total_cost=None,
            )
            for n in range(3)
        ]
        + [span_row(project_id=project, status="error", error_type=None, error_message=None)]
        + [span_row(project_id=project, start_us=T0_US - 24 * HOUR_US, session_id="s") for _ in range(4)]
    )


@pytest.mark.usefixtures("traffic")
@pytest.mark.parametrize("path", ["/api/v1/metrics/summary", "/api/v1/metrics/quality"])
def test_messages_of_errors_are_content(world: World, path: str) -> None:
    def messages(**key: Any) -> set[str | None]:
        body = world.get(path, key=world.new_key(**key)[1]).json()
        errors = body.get("quality", body)["most_common_errors"]
        assert [error["count"] for error in errors] == [3, 1]
        return {error["sample_message"] for error in errors}

    assert messages(role="analyst") == {"slow down 0", None}
    assert (
        messages(role="viewer") == messages(role="billing") == messages(permissions=["metrics:read"], role="") == {None}
    )


def without_times(body: dict[str, Any]) -> dict[str, Any]:
    return {name: body[name] for name in ("current_period", "previous_period", "changes", "top_items", "quality")}


@pytest.mark.usefixtures("traffic")
def test_the_whole_summary(world: World) -> None:
    body = world.get("/api/v1/metrics/summary").json()
    assert without_times(body) == {
        "current_period": {
            "start_time": "2026-11-04T14:31:00Z",
            "end_time": "2026-11-05T14:31:00Z",
            "total_requests": 8,
            "total_cost_usd": 0.0225,
            "total_tokens": 9600,
            "avg_duration_ms": 2000,
            "p50_duration_ms": 1500,
            "p95_duration_ms": 4000,
            "p99_duration_ms": 4000,
            "error_rate": 0.5,
            "success_rate": 0.5,
            "unique_users": 2,
            "unique_sessions": 0,
        },
        "previous_period": {
            "start_time": "2026-11-03T14:31:00Z",
            "end_time": "2026-11-04T14:31:00Z",
            "total_requests": 4,
            "total_cost_usd": 0.018,
            "total_tokens": 4800,
            "avg_duration_ms": 1500,
            "p50_duration_ms": 1500,
            "p95_duration_ms": 1500,
            "p99_duration_ms": 1500,
            "error_rate": 0,
            "success_rate": 1,
            "unique_users": 0,
            "unique_sessions": 1,
        },
        "changes": {
            "requests_change_pct": 100,
            "cost_change_pct": 25,
            "tokens_change_pct": 100,
            "duration_change_pct": 33.3333,
            "error_rate_change_pct": None,
        },
        "top_items": {
            "by_cost": [{"provider": "openai", "model": "gpt-4o", "value": 0.0225, "share": 1}],
            "by_requests": [
                {"provider": "openai", "model": "gpt-4o", "value": 5, "share": 0.625},
                {"provider": "openai", "model": "gpt-4o-mini", "value": 3, "share": 0.375},
            ],
            "by_duration": [
                {"provider": "openai", "model": "gpt-4o", "value": 11500, "share": 0.71875},
                {"provider": "openai", "model": "gpt-4o-mini", "value": 4500, "share": 0.28125},
            ],
            "by_errors": [
                {"provider": "openai", "model": "gpt-4o-mini", "value": 3, "share": 0.75},
                {"provider": "openai", "model": "gpt-4o", "value": 1, "share": 0.25},
            ],
        },
        "quality": {
            "error_count": 4,
            "success_count": 4,
            "error_rate": 0.5,
            "success_rate": 0.5,
            "most_common_errors": [
                {"error_type": "rate_limit", "count": 3, "percentage": 75, "sample_message": "slow down 0"},
                {"error_type": None, "count": 1, "percentage": 25, "sample_message": None},
            ],
        },
    }
    assert body["metadata"]["data_source"] == ["raw"]


@pytest.mark.usefixtures("traffic")
def test_it_is_the_same_after_a_refresh(world: World) -> None:
    before = world.get("/api/v1/metrics/summary").json()
    refresh()
    after = world.get("/api/v1/metrics/summary").json()
    assert without_times(before) == without_times(after)
    assert "rollup_1h" in after["metadata"]["data_source"]


@pytest.mark.usefixtures("traffic")
def test_filters_narrow_every_block(world: World) -> None:
    body = world.get("/api/v1/metrics/summary", model="gpt-4o-mini").json()
    assert body["current_period"]["total_requests"] == 3
    assert body["current_period"]["total_cost_usd"] is None
    assert [item["model"] for item in body["top_items"]["by_requests"]] == ["gpt-4o-mini"]
    assert [error["error_type"] for error in body["quality"]["most_common_errors"]] == ["rate_limit"]
    one = world.get("/api/v1/metrics/summary", user_id="u1").json()
    assert one["current_period"]["total_requests"] == 2
    assert one["quality"]["most_common_errors"] == []


def test_nothing_at_all(world: World) -> None:
    body = world.get("/api/v1/metrics/summary").json()
    assert body["current_period"]["total_requests"] == 0
    assert body["current_period"]["total_cost_usd"] == 0
    assert body["current_period"]["error_rate"] is None
    assert set(body["changes"].values()) == {None}
    assert body["top_items"] == {"by_cost": [], "by_requests": [], "by_duration": [], "by_errors": []}


def test_without_comparison(world: World) -> None:
    body = world.get("/api/v1/metrics/summary", compare_previous_period="false").json()
    assert body["previous_period"] is None
    assert body["changes"] is None


@pytest.mark.usefixtures("traffic")
@pytest.mark.parametrize(
    ("chosen", "counted"),
    [
        ("current_period.total_requests,previous_period.error_rate,quality", set()),
        ("previous_period.unique_users", {"unique_users"}),
        ("current_period.unique_sessions,changes", {"unique_sessions"}),
        ("current_period", {"unique_users", "unique_sessions"}),
    ],
)
def test_ids_that_fields_leaves_out_are_not_counted(
    world: World, chosen: str, counted: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = world.get("/api/v1/metrics/summary").json()
    asked: set[str] = set()

    def watched(cursor: Any, spec: QuerySpec) -> Answer:
        asked.update(ref.metric for ref in spec.metrics)
        return answer_in(cursor, spec)

    monkeypatch.setattr("apps.metrics.summary.answer_in", watched)
    body = world.get("/api/v1/metrics/summary", fields=chosen).json()
    assert asked & set(summary.COUNTED) == counted
    for path in chosen.split(","):
        block, _, name = path.partition(".")
        assert (body[block][name] == whole[block][name]) if name else (body[block] == whole[block])


def test_unknown_parameters_are_refused(world: World) -> None:
    answer = world.get("/api/v1/metrics/summary", interval="1day")
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == 1202
