"""The metrics endpoints over HTTP: shapes, names, who may ask, whose spans are seen."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import orjson
import pytest
import time_machine
from django.conf import settings

from apps.metrics import planner, state
from apps.metrics.refresh import refresh
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


def series(world: World, **params: str) -> Any:
    return world.get("/api/v1/metrics", **{**RANGE, **params})


def query(world: World, key: str | None = None, **body: Any) -> Any:
    headers = {"Authorization": f"Bearer {key or world.wide_key}"}
    text = orjson.dumps({**RANGE, "metrics": [{"metric": "request_count"}], **body})
    return world.client.post("/api/v1/metrics/query", text, content_type="application/json", headers=headers)


def code(answer: Any) -> int:
    return int(answer.json()["error"]["code"])


def test_a_series_has_the_metrics_own_names(world: World) -> None:
    project = world.default.pk
    write([span_row(project_id=project), span_row(project_id=project, status="error")])
    answer = series(world, metrics="request_count,total_cost,error_rate", group_by="provider,model")
    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert body["data"] == [
        {
            "timestamp": "2026-11-05T12:00:00Z",
            "provider": "openai",
            "model": "gpt-4o",
            "request_count": 2,
            "total_cost": 0.009,
            "error_rate": 0.5,
        }
    ]
    metadata = body["metadata"]
    assert metadata.pop("query_ms") > 0
    assert metadata == {
        "interval": "1hour",
        **RANGE,
        "timezone": "UTC",
        "metrics": ["request_count", "total_cost", "error_rate"],
        "group_by": ["provider", "model"],
        "data_source": ["raw"],
        "fresh_until": None,
        "percentile_error": 0,
        "total_points": 1,
    }
    assert body["meta"]["cached"] is False
    assert body["meta"]["request_id"] == answer["X-Request-ID"]
    assert body["meta"]["computed_at"] == "2026-11-05T14:30:15.250000Z"


def test_money_is_exact(world: World) -> None:
    costs = [1, 10**12, 333_333_333_333]
    write([span_row(project_id=world.default.pk, total_cost=cost) for cost in costs])
    answer = series(world, metrics="total_cost", interval="1day")
    row = orjson.loads(answer.content.replace(b'"total_cost":', b'"total_cost":"').replace(b"}]", b'"}]'))["data"][0]
    assert Decimal(row["total_cost"]) == Decimal("1.333333333334")


def test_a_refresh_changes_the_source_and_not_the_answer(world: World) -> None:
    write([span_row(project_id=world.default.pk, start_us=T0_US + n * HOUR_US // 8) for n in range(8)])
    before = series(world, metrics="request_count,duration,unique_users", include_percentiles="true").json()
    refresh()
    after = series(world, metrics="request_count,duration,unique_users", include_percentiles="true").json()
    assert before["data"] == after["data"]
    assert before["metadata"]["data_source"] == ["raw"]
    assert "rollup_1h" in after["metadata"]["data_source"]
    assert after["metadata"]["fresh_until"] is not None
    assert [key for key in after["data"][0] if key.startswith("duration_")] == [
        "duration_p50",
        "duration_p90",
        "duration_p95",
        "duration_p99",
    ]


def test_gaps_are_filled_where_wanted(world: World) -> None:
    write([span_row(project_id=world.default.pk)])
    for fill, second in (("zero", 0), ("null", None)):
        rows = series(world, metrics="request_count", fill=fill, interval="1hour").json()["data"]
        assert [row["request_count"] for row in rows] == [1, second]
    assert len(series(world, metrics="request_count", group_by="model", fill="zero").json()["data"]) == 2
    assert len(series(world, metrics="request_count", fill="none").json()["data"]) == 1


def test_a_key_sees_its_own_projects_and_no_other_organization(world: World) -> None:
    for project, count in ((world.default, 1), (world.web, 2), (world.zenith_project, 4)):
        write([span_row(project_id=project.pk) for _ in range(count)])
    asked = {"metrics": "request_count", "group_by": "project", **RANGE}

    def seen(key: str, **more: str) -> dict[str, int]:
        rows = world.get("/api/v1/metrics", key=key, **asked, **more).json()["data"]
        return {row["project"]: row["request_count"] for row in rows}

    assert seen(world.wide_key) == {"default": 1, "web": 2}
    assert seen(world.wide_key, project="web") == {"web": 2}
    assert seen(world.key) == {"default": 1}
    assert seen(world.zenith_key) == {"secret": 4}
    hidden = world.get("/api/v1/metrics", key=world.key, project="web", **asked)
    foreign = world.get("/api/v1/metrics", project="secret", **asked)
    assert (hidden.status_code, code(hidden)) == (403, 1101)
    assert (foreign.status_code, code(foreign)) == (404, 1300)
    assert code(query(world, filters=[{"field": "project", "value": "secret"}])) == 1300


def test_who_may_ask(world: World) -> None:
    _, viewer = world.new_key()
    _, billing = world.new_key(role="billing")
    assert world.client.get("/api/v1/metrics").status_code == 401
    for key in (viewer, billing):
        assert world.get("/api/v1/metrics", key=key, metrics="request_count").status_code == 200
        refused = query(world, key)
        assert (refused.status_code, code(refused)) == (403, 1100)
        assert "metrics:query" in refused.json()["error"]["message"]
    _, writer = world.new_key(role="", permissions=["traces:write"])
    assert code(world.get("/api/v1/metrics", key=writer, metrics="request_count")) == 1100


@pytest.mark.parametrize(
    ("params", "expected", "words"),
    [
        ({"metrics": "request_count", "modle": "x"}, 1202, "model"),
        ({}, 1201, "metrics"),
        ({"metrics": "request_count", "start_time": "x"}, 1203, "ISO 8601"),
        ({"metrics": "request_count", "start_time": "2019-01-01T00:00:00Z"}, 1204, "3 years"),
        ({"metrics": "request_count", "limit": "99999"}, 1205, "10000"),
    ],
)
def test_refusals(world: World, params: dict[str, str], expected: int, words: str) -> None:
    answer = series(world, **params)
    assert (answer.status_code, code(answer)) == (400, expected)
    assert words in answer.json()["error"]["message"]


def test_name_is_answered_within_the_raw_retention_only(world: World) -> None:
    answer = series(world, metrics="request_count", group_by="name", start_time="2026-01-01T00:00:00Z")
    assert code(answer) == 1204
    assert "kept since" in answer.json()["error"]["message"]


def test_a_range_of_which_nothing_is_kept_is_refused_and_not_answered_with_zeros(world: World) -> None:
    old = {"start_time": "2014-01-01T00:00:00Z", "end_time": "2014-01-02T00:00:00Z"}
    summary = world.get("/api/v1/metrics/summary", **old)
    for answer in (series(world, metrics="request_count", interval="1day", **old), query(world, **old), summary):
        assert (answer.status_code, code(answer)) == (400, 1204)
        assert answer.json()["error"]["details"] == {"kept_since": "2023-11-06T14:30:15Z"}
    # A part is kept, so it is answered; and what is merely compared with may be gone.
    edge = {"start_time": "2021-11-06T00:00:00Z", "end_time": "2023-11-07T00:00:00Z"}
    assert query(world, **edge, compare_to="previous_period").status_code == 200
    assert world.get("/api/v1/metrics/summary", **edge).status_code == 200


def test_small_rates_keep_their_digits(world: World) -> None:
    write([span_row(project_id=world.default.pk)])
    body = {"start_time": "2026-10-06T00:00:00Z", "end_time": "2026-11-06T00:00:00Z"}
    [row] = query(world, metrics=["throughput"], **body).json()["data"]
    assert row["avg_throughput"] * 31 * 86400 == pytest.approx(1, abs=1e-5)


def test_an_interval_that_is_no_longer_kept_names_one_that_is(world: World) -> None:
    window = {"start_time": "2026-04-01T00:00:00Z", "end_time": "2026-04-02T00:00:00Z"}
    answer = series(world, metrics="request_count", interval="5min", **window)
    assert code(answer) == 1204
    assert "interval 15min would fit" in answer.json()["error"]["message"]
    assert series(world, metrics="request_count", interval="15min", **window).status_code == 200


def test_a_query_with_everything(world: World) -> None:
    project = world.default.pk
    write([span_row(project_id=project, model="a", total_cost=3 * 10**12) for _ in range(3)])
    write([span_row(project_id=project, model="b", total_cost=10**12) for _ in range(2)])
    write([span_row(project_id=project, model=None, total_cost=None)])
    write([span_row(project_id=project, model="a", total_cost=10**12, start_us=T0_US - 2 * HOUR_US)])
    answer = query(
        world,
        metrics=[{"metric": "total_cost", "alias": "cost"}, {"metric": "request_count"}],
        group_by=["model"],
        filters=[{"field": "provider", "operator": "in", "value": ["openai"]}],
        having=[{"metric": "cost", "operator": "gte", "value": 2}],
        sort_by="-cost",
        limit=1,
        compare_to="previous_period",
    )
    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert body["data"] == [
        {
            "model": "a",
            "cost": 9,
            "sum_request_count": 3,
            "previous_cost": 1,
            "cost_change_pct": 800,
            "previous_sum_request_count": 1,
            "sum_request_count_change_pct": 200,
        }
    ]
    metadata = body["metadata"]
    assert metadata["total_rows"] == 2
    assert metadata["filters_applied"] == [{"field": "provider", "operator": "in", "value": ["openai"]}]
    assert metadata["having_conditions"] == [{"metric": "cost", "operator": "gte", "value": 2}]
    assert metadata["interval"] is None


def test_conditions_in_the_database_and_in_python_agree(world: World) -> None:
    project = world.default.pk
    for number, model in enumerate("abcdef"):
        write([span_row(project_id=project, model=model, total_cost=n * 10**11) for n in range(number + 1)])
    body: dict[str, Any] = {
        "metrics": [{"metric": "total_cost", "alias": "cost"}, {"metric": "request_count", "alias": "n"}],
        "group_by": ["model"],
        "having": [{"metric": "cost", "operator": "gt", "value": 0.1}, {"metric": "n", "operator": "lt", "value": 6}],
        "sort_by": ["-n", "model"],
        "limit": 2,
    }
    alone = query(world, **body).json()
    # Distinct counts need a second statement, so order and limit happen after it.
    body["metrics"] = [*body["metrics"], {"metric": "unique_users"}]
    joined = query(world, **body).json()
    stripped = [{k: v for k, v in row.items() if k != "count_unique_users"} for row in joined["data"]]
    assert [row["model"] for row in alone["data"]] == ["e", "d"]
    assert stripped == alone["data"]
    assert alone["metadata"]["total_rows"] == joined["metadata"]["total_rows"] == 3


@pytest.mark.parametrize("name", ["bucket", "total_rows", "requests", "id", "ranks", "bins", "g"])
@pytest.mark.parametrize("other", ["error_count", "unique_users"])
def test_an_alias_may_be_a_word_that_statements_use(world: World, name: str, other: str) -> None:
    write([span_row(project_id=world.default.pk), span_row(project_id=world.default.pk)])
    answer = query(
        world,
        metrics=[{"metric": "request_count", "alias": name}, {"metric": other, "alias": "other"}],
        interval="1hour",
        group_by=["model"],
        having=[{"metric": name, "operator": "gte", "value": 2}],
        sort_by=f"-{name}",
    )
    assert answer.status_code == 200, answer.content
    assert [row[name] for row in answer.json()["data"]] == [2]
    assert answer.json()["metadata"]["total_rows"] == 1


def test_the_metadata_of_a_comparison_speaks_of_both_ranges(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    earlier = T0_US - 2 * HOUR_US
    write([span_row(project_id=world.default.pk, start_us=earlier + n * 60_000_000) for n in range(4)])
    refresh()
    monkeypatch.setattr(planner, "EXACT_SPANS", 3)
    body: dict[str, Any] = {"metrics": [{"metric": "duration", "aggregation": "p95"}]}
    assert query(world, **body).json()["metadata"]["percentile_error"] == 0
    answer = query(world, **body, compare_to="previous_period").json()
    assert answer["data"][0]["previous_p95_duration"] is not None
    assert answer["metadata"]["percentile_error"] == 0.01
    assert set(answer["metadata"]["data_source"]) > {"raw"}


def test_a_filter_on_a_project_answers_as_the_parameter_does(world: World) -> None:
    for slug, expected in (("web", 1101), ("secret", 1300), ("nowhere", 1300)):
        for asked in ({"project": slug}, {"filters": [{"field": "project", "operator": "in", "value": [slug]}]}):
            assert code(query(world, key=world.key, **asked)) == expected, (slug, asked)


@pytest.mark.parametrize("other", ["error_count", "unique_users"])
@pytest.mark.parametrize(
    ("metric", "aggregation"), [("total_cost", "avg"), ("duration", "stddev"), ("error_rate", "avg"), ("ttft", "sum")]
)
def test_a_condition_on_a_value_that_was_seen_holds(world: World, metric: str, aggregation: str, other: str) -> None:
    for n in range(3):
        changes = {"duration_us": 10**6 + n, "ttft_us": 333 + n, "status": "error" if n else "ok"}
        write([span_row(project_id=world.default.pk, total_cost=10**12 + n % 2, **changes)])
    metrics = [{"metric": metric, "aggregation": aggregation, "alias": "x"}, {"metric": other}]
    [seen] = query(world, metrics=metrics).json()["data"]
    for operator in ("eq", "gte", "lte"):
        having = [{"metric": "x", "operator": operator, "value": seen["x"]}]
        assert query(world, metrics=metrics, having=having).json()["data"] == [seen], operator


def test_no_interval_and_no_group_is_one_row_even_of_nothing(world: World) -> None:
    metrics = [{"metric": name} for name in ("request_count", "total_cost", "duration", "unique_users", "error_rate")]
    answer = query(world, metrics=metrics).json()
    assert answer["data"] == [
        {
            "sum_request_count": 0,
            "sum_total_cost": 0,
            "avg_duration": None,
            "count_unique_users": 0,
            "avg_error_rate": None,
        }
    ]


def test_unpriced_is_not_free(world: World) -> None:
    write([span_row(project_id=world.default.pk, total_cost=None)])
    assert query(world, metrics=[{"metric": "total_cost"}]).json()["data"] == [{"sum_total_cost": None}]


def test_a_body_that_cannot_be_read(world: World) -> None:
    headers = {"Authorization": f"Bearer {world.wide_key}"}
    for text in (b"{", b"[]", b"null", b'"x"'):
        answer = world.client.post("/api/v1/metrics/query", text, content_type="application/json", headers=headers)
        assert (answer.status_code, code(answer)) == (400, 1200)


def test_the_catalogue_lists_every_metric(world: World) -> None:
    body = world.get("/api/v1/metrics/catalog").json()
    entries = {entry["name"]: entry for entry in body["data"]}
    assert len(entries) == 19
    assert entries["duration"]["default_aggregation"] == "avg"
    assert "p95" in entries["duration"]["aggregations"]
    assert entries["total_cost"]["unit"] == "usd"
    assert {"name": "1min", "max_range_days": 6} in body["intervals"]
    assert body["limits"] == {"metrics": 20, "group_by": 5, "buckets": 10000, "rows": 10000, "scores": 200}


def test_an_answer_that_is_too_long_names_an_interval_that_fits(world: World) -> None:
    rows = [
        span_row(project_id=world.default.pk, model=f"m{n % 100}", start_us=T0_US - n * 60_000_000)
        for n in range(10_100)
    ]
    write(rows)
    window = {"start_time": "2026-10-29T12:31:00Z", "end_time": "2026-11-05T12:31:00Z", "group_by": "model"}
    answer = series(world, metrics="request_count", interval="5min", **window)
    assert code(answer) == 1205
    assert "interval 6hour would fit" in answer.json()["error"]["message"]
    assert series(world, metrics="request_count", interval="6hour", **window).status_code == 200
    short = series(world, metrics="request_count", interval="5min", limit="10", **window)
    assert len(short.json()["data"]) == 10


def test_a_statement_that_takes_too_long_is_cut_off(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings.HUB, "request_timeout_seconds", 0.05)
    monkeypatch.setattr(state, "_STATE", f"SELECT pg_sleep(5) FROM ({state._STATE}) x")
    answer = series(world, metrics="request_count")
    assert (answer.status_code, code(answer)) == (504, 1800)
    monkeypatch.undo()
    assert series(world, metrics="request_count").status_code == 200
