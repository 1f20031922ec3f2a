"""What the proof is for: a row that is lost, a value that is changed, a filter read otherwise, a cell that is wrong."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.db import connection

from apps.exports.failures import ExportFailed, NotProven
from apps.exports.produce import produce
from apps.exports.sources import questions, raw, windows
from apps.exports.spec import Kind
from apps.metrics import runner
from apps.metrics.finish import Row
from apps.metrics.runner import Answer
from apps.metrics.spec import QuerySpec
from apps.traces.writer import write
from tests.exports.questions import START, asked, exported, fill_world
from tests.metrics.test_oracle import NOW
from tests.support.cells import clear_cells, skip_aggregate
from tests.support.spans import span_row, us
from tests.support.world import World, make_world

pytestmark = pytest.mark.django_db(transaction=True)

COSTS = {"interval": "1day", "group_by": ["model", "environment"]}
METRICS = {"metrics": ["error_rate"], "interval": "6hour", "group_by": ["user_id"], "filters": {"status": "ok"}}
Change = Callable[[list[Row]], None]


@pytest.fixture
def world(transactional_db: None) -> Iterator[World]:
    clear_cells()
    with time_machine.travel(NOW, tick=False):
        made = make_world()
        fill_world(made, "refreshed")
        yield made
    clear_cells()


def drop(rows: list[Row]) -> None:
    del rows[len(rows) // 2]


def repeat(rows: list[Row]) -> None:
    rows.append(dict(rows[0]))


def add_picodollar(rows: list[Row]) -> None:
    name = next(name for name in ("total_cost_usd", "proof.total_cost") if name in rows[0])
    row = next(row for row in rows if row[name] is not None)
    row[name] += Decimal("1e-12")


def add_token(rows: list[Row]) -> None:
    name = next(name for name in ("total_tokens", "proof.total_tokens") if name in rows[0])
    row = next(row for row in rows if row[name] is not None)
    row[name] += 1


def add_cached_token(rows: list[Row]) -> None:
    """A column that is shown, beside those that prove every export."""
    name = next(name for name in ("cached_tokens", "proof.request_count") if name in rows[0])
    rows[0][name] = (rows[0][name] or 0) + 1


def tampered(monkeypatch: pytest.MonkeyPatch, change: Change) -> None:
    """Change what the engine answers for the first window of a grouped question that has rows."""
    attempt_in, done = runner.attempt_in, list[bool]()

    def changed(cursor: Any, spec: QuerySpec, state: Any = None) -> Answer:
        made = attempt_in(cursor, spec, state)
        if spec.group_by and made.rows and not done:
            done.append(True)
            change(made.rows)
        return made

    monkeypatch.setattr(windows, "attempt_in", changed)


@pytest.mark.parametrize("side", ["both", "sql", "engine"])
def test_a_row_that_is_not_right(world: World, monkeypatch: pytest.MonkeyPatch, side: str) -> None:
    """Either of the two sides finds it out alone."""
    if side == "sql":
        monkeypatch.setattr(questions.QuestionSource, "engine", lambda self, cursor: "not asked")
    if side == "engine":
        monkeypatch.setattr(questions.QuestionSource, "counted", lambda self, cursor: "not asked")
    asked_for: tuple[tuple[Kind, dict[str, Any]], ...] = (("costs", COSTS), ("metrics", METRICS))
    for kind, body in asked_for:
        exported(world, kind, body)
        for change in (drop, repeat, add_picodollar, add_token, add_cached_token):
            with monkeypatch.context() as patch:
                tampered(patch, change)
                with pytest.raises(NotProven):
                    exported(world, kind, body)


def test_a_filter_that_one_of_the_two_reads_otherwise(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    totals, attempt_in = raw.totals, runner.attempt_in
    monkeypatch.setattr(questions.QuestionSource, "engine", lambda self, cursor: "not asked")
    body = {**COSTS, "model": "gpt-4o", "status": ["ok", "unset"]}
    exported(world, "costs", body)
    others = (lambda item: replace(item, op="not_in"), lambda item: replace(item, values=(*item.values[:1], "x")))
    for other in others:

        def of(query: QuerySpec, other: Any = other) -> QuerySpec:
            return replace(query, filters=(*query.filters[:-1], other(query.filters[-1])))

        with monkeypatch.context() as patch:
            patch.setattr(raw, "totals", lambda cursor, query, of=of, **more: totals(cursor, of(query), **more))
            with pytest.raises(NotProven, match="the spans say"):
                exported(world, "costs", body)

        def changed(cursor: Any, spec: QuerySpec, state: Any = None, of: Any = of) -> Answer:
            made = of(spec)
            made.__dict__["buckets"] = spec.buckets
            return attempt_in(cursor, made, state)

        with monkeypatch.context() as patch:
            patch.setattr(windows, "attempt_in", changed)
            with pytest.raises(NotProven, match="the spans say"):
                exported(world, "costs", body)


def test_a_window_that_leaves_a_bucket_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    window = QuerySpec.window
    monkeypatch.setattr(windows, "FIRST", 3)
    monkeypatch.setattr(windows, "LARGEST", 3)
    exported(world, "costs", COSTS)
    monkeypatch.setattr(QuerySpec, "window", lambda self, first, last: window(self, first, last - (last == 3)))
    with pytest.raises(NotProven, match="rows is"):
        exported(world, "costs", COSTS)


@pytest.mark.parametrize("table", ["usage_1d", "usage_project_1d"])
def test_a_cell_that_is_wrong(world: World, table: str) -> None:
    """The rows are made of the former, the answer in one piece of the latter."""
    skip_aggregate(table)
    for column in ("requests", "total_cost_sum", "total_tokens_sum", "prompt_cost_sum", "total_cost_count"):
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT ctid::text FROM {table} WHERE {column} > 0 ORDER BY bucket DESC OFFSET 2 LIMIT 1")
            place = cursor.fetchone()
            cursor.execute(f"UPDATE {table} SET {column} = {column} + 1 WHERE ctid = %s RETURNING ctid::text", place)
            place = cursor.fetchone()
        with pytest.raises(NotProven, match=f"the {'spans' if table == 'usage_1d' else 'metrics'} say"):
            exported(world, "costs", COSTS)
        with connection.cursor() as cursor:
            cursor.execute(f"UPDATE {table} SET {column} = {column} - 1 WHERE ctid = %s", place)
            assert cursor.rowcount == 1
    exported(world, "costs", COSTS)


def test_a_cell_that_is_missing(world: World) -> None:
    exported(world, "metrics", METRICS)
    with connection.cursor() as cursor:
        where = "ctid = (SELECT ctid FROM users_1h WHERE status = 'ok' AND bucket >= %s ORDER BY bucket LIMIT 1)"
        cursor.execute(f"DELETE FROM users_1h WHERE {where}", [START + timedelta(hours=12)])
        assert cursor.rowcount == 1
    with pytest.raises(NotProven):
        exported(world, "metrics", METRICS)


def test_what_is_written_meanwhile_is_not_in_it(world: World) -> None:
    before, _ = exported(world, "costs", COSTS)
    out, said = io.BytesIO(), list[int]()

    def arrive() -> None:
        for spec in ("late", "later"):
            write([span_row(project_id=world.default.pk, start_us=us(NOW) - 10**9, span_id=spec, total_cost=10**12)])
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM span WHERE project_id = %s", [world.web.pk])
        connection.close()

    def progress(done: int, total: int | None) -> None:
        if not said:
            thread = threading.Thread(target=arrive)
            thread.start()
            thread.join()
        said.append(done)

    made = produce(asked(world, "costs", COSTS), out, job_id="1", progress=progress)
    assert made.rows == len(before) == said[-1]
    assert made.manifest["proof"]["not_compared"] == {}
    assert out.getvalue().count(b"\n") == len(before)


def test_one_bucket_with_too_many_groups_is_no_export(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "MAX_GROUPS_FETCHED", 3)
    monkeypatch.setattr(windows, "MOST_ROWS", 3)
    with pytest.raises(ExportFailed, match="more than 3 groups"):
        exported(world, "costs", {"interval": "1day", "group_by": ["user_id", "session_id", "model"]})


def test_more_rows_than_a_file_may_have_are_no_export(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, _ = exported(world, "costs", COSTS)
    monkeypatch.setattr(questions, "MAX_ROWS", len(rows) - 1)
    with pytest.raises(ExportFailed, match=f"has {len(rows)} rows"):
        exported(world, "costs", COSTS)
    filled = {"metrics": ["request_count"], "interval": "1hour", "group_by": ["model"], "fill": "zero"}
    with pytest.raises(ExportFailed, match="at most"):
        exported(world, "metrics", filled)
    monkeypatch.setattr(questions.QuestionSource, "counted", lambda self, cursor: "not asked")
    with pytest.raises(ExportFailed, match="Filled"):
        exported(world, "metrics", filled)
    with pytest.raises(ExportFailed, match=f"more than {len(rows) - 1} rows"):
        exported(world, "costs", COSTS)
    assert exported(world, "costs", {**COSTS, "limit": len(rows) - 1})[1].manifest["truncated"]
