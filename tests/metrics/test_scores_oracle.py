"""`score.<name>`: every aggregation, grouping and filter equals plain Python over the scores and the spans they judge.

Scores come before and after what they judge, are replaced and deleted; spans come late, twice and with late roots.
Asked with everything in marked minutes, after a refresh, and with later writes on top of one.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.db import connection

from apps.common.errors import ApiError
from apps.metrics.refresh import refresh
from apps.metrics.runner import answer
from apps.metrics.spec import Filter, MetricRef, QuerySpec
from apps.traces.columns import SpanRow
from apps.traces.scores import Score
from apps.traces.scores_writer import delete_score, write_scores
from apps.traces.writer import write
from tests.metrics.oracle import bucket, stored
from tests.support.cells import clear_cells
from tests.support.spans import span_row, us

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2026, 11, 5, 12, 30, 15, 250_000, tzinfo=UTC)
SLUGS = {1: "default", 2: "other"}
NAMES = ("relevance", "tone.v2", "resolved")
HOW = ("avg", "sum", "min", "max", "count", "stddev", "p50", "p95")
GROUPS: tuple[tuple[str, ...], ...] = (
    (),
    ("project",),
    ("provider", "model"),
    ("environment", "user_id"),
    ("session_id",),
    ("kind", "status"),
    ("name",),
)
FILTERS: tuple[tuple[Filter, ...], ...] = (
    (),
    (Filter("model", "in", ("gpt-4o", None)),),
    (Filter("environment", "ne", ("default",)),),
    (Filter("status", "eq", ("ok",)), Filter("user_id", "not_in", ("ann",))),
)
TRACES = 24


@pytest.fixture(autouse=True)
def _empty() -> Iterator[None]:
    clear_cells()
    with time_machine.travel(NOW, tick=False):
        yield
    clear_cells()


def spans(pick: random.Random, count: int, first: int) -> list[SpanRow]:
    made = []
    for number in range(first, first + count):
        trace = pick.randrange(TRACES)
        billable = pick.random() < 0.7
        begin = NOW - timedelta(days=trace % 5, minutes=pick.randrange(90))
        made.append(
            span_row(
                project_id=1 + trace % 2,
                trace_id=f"t{trace}",
                span_id=f"s{number}",
                start_us=us(begin),
                duration_us=pick.randrange(1, 10**6),
                parent_span_id=pick.choice((None, "s0", "s0")),
                name=pick.choice(("chat", "answer")),
                kind=pick.choice(("llm", "llm", "embedding")) if billable else "chain",
                billable=billable,
                status=pick.choice(("ok", "ok", "ok", "error")),
                provider=pick.choice(("openai", "openai", None)),
                model=("gpt-4o", "claude-sonnet-4-5")[trace % 2] if pick.random() < 0.8 else None,
                environment=pick.choice((None, None, "production")),
                user_id=pick.choice((None, None, "ann", "bob")),
                session_id=pick.choice((None, None, "c1")),
            )
        )
    return made


def verdicts(pick: random.Random, count: int, first: int, known: Sequence[SpanRow]) -> list[Score]:
    made = []
    for number in range(first, first + count):
        trace = pick.randrange(TRACES + 4)  # some judge what never comes
        target: dict[str, Any] = {"trace_id": f"t{trace}"}
        if pick.random() < 0.4:
            span = pick.choice(known)
            trace = int(span.trace_id[1:])
            target = {"trace_id": span.trace_id, "span_id": span.span_id}
        elif pick.random() < 0.3:
            target = {"session_id": pick.choice(("c1", "c2"))}
            if pick.random() < 0.5:
                target |= {"trace_id": f"t{trace}", "derived": True}  # taken from a span of that trace
        name = pick.choice(NAMES)
        kind = (
            pick.choice(("numeric", "categorical"))
            if name == "tone.v2"
            else "boolean"
            if name == "resolved"
            else "numeric"
        )
        value = {"numeric": pick.uniform(-5, 5), "boolean": float(pick.random() < 0.6), "categorical": None}[kind]
        made.append(
            Score(
                project_id=1 + trace % 2,
                id=f"v{number}",
                name=name,
                data_type=kind,
                value=value,
                label="polite" if kind == "categorical" else None,
                timestamp=NOW - timedelta(seconds=pick.randrange(6 * 86400)),
                environment=pick.choice((None, None, "lab")),
                **target,
            )
        )
    return made


# -- the oracle ---------------------------------------------------------------------------------------------------


class World:
    """What was written, and what follows from it."""

    def __init__(self) -> None:
        self.arrived: list[SpanRow] = []
        self.scores: dict[tuple[int, str], Score] = {}

    def write(self, rows: Sequence[SpanRow]) -> None:
        write(list(rows))
        self.arrived += rows

    def judge(self, scores: Sequence[Score]) -> None:
        write_scores(scores)
        self.scores |= {(score.project_id, score.id): score for score in scores}

    def forget(self, score: Score) -> None:
        assert delete_score(score.project_id, score.id)
        del self.scores[score.project_id, score.id]

    def members(self, project: int, trace: str | None) -> list[SpanRow]:
        found = [row for row in stored(self.arrived) if (row.project_id, row.trace_id) == (project, trace)]
        return sorted(found, key=lambda row: (row.start_us, row.span_id))

    def dimensions(self, score: Score) -> dict[str, Any]:
        members = self.members(score.project_id, score.trace_id) if score.session_id is None else []
        root = next((row for row in members if row.parent_span_id is None), None)
        span = next((row for row in members if row.span_id == score.span_id), None) if score.span_id else None

        def of_trace(name: str) -> Any:
            said = [getattr(row, name) for row in ([root] if root else []) + members]
            return next((value for value in said if value is not None), None)

        def agreed(name: str) -> Any:
            values = {getattr(row, name) for row in members if row.billable} - {None}
            return values.pop() if len(values) == 1 else None

        made: dict[str, Any] = {"project": SLUGS[score.project_id]}
        for name in ("provider", "model", "kind", "status"):
            made[name] = (getattr(span, name) if span else None) if score.span_id else agreed(name)
        made["name"] = (span.name if span else None) if score.span_id else (root.name if root else None)
        for name in ("user_id", "session_id", "environment"):
            made[name] = (getattr(span, name) if span else None) or of_trace(name)
        made["session_id"] = score.session_id or made["session_id"]
        made["environment"] = score.environment or made["environment"] or "default"
        return made


def keeps(item: Filter, value: Any) -> bool:
    return (value in item.values) == (item.op in ("eq", "in"))


def aggregate(how: str, scores: Sequence[Score]) -> float | None:
    values = sorted(score.value for score in scores if score.value is not None)
    if how == "count":
        return len(scores)
    if not values or (how == "stddev" and len(values) < 2):
        return None
    if how.startswith("p"):
        return values[math.ceil(int(how[1:]) / 100 * len(values)) - 1]
    plain: dict[str, Callable[[list[float]], float]] = {
        "avg": statistics.fmean,
        "sum": math.fsum,
        "min": min,
        "max": max,
        "stddev": statistics.stdev,
    }
    return plain[how](values)


def expected(world: World, spec: QuerySpec) -> dict[tuple[Any, ...], dict[str, float | None]]:
    names = {ref.metric.removeprefix("score.") for ref in spec.metrics}
    groups: dict[tuple[Any, ...], list[Score]] = {} if spec.group_by or spec.interval else {(): []}
    for score in world.scores.values():
        if score.name not in names or not spec.start <= score.timestamp < spec.end:
            continue
        known = world.dimensions(score)
        if score.project_id not in spec.project_ids or not all(keeps(item, known[item.field]) for item in spec.filters):
            continue
        first = (bucket(score.timestamp, spec.interval, ZoneInfo("UTC")),) if spec.interval else ()
        groups.setdefault((*first, *(known[name] for name in spec.group_by)), []).append(score)
    return {
        key: {
            ref.alias: aggregate(ref.aggregation, [one for one in found if f"score.{one.name}" == ref.metric])
            for ref in spec.metrics
        }
        for key, found in groups.items()
    }


def asked(**more: Any) -> QuerySpec:
    fields: dict[str, Any] = {
        "organization_id": 1,
        "project_ids": (1, 2),
        "projects": tuple(SLUGS.items()),
        "start": NOW - timedelta(days=4, hours=3),
        "end": NOW - timedelta(minutes=5),
        "metrics": tuple(MetricRef(f"score.{name}", how, f"{how}_{name}") for name in NAMES for how in HOW),
    }
    return QuerySpec(**{**fields, **more})


def same(world: World, spec: QuerySpec) -> None:
    keys = (*(("timestamp",) if spec.interval else ()), *spec.group_by)
    made = answer(spec)
    got = {tuple(row[name] for name in keys): {ref.alias: row[ref.alias] for ref in spec.metrics} for row in made.rows}
    want = expected(world, spec)
    assert got.keys() == want.keys(), spec
    for key, values in want.items():
        for alias, value in values.items():
            found = got[key][alias]
            close = found == value or (value is not None and found == pytest.approx(value, rel=1e-9, abs=1e-9))
            assert close, (spec.group_by, spec.filters, key, alias, found, value)
    assert made.plan.sources == ("scores",)
    assert made.plan.percentile_error == 0


def everything(world: World) -> None:
    for group_by in GROUPS:
        same(world, asked(group_by=group_by))
    for filters in FILTERS:
        same(world, asked(filters=filters, group_by=("model",)))
    for interval in ("1hour", "1day"):
        same(world, asked(interval=interval, group_by=("provider",)))
    same(world, asked(project_ids=(2,), metrics=(MetricRef("score.relevance", "avg", "score.relevance"),)))


@pytest.mark.parametrize("seed", [1, 2])
def test_scores_as_metrics_equal_plain_python(seed: int) -> None:
    pick = random.Random(seed)
    world = World()
    planned = spans(pick, 120, 0)
    world.judge(verdicts(pick, 60, 0, planned))  # before anything that they judge
    world.write(planned[:70])
    everything(world)
    refresh()
    everything(world)
    world.write(planned[70:])
    world.write(planned[:20])
    more = verdicts(pick, 40, 40, planned)  # the first twenty of these replace others, in another place perhaps
    world.judge(more)
    for score in pick.sample(list(world.scores.values()), 10):
        world.forget(score)
    everything(world)
    refresh()
    everything(world)


def cells() -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT c.* FROM score_cell c ORDER BY project_id, id")
        return list(cursor.fetchall())


def test_scores_from_before_there_were_cells_get_them_by_and_by() -> None:
    pick = random.Random(3)
    world = World()
    planned = spans(pick, 100, 0)
    world.write(planned)
    world.judge(verdicts(pick, 80, 0, planned))
    refresh()
    made = cells()
    assert len(made) == len(world.scores)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM score_cell")
        for project in (1, 2):
            lo, hi = NOW - timedelta(days=9), NOW + timedelta(days=1)
            cursor.execute("INSERT INTO score_mark (project_id, lo, hi) VALUES (%s, %s, %s)", [project, lo, hi])
    everything(world)
    refresh()
    assert 0 < len(cells()) < len(made), "a part at a time"
    everything(world)
    world.write(planned[:10])
    for score in pick.sample(list(world.scores.values()), 5):
        world.forget(score)
    everything(world)
    for _ in range(4):
        refresh()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM score_mark")
        assert cursor.fetchone() == (0,)
    assert cells() == [row for row in made if (row[0], row[1]) in world.scores]
    everything(world)


def test_a_cell_goes_with_its_score_and_moves_with_it() -> None:
    world = World()
    first = Score(1, "a", "relevance", "numeric", 1.0, NOW - timedelta(days=1), trace_id="t2")
    world.judge([first, replace(first, id="b", value=2.0)])
    refresh()
    world.judge([replace(first, timestamp=NOW - timedelta(days=2), trace_id="t4", value=3.0)])
    world.forget(world.scores[1, "b"])
    same(world, asked(group_by=("model",)))
    refresh()
    assert [(row[1], row[2], row[5]) for row in cells()] == [("a", NOW - timedelta(days=2), 3.0)]
    same(world, asked(group_by=("model",)))


def test_beside_metrics_of_spans_each_is_what_it_is_alone() -> None:
    pick = random.Random(7)
    world = World()
    planned = spans(pick, 80, 0)
    world.write(planned)
    world.judge(verdicts(pick, 60, 0, planned))
    score = MetricRef("score.relevance", "avg", "score.relevance")
    count = MetricRef("score.relevance", "count", "judged")
    requests, cost = MetricRef("request_count", "sum", "requests"), MetricRef("total_cost", "sum", "cost")
    users = MetricRef("unique_users", "count", "users")
    for shape in ({"interval": "1day"}, {"group_by": ("model",)}, {}):
        mixed = answer(asked(metrics=(requests, score, cost, count, users), **shape)).rows
        keys = ("timestamp",) if "interval" in shape else tuple(shape.get("group_by", ()))
        alone = {
            ref.alias: {
                tuple(row[key] for key in keys): row[ref.alias] for row in answer(asked(metrics=(ref,), **shape)).rows
            }
            for ref in (requests, score, cost, count, users)
        }
        absent: dict[str, Any] = {"requests": 0, "cost": 0, "judged": 0, "users": 0, "score.relevance": None}
        assert mixed
        for row in mixed:
            key = tuple(row[name] for name in keys)
            for alias, values in alone.items():
                assert row[alias] == values.get(key, absent[alias]), (shape, key, alias)


def test_scores_older_than_they_are_kept_cannot_be_asked_for() -> None:
    with pytest.raises(ApiError) as refused:
        answer(asked(start=NOW - timedelta(days=401)))
    assert refused.value.entry.code == 1204
