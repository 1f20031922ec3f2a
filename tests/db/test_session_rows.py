"""Rows of conversations, before and after a refresh, against the same computed in Python."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.conf import settings as hub_settings
from django.db import connection
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from apps.traces import retention, writer
from apps.traces.models import Span, SpanMark
from apps.traces.sessions.current import current_sessions, select
from apps.traces.sessions.fold import COLUMNS, remake_sessions
from apps.traces.summary import refresh_traces
from tests.support.conversations import Key, Row, conversations
from tests.support.spans import T0, T0_US, clear_spans, span_row

pytestmark = pytest.mark.django_db
MINUTE = 60_000_000
BASE = T0_US // MINUTE * MINUTE
NOW = T0 + timedelta(days=2)
VALUES = (None, "a", "b")
STEPS = st.one_of(
    *[
        st.tuples(
            st.just("span"),
            st.integers(0, 17),  # which span; its trace, project and place follow from it
            st.booleans(),  # a root
            st.sampled_from(VALUES),
            st.sampled_from(VALUES),
            st.integers(1, 4),  # its rank
        )
    ]
    * 4,
    st.tuples(st.just("delete"), st.integers(0, 5)),
    st.tuples(st.just("score"), st.integers(0, 2), st.sampled_from(VALUES), st.integers(0, 3), st.booleans()),
    st.tuples(st.just("unscore"), st.integers(0, 2)),
    st.just(("refresh",)),
    st.just(("refresh",)),
)


def _mark(project: int, moment: datetime) -> None:
    lo = moment.replace(second=0, microsecond=0)
    SpanMark.objects.create(project_id=project, lo=lo, hi=lo + timedelta(minutes=1), created_at=lo)


def _span(key: int, root: bool, session: str | None, user: str | None, rank: int) -> None:
    row = span_row(
        project_id=1 + key % 2,
        trace_id=f"t{key % 6}",
        span_id=f"s{key}",
        # Over a day and a half, several in one minute, two traces at one moment.
        start_us=BASE + key % 3 * 720 * MINUTE + key * 7 % 5 * 20_000_000,
        duration_us=1_000 + rank * 300 * MINUTE,
        content_hash=rank,
        parent_span_id=None if root else "p",
        billable=key % 4 > 0,
        session_id=session,
        user_id=user,
        environment=user and f"env-{user}",
        status="error" if rank == 4 else "ok",
        total_cost=rank * 10**15 if user else None,
    )
    writer.write([row])


def _delete(trace: int) -> None:
    gone = Span.objects.filter(trace_id=f"t{trace}")
    for project, start in list(gone.values_list("project_id", "start_time")):
        _mark(project, start)
    gone.delete()


def _score(number: int, session: str | None, hours: int, value: bool) -> None:
    """Write a verdict as the API does: what it says and what it replaces are marked."""
    _unscore(number)
    if session is not None:
        timestamp = T0 + timedelta(hours=hours)
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO score (project_id, id, name, data_type, value, session_id, source, timestamp)"
                " VALUES (1, %s, %s, 'boolean', %s, %s, 'api', %s)",
                [f"v{number}", "resolved" if hours else "liked", int(value), session, timestamp],
            )
        _mark(1, timestamp)


def _unscore(number: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM score WHERE project_id = 1 AND id = %s RETURNING timestamp", [f"v{number}"])
        for (timestamp,) in cursor.fetchall():
            _mark(1, timestamp)


def _refresh() -> None:
    with connection.cursor() as cursor:
        refresh_traces(cursor, [(mark.project_id, mark.lo, mark.hi) for mark in SpanMark.objects.all()])
    SpanMark.objects.all().delete()


DO: dict[str, Callable[..., None]] = {
    "span": _span,
    "delete": _delete,
    "score": _score,
    "unscore": _unscore,
    "refresh": _refresh,
}


def _table(sql: str, parameters: dict[str, Any] | None = None) -> list[Row]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _expected() -> dict[Key, Row]:
    return conversations(_table("SELECT * FROM span"), _table("SELECT * FROM score"))


def _keyed(rows: list[Row]) -> dict[Key, Row]:
    return {(row["project_id"], row["session_id"]): row for row in rows}


def _current(projects: list[int], where: str = "", order: str = "", limit: str = "") -> list[Row]:
    with connection.cursor() as cursor:
        source = current_sessions(cursor, projects)
    columns = [f"x.{name}" for name in COLUMNS]
    return _table(select(source, columns, where, order, limit), source.parameters)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(STEPS, min_size=2, max_size=14))
@example([("span", 1, False, "a", None, 1), ("refresh",), ("span", 7, True, "b", "a", 2)])  # a late root moves a turn
@example([("span", 2, True, "a", "a", 4), ("span", 0, True, "a", "b", 1), ("refresh",), ("delete", 2)])
@example([("span", 0, True, "a", "a", 1), ("score", 0, "a", 1, True), ("refresh",), ("score", 0, "b", 2, False)])
@example([("span", 0, True, "a", "a", 1), ("score", 0, "a", 1, True), ("refresh",), ("unscore", 0)])
def test_whatever_is_written_conversations_are_right(steps: list[tuple[Any, ...]]) -> None:
    clear_spans()
    with time_machine.travel(NOW, tick=False):
        for name, *arguments in steps:
            DO[name](*arguments)
        expected = _expected()
        assert _keyed(_current([1, 2])) == expected, "before the refresh"
        _refresh()
        assert _keyed(_table("SELECT * FROM session")) == expected, "after the refresh"
        assert _keyed(_current([1, 2])) == expected


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(STEPS, min_size=4, max_size=12), st.sampled_from(([1], [1, 2])))
def test_orders_conditions_and_limits_reach_both_kinds_of_rows(
    steps: list[tuple[Any, ...]], projects: list[int]
) -> None:
    clear_spans()
    with time_machine.travel(NOW, tick=False):
        for name, *arguments in steps:
            DO[name](*arguments)
        order = "x.turns DESC, x.project_id, x.session_id"
        rows = [row for key, row in _expected().items() if key[0] in projects and row["users"] < 2]
        rows.sort(key=lambda row: (-row["turns"], row["project_id"], row["session_id"]))
        assert _current(projects, "x.users < 2", order, "2") == rows[:2]


def test_nothing_changed_is_nothing_written() -> None:
    writer.write([span_row(session_id="s"), span_row(session_id="s")])
    marked = [(mark.project_id, mark.lo, mark.hi) for mark in SpanMark.objects.all()]
    _refresh()
    before = _table("SELECT xmin::text, ctid::text FROM session")
    with connection.cursor() as cursor:
        refresh_traces(cursor, marked)
    assert len(before) == 1
    assert _table("SELECT xmin::text, ctid::text FROM session") == before


def test_retention_shortens_conversations_and_removes_those_without_turns(committed_spans: None) -> None:
    days = timedelta(days=1)
    kept = hub_settings.HUB.raw_retention_days
    old, young = NOW - (kept + 2) * days, NOW - 5 * days
    with connection.cursor() as cursor:
        for trace, session, start in (("t1", "gone", old), ("t2", "both", old), ("t3", "both", young)):
            cursor.execute(
                "INSERT INTO trace (project_id, trace_id, first_start, last_start, end_time, session_id, span_count,"
                " request_count, error_count, duration_us, models, providers)"
                " VALUES (1, %s, %s, %s, %s, %s, 1, 1, 0, 0, '{}', '{}')",
                [trace, start, start, start, session],
            )
        remake_sessions(cursor, [(1, "gone"), (1, "both")])
    assert {row["session_id"]: row["turns"] for row in _table("SELECT * FROM session")} == {"gone": 1, "both": 2}
    retention.drop_expired(NOW)
    rows = _table("SELECT session_id, turns, first_start FROM session")
    assert rows == [{"session_id": "both", "turns": 1, "first_start": young}]
