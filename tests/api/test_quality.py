"""The quality report against plain Python over what was sent, refreshed or not; filters, comparison, refusals."""

from __future__ import annotations

import random
import statistics
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apps.metrics.refresh import refresh
from tests.support.world import World

pytestmark = pytest.mark.django_db
PATH = "/api/v1/metrics/quality"
END = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
START = END - timedelta(days=2)
SPAN = END - START
MODELS = ("gpt-4o", "claude-sonnet-4-5", "gemini-2.5-flash")


class Told:
    """Calls and scores over the range, the one before it and a little beyond both."""

    def __init__(self, world: World) -> None:
        pick = random.Random(11)
        self.calls = [self._call(pick, number) for number in range(160)]
        self.scores = [self._score(pick) for _ in range(220)]
        for begin in range(0, 220, 110):
            answer = world.send("POST", "/api/v1/scores", {"scores": self.scores[begin : begin + 110]})
            assert answer.json()["rejected"] == 0, answer.content
        answer = world.send("POST", "/api/v1/traces", {"spans": self.calls})
        assert answer.json()["rejected"] == [], answer.content

    def _call(self, pick: random.Random, number: int) -> dict[str, Any]:
        wrong = pick.random() < 0.3
        return {
            "trace_id": f"t{number}",
            "span_id": "s",
            "name": "chat",
            "kind": "llm",
            "model": MODELS[min(pick.randrange(8), 2)],
            "environment": pick.choice(["production", "staging"]),
            "start_time": self._moment(pick).isoformat(),
            "duration_ms": 100,
            "status": "error" if wrong else "ok",
            "error_type": pick.choice(["timeout", "rate_limit"]) if wrong else None,
            "error_message": "told so" if wrong else None,
        }

    def _score(self, pick: random.Random) -> dict[str, Any]:
        name = pick.choice(["relevance", "relevance", "tone", "done", "mixed"])
        values: dict[str, Callable[[], Any]] = {
            "relevance": lambda: round(pick.uniform(0, 1), 3),
            "tone": lambda: pick.choice(["polite", "polite", "rude", "flat"]),
            "done": lambda: pick.random() < 0.7,
        }
        value = values.get(name, values[pick.choice(["relevance", "done"])])()
        moment = self._moment(pick).isoformat()
        return {"trace_id": f"t{pick.randrange(165)}", "name": name, "value": value, "timestamp": moment}

    @staticmethod
    def _moment(pick: random.Random) -> datetime:
        return START - SPAN - timedelta(hours=5) + pick.random() * (2 * SPAN + timedelta(hours=10))

    def judged(self, start: datetime, keep: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        calls = {call["trace_id"]: call for call in self.calls}
        found = [one for one in self.scores if start <= datetime.fromisoformat(one["timestamp"]) < start + SPAN]
        return [one for one in found if keep(calls.get(one["trace_id"], {}))]

    def made(self, start: datetime, keep: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        return [
            call
            for call in self.calls
            if keep(call) and start <= datetime.fromisoformat(call["start_time"]) < start + SPAN
        ]


def figures(calls: Iterable[dict[str, Any]]) -> dict[str, Any]:
    listed = list(calls)
    wrong = sum(call["status"] == "error" for call in listed)
    return {
        "requests": len(listed),
        "error_count": wrong,
        "success_count": len(listed) - wrong,
        "error_rate": pytest.approx(wrong / len(listed), abs=1e-12),
        "success_rate": pytest.approx(1 - wrong / len(listed), abs=1e-12),
    }


def close(value: float | None) -> Any:
    return None if value is None else pytest.approx(value, rel=1e-9, abs=1e-9)


def numbers(scores: Iterable[dict[str, Any]], name: str) -> list[float]:
    return [one["value"] for one in scores if one["name"] == name and type(one["value"]) in (int, float)]


def truths(scores: Iterable[dict[str, Any]], name: str) -> list[bool]:
    return [one["value"] for one in scores if one["name"] == name and type(one["value"]) is bool]


def ask(world: World, **more: Any) -> dict[str, Any]:
    answer = world.get(PATH, start_time=START.isoformat(), end_time=END.isoformat(), **more)
    assert answer.status_code == 200, answer.content
    document: dict[str, Any] = answer.json()
    return document


def check(told: Told, document: dict[str, Any], keep: Callable[[dict[str, Any]], bool]) -> None:
    now, before = told.made(START, keep), told.made(START - SPAN, keep)
    for period, calls in (("current_period", now), ("previous_period", before)):
        assert {name: document[period][name] for name in figures(calls)} == figures(calls)
    by_model = {model: [call for call in now if call["model"] == model] for model in MODELS}
    got = {row["model"]: {name: row[name] for name in figures(now)} for row in document["models"]}
    assert got == {model: figures(calls) for model, calls in by_model.items() if calls}
    reliable = [m for m, c in by_model.items() if len(c) >= 30 and any(call["status"] == "error" for call in c)]
    assert {row["model"] for row in document["least_reliable"]} == set(reliable)
    errors = Counter(call["error_type"] for call in now if call["status"] == "error")
    assert {row["error_type"]: row["count"] for row in document["most_common_errors"]} == errors
    assert all(row["sample_message"] == "told so" for row in document["most_common_errors"])
    assert sum(row["error_count"] for row in document["series"]) == errors.total()
    check_scores(document["scores"], told.judged(START, keep), told.judged(START - SPAN, keep))


def check_scores(shown: list[dict[str, Any]], now: list[dict[str, Any]], before: list[dict[str, Any]]) -> None:
    sizes = Counter(one["name"] for one in now)
    assert [(row["name"], row["count"]) for row in shown] == sorted(sizes.items(), key=lambda item: (-item[1], item[0]))
    for row in shown:
        name = row["name"]
        assert row["previous_count"] == sum(one["name"] == name for one in before)
        assert row["small_sample"] == (row["count"] < 30)
        values, earlier = numbers(now, name), numbers(before, name)
        if values:
            numeric = row["numeric"]
            assert numeric["count"] == len(values)
            assert numeric["avg"] == close(statistics.fmean(values))
            assert numeric["stddev"] == close(statistics.stdev(values) if len(values) > 1 else None)
            assert (numeric["min"], numeric["max"]) == (min(values), max(values))
            assert numeric["previous_avg"] == close(statistics.fmean(earlier) if earlier else None)
        else:
            assert row["numeric"] is None
        said, said_before = truths(now, name), truths(before, name)
        if said:
            assert (row["boolean"]["count"], row["boolean"]["true_count"]) == (len(said), sum(said))
            assert row["boolean"]["true_share"] == close(sum(said) / len(said))
            previous = sum(said_before) / len(said_before) if said_before else None
            assert row["boolean"]["previous_true_share"] == close(previous)
        else:
            assert row["boolean"] is None
        labels = Counter(one["value"] for one in now if one["name"] == name and isinstance(one["value"], str))
        if labels:
            found = {part["label"]: part["count"] for part in row["categorical"]["distribution"]}
            assert found == labels
            assert sum(part["share"] for part in row["categorical"]["distribution"]) == pytest.approx(1, abs=1e-5)
        else:
            assert row["categorical"] is None
        by_hour: dict[str, list[dict[str, Any]]] = {}
        for one in now:
            if one["name"] == name:
                by_hour.setdefault(one["timestamp"][:13], []).append(one)
        assert [(point["timestamp"][:13], point["count"]) for point in row["series"]] == [
            (hour, len(by_hour[hour])) for hour in sorted(by_hour)
        ]
        for point in row["series"]:
            inside = numbers(by_hour[point["timestamp"][:13]], name)
            assert point["avg"] == close(statistics.fmean(inside) if inside else None)


def test_the_report_equals_plain_python(world: World) -> None:
    told = Told(world)
    filters: list[tuple[dict[str, Any], Callable[[dict[str, Any]], bool]]] = [
        ({}, lambda call: True),
        ({"model": "gpt-4o"}, lambda call: call.get("model") == "gpt-4o"),
        (
            {"environment": "production", "status": "ok"},
            lambda call: (call.get("environment"), call.get("status")) == ("production", "ok"),
        ),
    ]
    for refreshed in (False, True):
        if refreshed:
            refresh()
        for parameters, keep in filters:
            check(told, ask(world, **parameters), keep)


def test_nothing_is_null_and_zero(world: World) -> None:
    document = ask(world)
    assert document["scores"] == document["models"] == document["most_common_errors"] == document["series"] == []
    assert (document["current_period"]["requests"], document["current_period"]["error_rate"]) == (0, None)
    assert set(document["changes"].values()) == {None}


def test_without_comparison_nothing_of_before_is_said(world: World) -> None:
    world.send("POST", "/api/v1/scores", {"trace_id": "t", "name": "n", "value": 1, "timestamp": START.isoformat()})
    document = ask(world, compare_previous_period="false")
    assert document["previous_period"] is document["changes"] is None
    [score] = document["scores"]
    assert (score["previous_count"], score["numeric"]["previous_avg"]) == (None, None)


def test_others_see_their_own(world: World) -> None:
    body = {"trace_id": "t", "name": "secret", "value": 1, "timestamp": START.isoformat()}
    world.send("POST", "/api/v1/scores", body, key=world.zenith_key)
    assert ask(world)["scores"] == []


def test_what_is_refused(world: World) -> None:
    def code(**parameters: Any) -> int:
        found: int = world.get(PATH, **parameters).json()["error"]["code"]
        return found

    assert code(intervall="1hour") == 1202
    assert code(interval="1year") == 1202
    assert code(limit=0) == 1202
    assert code(start_time=(END - timedelta(days=500)).isoformat(), interval="1day") == 1204


def test_a_score_moves_the_version(world: World) -> None:
    def etag() -> str:
        found: str = world.get(PATH, start_time=START.isoformat(), end_time=END.isoformat())["ETag"]
        return found

    before = etag()
    assert etag() == before
    world.send("POST", "/api/v1/scores", {"trace_id": "t", "name": "n", "value": 1, "timestamp": START.isoformat()})
    assert etag() != before
