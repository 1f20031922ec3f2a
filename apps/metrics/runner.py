"""Answering a question: state, plan and statements in one read-only snapshot, then the finish in Python."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from django.conf import settings

from apps.common.edge.deadline import TimedCursor
from apps.common.errors import ApiError
from apps.common.reads.snapshot import snapshot
from apps.metrics import finish, percentiles
from apps.metrics.finish import Key, Row
from apps.metrics.planner import Part, Plan, plan
from apps.metrics.rollups import ROLLUPS
from apps.metrics.scores import compile_scores
from apps.metrics.spec import QuerySpec
from apps.metrics.state import RollupState, read_state
from apps.metrics.statement import MAX_GROUPS_FETCHED, compile_part


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows and what is said about them.

    Args:
        plan: how it was answered; its range is the one answered for.
        before: how the range that it is compared with was answered, where there is one.
        total_rows: rows before the limit.
    """

    rows: list[Row]
    plan: Plan
    total_rows: int
    seconds: float = 0.0
    before: Plan | None = None


@dataclass
class _Values:
    """What the statements of a plan gave, by key; `finished` where the database has ordered and cut the rows."""

    by_key: dict[Key, Row] = field(default_factory=dict)
    finished: bool = False
    total: int = 0


def check_kept(spec: QuerySpec) -> None:
    """Refuse a range of which nothing at all is kept: zeros would not be true.

    Raises:
        ApiError: 1204, saying since when anything is kept.
    """
    retentions = {"raw_retention_days", *(rollup.retention for rollup in ROLLUPS.values())}
    since = datetime.now(UTC) - timedelta(days=max(getattr(settings.HUB, name) for name in retentions))
    if spec.end <= since:
        text = since.strftime("%Y-%m-%dT%H:%M:%SZ")
        raise ApiError(1204, f"Nothing is kept from before {text}.", field="end_time", details={"kept_since": text})


def answer(spec: QuerySpec) -> Answer:
    """Answer a question.

    Raises:
        ApiError: 1204 where too little is kept, 1205 where the answer is too large.
    """
    begun = time.perf_counter()
    check_kept(spec)
    with snapshot() as cursor:
        made = answer_in(cursor, spec)
    return replace(made, seconds=time.perf_counter() - begun)


def answer_in(cursor: psycopg.Cursor[Any], spec: QuerySpec) -> Answer:
    """Answer a question inside a snapshot that is already open."""
    try:
        return attempt_in(cursor, spec)
    except finish.TooManyRows:
        if spec.interval is None:
            raise finish.too_many(spec, spec.most_rows) from None
    counting = replace(spec, interval=None, limit=1, fill="none", compare_to=None, having=(), sort=())
    raise finish.too_many(spec, answer_in(cursor, counting).total_rows)


def attempt_in(cursor: psycopg.Cursor[Any], spec: QuerySpec, state: RollupState | None = None) -> Answer:
    """Answer a question inside a snapshot, for callers that ask for less where it is too much.

    Args:
        state: as `read_state` read it for a longer range in the same snapshot.

    Raises:
        TooManyRows: more rows than the question's `most_rows`, or than can be held.
        ApiError: 1204 where too little is kept.
    """
    chosen = plan(spec, state or read_state(cursor, spec))
    values = _run(cursor, chosen)
    if values.finished:
        rows = [finish.row(spec, key, found) for key, found in values.by_key.items()]
        if spec.limit is None and len(rows) > spec.most_rows:
            raise finish.TooManyRows
        return Answer(rows, chosen, values.total)
    before, previous = None, None
    if spec.compare_to is not None:
        earlier = spec.shifted()
        before = plan(earlier, read_state(cursor, earlier))
        previous = _run(cursor, before).by_key
    rows, total = finish.finish(spec, values.by_key, previous)
    return Answer(rows, chosen, total, before=before)


def _run(cursor: psycopg.Cursor[Any], chosen: Plan) -> _Values:
    values = _Values()
    if not finish.key_width(chosen.spec):
        values.by_key[()] = {}  # the whole range is one row, be it empty
    for part in chosen.parts:
        if part.kind == "histogram":
            found = _run_histogram(cursor, chosen, part)
        else:
            found = _run_rows(cursor, chosen, part, values)
        for key, row in found.items():
            values.by_key.setdefault(key, {}).update(row)
    return values


def _run_rows(cursor: psycopg.Cursor[Any], chosen: Plan, part: Part, values: _Values) -> dict[Key, Row]:
    statement = compile_scores(cursor, chosen, part) if part.kind == "score" else compile_part(chosen, part)
    rows = _fetch(cursor, statement.sql, statement.params, chosen.spec)
    values.finished = statement.finished
    if statement.finished:
        values.total = rows[0][-1] if rows else 0
    width = finish.key_width(chosen.spec)
    outputs = [(ref.alias, finish.OUTPUTS[ref.formula.output]) for ref in part.references]
    found: dict[Key, Row] = {}
    for row in rows:
        made = {
            alias: None if value is None else write(value)
            for (alias, write), value in zip(outputs, row[width:], strict=False)
        }
        found[finish.key(chosen.spec, row[:width])] = made
    return found


def _run_histogram(cursor: psycopg.Cursor[Any], chosen: Plan, part: Part) -> dict[Key, Row]:
    statement = compile_part(chosen, part)
    width = finish.key_width(chosen.spec)
    beside = cursor.beside() if isinstance(cursor, TimedCursor) else type(cursor)(cursor.connection)
    with beside as binary:  # for its loaders; with the same limits in time as the snapshot's own
        percentiles.load_arrays(binary)
        rows = _fetch(binary, statement.sql, statement.params, chosen.spec)
    groups: dict[Key, list[percentiles.Cells]] = {}
    for row in rows:
        groups.setdefault(row[:width], []).append(percentiles.unpacked(*row[width:]))
    ranks = [ref.formula.percent for ref in part.references]
    answers = percentiles.percentiles(list(groups.values()), ranks)
    names = statement.columns
    return {
        finish.key(chosen.spec, raw): dict(zip(names, found, strict=True))
        for raw, found in zip(groups, answers, strict=True)
    }


def _fetch(cursor: psycopg.Cursor[Any], sql: str, params: dict[str, Any], spec: QuerySpec) -> list[tuple[Any, ...]]:
    rows = cursor.execute(sql.encode(), params, prepare=False, binary=True).fetchall()
    if len(rows) > MAX_GROUPS_FETCHED:
        raise finish.TooManyRows
    return rows
