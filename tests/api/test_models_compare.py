"""POST /api/v1/models/compare over HTTP: refusals, who may ask, what is kept."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

import pytest
import time_machine
from django.conf import settings
from scipy.stats import ttest_ind

from apps.orgs.models import RateLimit
from apps.traces.writer import write
from tests.support.cells import clear_cells
from tests.support.spans import T0, span_row

if TYPE_CHECKING:
    from tests.support.world import World

pytestmark = pytest.mark.django_db(transaction=True)
PATH = "/api/v1/models/compare"
RANGE = {"start_time": "2026-11-05T12:00:00Z", "end_time": "2026-11-05T14:00:00Z"}
TWO = ["gpt-4o", "o3"]


@pytest.fixture(autouse=True)
def _at_t0() -> Iterator[None]:
    clear_cells()
    with time_machine.travel(T0 + timedelta(hours=2), tick=False):
        yield
    clear_cells()


def ask(
    world: World, key: str | None = None, path: str = PATH, headers: dict[str, str] | None = None, **body: Any
) -> Any:
    return world.send("POST", path, {**RANGE, "models": TWO, **body}, key=key, **(headers or {}))


def requests(answer: Any) -> list[int]:
    assert answer.status_code == 200, answer.content
    return [model["samples"]["requests"] for model in answer.json()["models"]]


def test_an_answer(world: World) -> None:
    write([span_row(project_id=world.default.pk, duration_us=1_000_000 + n) for n in range(40)])
    write([span_row(project_id=world.default.pk, model="o3", duration_us=2_000_000 + n) for n in range(40)])
    body = ask(world, metrics=["latency"]).json()
    assert body["best"]["fastest"] == {"model": "gpt-4o", "tied_with": [], "reason": None, "left_out": []}
    assert body["best"]["most_reliable"]["tied_with"] == TWO
    row = next(row for row in body["differences"] if row["measure"] == "avg_duration_ms")
    assert (row["verdict"], row["better"], row["difference"]) == ("significant", "gpt-4o", -1000)
    assert body["metadata"]["min_sample"] == 30 and body["metadata"]["cluster_interval"] == "15min"
    assert body["metadata"]["data_source"] == ["raw"]
    assert body["meta"]["cached"] is False


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"models": None}, 1201, "models"),
        ({"models": "gpt-4o"}, 1203, "models"),
        ({"models": ["gpt-4o"]}, 1205, "models"),
        ({"models": [f"m{n}" for n in range(11)]}, 1205, "models"),
        ({"models": ["gpt-4o", "gpt-4o"]}, 1202, "models[1]"),
        ({"models": ["gpt-4o", {"model": "gpt-4o", "provider": "openai"}]}, 1202, "models[1]"),
        ({"models": ["gpt-4o", {"provider": "openai"}]}, 1201, "models[1].model"),
        ({"models": ["gpt-4o", {"name": "o3"}]}, 1202, "models[1].name"),
        ({"models": ["gpt-4o", 3]}, 1203, "models[1]"),
        ({"models": ["gpt-4o", ""]}, 1203, "models[1]"),
        ({"metrics": ["speed"]}, 1202, "metrics"),
        ({"metrics": []}, 1203, "metrics"),
        ({"alpha": 0}, 1202, "alpha"),
        ({"start_time": "2026-11-06T12:00:00Z"}, 1204, "start_time"),
        ({"filters": [{"field": "colour", "value": "red"}]}, 1202, "filters[0].field"),
        ({"interval": "1hour"}, 1202, "interval"),
    ],
)
def test_refusals(world: World, body: dict[str, Any], code: int, field: str) -> None:
    answer = ask(world, **body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["field"]) == (400, code, field), error


def test_a_body_that_is_no_object(world: World) -> None:
    assert world.send("POST", PATH, [1]).json()["error"]["code"] == 1200


def test_filters_and_fields(world: World) -> None:
    write([span_row(project_id=world.default.pk, environment=name) for name in ("production", "staging", "staging")])
    assert requests(ask(world, filters={"environment": "staging"})) == [2, 0]
    kept = ask(world, path=f"{PATH}?fields=models.label,best.fastest.model").json()
    assert kept["models"] == [{"label": "gpt-4o"}, {"label": "o3"}]
    assert kept["best"] == {"fastest": {"model": None}} and "differences" not in kept


def test_whose_spans(world: World) -> None:
    write([span_row(project_id=number) for number in (world.default.pk, world.web.pk, world.zenith_project.pk)])
    assert requests(ask(world)) == [2, 0]
    assert requests(ask(world, project="web")) == [1, 0]
    assert requests(ask(world, project=["web", "default"])) == [2, 0]
    assert requests(ask(world, key=world.key)) == [1, 0]
    assert ask(world, project="secret").status_code == 404


def test_an_answer_is_kept_for_whoever_may_see_the_same(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings.HUB, "cache_ttl_compare", 60)
    monkeypatch.setattr(settings.HUB, "cache_enabled", True)
    write([span_row(project_id=world.default.pk)])
    first = ask(world)
    write([span_row(project_id=world.default.pk)])
    again = ask(world, models=list(TWO))
    assert again.json()["meta"]["cached"] is True and requests(again) == [1, 0]
    assert again.json()["meta"]["computed_at"] == first.json()["meta"]["computed_at"]
    assert requests(ask(world, alpha=0.01)) == [2, 0], "another body"
    assert requests(ask(world, path=f"{PATH}?project=default")) == [2, 0], "other projects"
    assert requests(ask(world, key=world.zenith_key)) == [0, 0], "another tenant"
    fresh = ask(world, headers={"Cache-Control": "no-cache"})
    assert fresh.json()["meta"]["cached"] is False and requests(fresh) == [2, 0]
    assert requests(ask(world)) == [2, 0], "what was computed anew is kept"
    assert "ETag" not in again.headers


def test_it_has_a_bucket_of_its_own(world: World) -> None:
    RateLimit.objects.create(organization=world.acme, bucket="models/compare", per_minute=1, burst=1)
    _, key = world.new_key(role="analyst")
    assert ask(world, key=key).status_code == 200
    refused = ask(world, key=key)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, 1500)
    assert world.get("/api/v1/metrics/catalog", key=key).status_code == 200


def test_a_viewer_may_not_ask(world: World) -> None:
    _, key = world.new_key(role="viewer")
    assert ask(world, key=key).json()["error"]["code"] == 1100


def judge(world: World, count: int) -> None:
    """Spans of both models, each judged: one higher than the other, a category, a flag that is all the same."""
    for model, level in (("gpt-4o", 0.4), ("o3", 0.7)):
        rows = [span_row(project_id=world.default.pk, model=model) for _ in range(count)]
        write(rows)
        said: list[dict[str, Any]] = []
        for number, row in enumerate(rows):
            at = {"trace_id": row.trace_id, "span_id": row.span_id, "timestamp": "2026-11-05T13:00:00Z"}
            said += [
                {**at, "name": "relevance", "value": level + number % 7 / 100},
                {**at, "name": "tone", "value": "kind", "data_type": "categorical"},
                {**at, "name": "helpful", "value": True, "data_type": "boolean"},
            ]
        assert world.send("POST", "/api/v1/scores", {"scores": said}).json()["accepted"] == len(said)


def test_quality_is_compared_by_scores(world: World) -> None:
    judge(world, 35)
    body = ask(world, metrics=["quality"]).json()
    values = [0.7 + number % 7 / 100 for number in range(35)]
    quality = body["models"][1]["quality"]
    assert quality["relevance"] == {
        "avg": pytest.approx(fmean(values)),
        "stddev": pytest.approx(stdev(values)),
        "scores": 35,
    }
    assert set(quality) == {"relevance", "helpful"}, "a category has no mean"
    found = {row["measure"]: row for row in body["differences"]}
    relevance = found["score.relevance"]
    assert (relevance["verdict"], relevance["better"], relevance["a_n"]) == ("significant", None, 35)
    right = ttest_ind([value - 0.3 for value in values], values, equal_var=False)
    assert relevance["p_value"] == pytest.approx(right.pvalue, rel=1e-4)
    assert found["score.helpful"]["verdict"] == "not_significant" and found["score.helpful"]["p_value"] == 1
    one = ask(world, metrics=["quality"], scores=["helpful"]).json()
    assert set(one["models"][0]["quality"]) == {"helpful"}
    assert "scores" in one["metadata"]["data_source"]


def test_few_scores_are_no_verdict(world: World) -> None:
    judge(world, 12)
    found = {row["measure"]: row for row in ask(world, metrics=["quality"]).json()["differences"]}
    assert found["score.relevance"]["verdict"] == "insufficient_data" and found["score.relevance"]["a_n"] == 12


@pytest.mark.parametrize(
    ("scores", "code"), [("relevance", 1203), (["a b"], 1203), ([f"s{n}" for n in range(6)], 1205)]
)
def test_refused_scores(world: World, scores: Any, code: int) -> None:
    error = ask(world, scores=scores).json()["error"]
    assert (error["code"], error["field"]) == (code, "scores")


def test_scores_go_through_the_other_reports(world: World) -> None:
    judge(world, 5)
    body = world.get("/api/v1/metrics/score.relevance", **RANGE).json()
    assert body["current_period"]["values"]["count"] == 10 and body["value"] == pytest.approx(0.57)
    series = world.get("/api/v1/metrics/score.relevance/timeseries", group_by="model", **RANGE).json()["data"]
    assert {row["model"]: round(row["score.relevance"], 6) for row in series} == {"gpt-4o": 0.42, "o3": 0.72}
    trends = world.get(
        "/api/v1/metrics/trends", metrics="score.relevance,request_count", interval="5min", **RANGE
    ).json()
    assert trends["data"][0]["points"] == 1 and trends["data"][0]["direction"] == "not_enough_data"
    assert trends["series"][-1].keys() == {"timestamp", "score.relevance", "request_count"}
    assert world.get("/api/v1/metrics/score.", **RANGE).json()["error"]["code"] == 1300
