"""`score.<name>` wherever a metric is named: columns, aliases, sorting, fields, refusals, the catalogue."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.world import World

pytestmark = pytest.mark.django_db
NOW = datetime.now(UTC)
METRICS = "/api/v1/metrics"
LONG = "n" * 100


@pytest.fixture
def judged(world: World) -> World:
    """Two traces of two models, and what was said of them."""
    for number, model in enumerate(("gpt-4o", "claude-sonnet-4-5")):
        begin = NOW - timedelta(hours=2 + number)
        span = {"trace_id": f"t{number}", "span_id": "s", "name": "chat", "kind": "llm", "model": model}
        body = {**span, "start_time": begin.isoformat(), "duration_ms": 5}
        assert world.send("POST", "/api/v1/traces", body).json()["rejected"] == []
    said = [
        {"trace_id": "t0", "name": "relevance", "value": 0.5},
        {"trace_id": "t0", "name": "relevance", "value": 0.75},
        {"trace_id": "t1", "name": "relevance", "value": 0.25},
        {"trace_id": "t1", "name": "tone-v1.2", "value": 3},
        {"trace_id": "t1", "name": LONG, "value": 1},
        {"trace_id": "t1", "name": LONG[:-1] + "m", "value": 2},
        {"trace_id": "t1", "name": "not a word", "value": 2},
    ]
    assert world.send("POST", "/api/v1/scores", {"scores": said}).json()["accepted"] == len(said)
    return world


def series(world: World, **parameters: Any) -> Any:
    answer = world.get(METRICS, **{"interval": "1day", **parameters})
    assert answer.status_code == 200, answer.content
    return answer.json()


def question(world: World, **body: Any) -> Any:
    answer = world.send("POST", f"{METRICS}/query", body)
    assert answer.status_code == 200, answer.content
    return answer.json()


def test_a_series_names_its_column_by_the_metric(judged: World) -> None:
    document = series(judged, metrics="score.relevance,request_count", group_by="model")
    rows = {row["model"]: (row["score.relevance"], row["request_count"]) for row in document["data"] if row["model"]}
    assert rows["gpt-4o"][0] == 0.625
    assert sum(row["request_count"] for row in document["data"]) == 2
    assert document["metadata"]["data_source"][-1] == "scores"
    assert document["metadata"]["metrics"] == ["score.relevance", "request_count"]


def test_fields_sorting_and_comparison_know_the_column(judged: World) -> None:
    kept = series(judged, metrics="score.relevance", group_by="model", fields="score.relevance")["data"]
    assert kept
    assert all(set(row) == {"score.relevance"} for row in kept)
    ordered = series(judged, metrics="score.relevance", group_by="model", sort_by="-score.relevance")["data"]
    assert [row["score.relevance"] for row in ordered] == sorted(
        (row["score.relevance"] for row in ordered), reverse=True
    )
    compared = series(judged, metrics="score.relevance", compare_to="7d")["data"]
    assert {"previous_score.relevance", "score.relevance_change_pct"} <= set(compared[0])
    wrong = judged.get(METRICS, metrics="score.relevance", fields="score")
    assert wrong.json()["error"]["code"] == 1202


def test_a_question_names_it_by_a_word(judged: World) -> None:
    asked = [{"metric": "score.relevance"}, {"metric": "score.tone-v1.2", "aggregation": "count"}]
    [row] = question(judged, metrics=asked)["data"]
    assert row == {"avg_score_relevance": 0.5, "count_score_tone_v1_2": 1}
    best = question(
        judged,
        metrics=[{"metric": "score.relevance", "alias": "r"}],
        group_by=["model"],
        having=[{"metric": "r", "operator": "gte", "value": 0.3}],
        sort_by="-r",
        limit=1,
    )
    assert best["data"] == [{"model": "gpt-4o", "r": 0.625}]


def test_long_names_stay_apart(judged: World) -> None:
    asked = [{"metric": f"score.{LONG}"}, {"metric": f"score.{LONG[:-1]}m"}]
    [row] = question(judged, metrics=asked)["data"]
    assert list(row.values()) == [1.0, 2.0]
    [row] = series(judged, metrics=",".join(one["metric"] for one in asked))["data"]
    assert list(row.values())[1:] == [1.0, 2.0]


def test_percentiles_come_with_the_others(judged: World) -> None:
    [row] = question(judged, metrics=["score.relevance"], include_percentiles=True)["data"]
    assert row == {
        "avg_score_relevance": 0.5,
        "score.relevance_p50": 0.5,
        "score.relevance_p90": 0.75,
        "score.relevance_p95": 0.75,
        "score.relevance_p99": 0.75,
    }


def test_one_metric_and_its_series(judged: World) -> None:
    document = judged.get(f"{METRICS}/score.relevance").json()
    assert document["value"] == 0.5
    assert document["current_period"]["values"]["count"] == 3
    [row] = judged.get(f"{METRICS}/score.relevance/timeseries", interval="1day").json()["data"]
    assert row["score.relevance"] == 0.5


@pytest.mark.parametrize("rest", ["", "a b", "'x", '"x', f"{LONG}n", "a%s", "ä"])
def test_other_names_are_refused(world: World, rest: str) -> None:
    name = f"score.{rest}"
    assert world.get(METRICS, metrics=name).json()["error"]["code"] == 1202
    body = {"metrics": [{"metric": name}]}
    assert world.send("POST", f"{METRICS}/query", body).json()["error"]["code"] == 1202


def test_a_name_without_scores_has_none(world: World) -> None:
    [row] = question(world, metrics=["score.nobody", {"metric": "score.nobody", "aggregation": "count"}])["data"]
    assert row == {"avg_score_nobody": None, "count_score_nobody": 0}
    assert series(world, metrics="score.nobody")["data"] == []


def test_the_catalogue_lists_the_names_that_the_caller_sees(judged: World) -> None:
    def names(**more: Any) -> set[str]:
        document = judged.get(f"{METRICS}/catalog", **more).json()
        return {row["name"] for row in document["data"] if row["name"].startswith("score.")}

    before = judged.get(f"{METRICS}/catalog")
    assert names() == {"score.relevance", "score.tone-v1.2", f"score.{LONG}", f"score.{LONG[:-1]}m"}
    assert names(project="web") == set()
    assert names(key=judged.zenith_key) == set()
    judged.send("POST", "/api/v1/scores", {"trace_id": "t0", "name": "new", "value": 1})
    after = judged.get(f"{METRICS}/catalog")
    assert "score.new" in names()
    assert after["ETag"] != before["ETag"]


def test_a_score_moves_the_version_of_answers_that_count_it(judged: World) -> None:
    asked = {"metrics": "score.relevance", "interval": "1day", "group_by": "model"}
    end = (NOW + timedelta(minutes=2)).replace(second=0, microsecond=0).isoformat()
    before = judged.get(METRICS, **asked, end_time=end)
    assert judged.get(METRICS, **asked, end_time=end)["ETag"] == before["ETag"]
    judged.send("POST", "/api/v1/scores", {"trace_id": "t0", "name": "relevance", "value": 1})
    assert judged.get(METRICS, **asked, end_time=end)["ETag"] != before["ETag"]


def test_a_late_span_of_another_day_moves_the_version_of_what_its_trace_is(judged: World) -> None:
    """Nothing is inherited here, but the trace's only model is no longer the only one."""
    asked = {"metrics": "score.relevance", "interval": "1day", "group_by": "model"}
    start = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
    range_ = {"start_time": start.isoformat(), "end_time": (start + timedelta(days=1)).isoformat()}
    before = judged.get(METRICS, **asked, **range_)
    late = {"trace_id": "t0", "span_id": "late", "name": "chat", "kind": "llm", "model": "gpt-4o-mini"}
    moment = (start - timedelta(days=2)).isoformat()
    judged.send("POST", "/api/v1/traces", {**late, "start_time": moment, "duration_ms": 1})
    after = judged.get(METRICS, **asked, **range_)
    assert after["ETag"] != before["ETag"]
    assert {row["model"] for row in after.json()["data"]} == {None, "claude-sonnet-4-5"}
