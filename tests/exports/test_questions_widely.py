"""Exports of random questions, of scores, and of what is older than raw spans, against the API's own answers."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection

from apps.common.errors import ApiError
from apps.exports.failures import ExportFailed, NotProven
from apps.exports.produce import produce
from apps.exports.sources import windows
from apps.exports.spec import Kind
from apps.metrics import runner
from apps.metrics.catalog import CATALOGUE, DIMENSION_NAMES
from apps.metrics.refresh import refresh
from apps.traces.columns import SpanRow
from apps.traces.scores import Score
from apps.traces.scores_writer import write_scores
from apps.traces.writer import write
from tests.exports.questions import START, answered, asked, exported, fill_world
from tests.metrics.test_oracle import NOW
from tests.support.cells import clear_cells
from tests.support.spans import span_row, us
from tests.support.world import World, make_world

pytestmark = pytest.mark.django_db(transaction=True)

REFERENCES = [{"metric": name, "aggregation": how} for name, entry in CATALOGUE.items() for how in entry.formulas]
ZONES = ("UTC", "America/St_Johns", "Asia/Kathmandu", "Europe/Berlin", "Australia/Lord_Howe")


@pytest.fixture
def world(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(windows, "MOST_ROWS", 60)
    monkeypatch.setattr(windows, "FIRST", 5)
    clear_cells()
    with time_machine.travel(NOW, tick=False):
        yield make_world()
    clear_cells()


def question(pick: random.Random) -> dict[str, Any]:
    """A question at random; some of them about nothing."""
    body: dict[str, Any] = {"metrics": pick.sample(REFERENCES, pick.randrange(1, 6))}
    body["group_by"] = pick.sample(DIMENSION_NAMES, pick.choice((0, 1, 1, 2, 3)))
    interval = pick.choice((None, "15min", "1hour", "6hour", "1day", "1week", "1month"))
    end = datetime(2026, 11, 5, 12, 31, tzinfo=UTC) - timedelta(seconds=pick.randrange(40_000))
    start = end - timedelta(seconds=pick.randrange(3_600, 40_000 if interval == "15min" else 500_000))
    body |= {"start_time": start.isoformat(), "end_time": end.isoformat(), "timezone": pick.choice(ZONES)}
    if interval:
        body |= {"interval": interval, "fill": pick.choice(("none", "none", "zero", "null"))}
    filters = [
        {"field": "model", "operator": "in", "value": ["gpt-4o", None]},
        {"field": "user_id", "operator": "ne", "value": "ann"},
        {"field": "user_id", "operator": "eq", "value": None},
        {"field": "environment", "operator": "not_in", "value": ["staging", "nowhere"]},
        {"field": "session_id", "operator": "ne", "value": None},
        {"field": "status", "operator": "eq", "value": "error"},
        {"field": "project", "operator": "eq", "value": "web"},
        {"field": "name", "operator": "in", "value": ["chat"]},
    ]
    body["filters"] = pick.sample(filters, pick.choice((0, 0, 1, 2)))
    return body


@pytest.mark.parametrize(("how", "seed"), [("raw", 1), ("refreshed", 2), ("late", 3)])
def test_random_questions(world: World, how: str, seed: int) -> None:
    fill_world(world, how)
    pick, found = random.Random(seed), 0
    for _ in range(20 if how == "refreshed" else 9):
        body = question(pick)
        rows, made = exported(world, "metrics", body)
        assert rows == answered(world, body), body
        assert made.manifest["proof"]["not_compared"] == {}, body
        found += bool(rows)
    assert found >= 5


SCORES: tuple[dict[str, Any], ...] = (
    {"metrics": ["score.relevance"], "interval": "6hour", "group_by": ["model"]},
    {"metrics": [{"metric": "score.tone.v2", "aggregation": "count"}, {"metric": "score.tone.v2"}], "interval": "1day"},
    {"metrics": ["score.relevance", "score.resolved"], "group_by": ["user_id"], "filters": {"environment": "default"}},
    {"metrics": ["score.relevance", "request_count"], "interval": "1day", "group_by": ["environment"]},
    {"metrics": ["score.tone.v2", {"metric": "ttft", "aggregation": "p50"}], "interval": "6hour", "fill": "null"},
)


def judging(spans: list[SpanRow], seed: int) -> list[Score]:
    """Scores of traces, of spans and of sessions, of what is there and of what is not."""
    pick, made = random.Random(seed), []
    for number in range(80):
        row = pick.choice(spans)
        target: dict[str, Any] = {"trace_id": row.trace_id}
        if pick.random() < 0.5:
            target["span_id"] = row.span_id
        elif pick.random() < 0.3:
            target = pick.choice(({"session_id": "s1"}, {"trace_id": "nobody"}))
        name = pick.choice(("relevance", "tone.v2", "resolved"))
        categorical = name == "tone.v2" and pick.random() < 0.6
        made.append(
            Score(
                project_id=row.project_id,
                id=f"v{number}",
                name=name,
                data_type="categorical" if categorical else "numeric",
                value=None if categorical else pick.uniform(-5, 5),
                label="polite" if categorical else None,
                timestamp=NOW - timedelta(seconds=pick.randrange(5 * 86_400)),
                **target,
            )
        )
    return made


def test_scores(world: World) -> None:
    write_scores(judging(fill_world(world, "late"), 5))
    for settled in (False, True):
        if settled:
            refresh(NOW)
        for body in SCORES:
            rows, made = exported(world, "metrics", body)
            assert rows == answered(world, body), body
            assert rows
            proof = made.manifest["proof"]
            assert proof["written"]["scores"] == proof["engine"]["scores"] > 0
            assert ("scores" in proof["compared"]["sql"]) == ("filters" not in body), body
            spans = any(not str(name).startswith("score") and "score" not in str(name) for name in body["metrics"])
            assert ("requests" in proof["compared"]["engine"]) == spans, body


def test_a_score_that_is_lost_is_missed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    write_scores(judging(fill_world(world, "refreshed"), 6))
    refresh(NOW)
    attempt_in = runner.attempt_in

    def without_one(cursor: Any, spec: Any, state: Any = None) -> Any:
        made = attempt_in(cursor, spec, state)
        if spec.group_by and made.rows:
            made.rows.pop()
        return made

    monkeypatch.setattr(windows, "attempt_in", without_one)
    with pytest.raises(NotProven, match="scores is"):
        exported(world, "metrics", SCORES[0])


FLOOR = datetime(2026, 11, 3, tzinfo=UTC)
OLD: tuple[tuple[Kind, dict[str, Any]], ...] = (
    ("costs", {}),
    ("costs", {"interval": "1hour", "group_by": ["user_id"]}),
    ("costs", {"interval": "none", "group_by": ["session_id"]}),
    ("metrics", {"metrics": ["request_count", "unique_users"], "interval": "6hour", "group_by": ["model"]}),
    ("metrics", {"metrics": ["total_cost"], "interval": "1day", "timezone": "Europe/Berlin", "group_by": ["user_id"]}),
)


def test_what_is_older_than_raw_spans_is_compared_with_the_same_cells(world: World) -> None:
    # Outside of the range, in the hour and on the day in which it begins: coarser cells hold it, finer ones do not.
    write(
        [
            span_row(project_id=world.web.pk, start_us=us(START) - 7 * 60 * 10**6, user_id=name)
            for name in ("ann", "dot")
        ]
    )
    fill_world(world, "refreshed")
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO retention_floor (relation, project_id, floor) VALUES ('span', 0, %s)", [FLOOR])
        cursor.execute("DELETE FROM span WHERE start_time < %s", [FLOOR])
        # As when a user is deleted: the other cells keep the sums.
        cursor.execute("DELETE FROM users_1h WHERE user_id = 'ann' AND bucket < %s", [FLOOR])
        assert cursor.rowcount
        cursor.execute("DELETE FROM users_1d WHERE user_id = 'ann' AND bucket < %s", [FLOOR])
    for kind, body in OLD:
        rows, made = exported(world, kind, body)
        proof = made.manifest["proof"]
        assert proof["not_compared"] == {
            "sql": "Raw spans are kept since 2026-11-03T00:00:00Z; older rows are made of what is kept of them."
        }
        assert proof["compared"]["sql"] == []
        assert proof["compared"]["engine"][:3] == ["requests", "total_cost_usd", "total_tokens"]
        assert rows
        if kind == "metrics":
            assert rows == answered(world, body), body
        inside = made.manifest["answered"]["range"]
        assert inside["start_time"] <= "2026-10-31T05:17:00.000000Z"


def test_what_one_project_has_not_kept_is_not_counted_over_its_spans(world: World) -> None:
    """It kept them for a shorter time once, and its cells still know of them."""
    fill_world(world, "refreshed")
    with connection.cursor() as cursor:
        floor = "INSERT INTO retention_floor (relation, project_id, floor) VALUES ('span', %s, %s)"
        cursor.execute(floor, [world.web.pk, FLOOR])
        cursor.execute("DELETE FROM span WHERE project_id = %s AND start_time < %s", [world.web.pk, FLOOR])
    for project, missing in (("web", {"sql"}), ("default", set[str]())):
        _, made = exported(world, "costs", {"project": project})
        assert set(made.manifest["proof"]["not_compared"]) == missing


def test_a_range_of_which_too_little_is_kept_is_refused_at_once(world: World) -> None:
    body = {"metrics": ["request_count"], "group_by": ["name"], "start_time": "2026-02-01T00:00:00Z"}
    older = {"metrics": ["request_count"], "start_time": "2023-10-01T00:00:00Z", "end_time": "2024-02-01T00:00:00Z"}
    for refused in ({**body, "end_time": "2026-11-01T00:00:00Z"}, older):
        with pytest.raises(ApiError) as error:
            asked(world, "metrics", refused)
        assert error.value.entry.code == 1204
    with time_machine.travel(NOW - timedelta(days=90), tick=False):
        spec = asked(world, "metrics", older)
        produce(spec, io.BytesIO(), job_id="1", progress=lambda done, total: None)
    # What was kept when it was asked for may have gone when its turn comes.
    with pytest.raises(ExportFailed, match="kept since 2023-11-06T00:00:00Z"):
        produce(spec, io.BytesIO(), job_id="1", progress=lambda done, total: None)
