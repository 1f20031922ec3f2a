"""Traces read before a refresh are those that the refresh makes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from apps.orgs.models import Organization, Project
from apps.traces import writer
from apps.traces.current import COLUMNS, Source, current_traces, select
from apps.traces.models import Span, SpanMark, Trace
from apps.traces.summary import refresh_traces
from tests.support.spans import T0, T0_US, clear_spans, span_row

pytestmark = pytest.mark.django_db
MINUTE = 60_000_000
DAY = 1440 * MINUTE
BASE = T0_US // MINUTE * MINUTE
NOW = T0 + timedelta(days=3)
ALL = [f"t.{name}" for name in COLUMNS]
ORDERS = (
    "t.first_start DESC, t.project_id DESC, t.trace_id DESC",
    "t.total_cost ASC NULLS LAST, t.project_id, t.trace_id",
    "t.duration_us DESC, t.project_id, t.trace_id",
)
SPANS = st.tuples(
    st.just("span"),
    st.integers(0, 11),  # which span; its trace, project and place follow from it
    st.booleans(),  # a root
    st.sampled_from((None, "a", "b")),
    st.integers(1, 4),  # its rank
)
STEPS = st.one_of(
    SPANS, SPANS, SPANS, st.tuples(st.just("delete"), st.integers(0, 2)), st.just(("refresh",)), st.just(("refresh",))
)


def _span(key: int, root: bool, user: str | None, rank: int) -> None:
    row = span_row(
        project_id=1 + key % 2,
        trace_id=f"t{key % 3}",
        span_id=f"s{key}",
        # Over three days, several in one minute.
        start_us=BASE + key % 3 * DAY + key * 7 % 5 * 20_000_000 + key,
        duration_us=1_000 + rank * 300 * MINUTE,
        content_hash=rank,
        parent_span_id=None if root else "p",
        billable=key % 4 > 0,
        user_id=user,
        tags=user and [user],
        kind=("llm", "tool", "chain")[rank % 3],
        status="error" if rank == 4 else "ok",
        total_cost=rank * 10**15 if user else None,
    )
    writer.write([row])


def _delete(trace: int) -> None:
    """All spans of a trace go, as whoever deletes one does it: marked from its first to its last start."""
    gone = Span.objects.filter(trace_id=f"t{trace}")
    for project, start in list(gone.values_list("project_id", "start_time")):
        lo = start.replace(second=0, microsecond=0)
        SpanMark.objects.create(project_id=project, lo=lo, hi=lo + timedelta(minutes=1), created_at=lo)
    gone.delete()


def _refresh() -> None:
    with connection.cursor() as cursor:
        refresh_traces(cursor, [(mark.project_id, mark.lo, mark.hi) for mark in SpanMark.objects.all()])
    SpanMark.objects.all().delete()


def _run(source: Source, where: str, order: str, limit: int | None, more: dict[str, Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(
            select(source, ALL, where, order, "" if limit is None else "%(limit)s"),
            {**source.parameters, **more, "limit": limit},
        )
        return list(cursor.fetchall())


def _read(projects: list[int], where: str = "", order: str = ORDERS[0], limit: int | None = None, **more: Any) -> Any:
    options = {name: more[name] for name in ("within", "trace_ids") if name in more}
    with connection.cursor() as cursor:
        source = current_traces(cursor, projects, **options)
    return _run(source, where, order, limit, more)


def _questions() -> list[Any]:
    """What is asked before and after a refresh: without limits, by page, by range, by id, by a column."""
    start, end = T0.replace(hour=0, minute=0), T0 + timedelta(days=1)
    in_range = "t.first_start >= %(start)s AND t.first_start < %(end)s"
    asked: list[Any] = []
    for projects in ([1], [1, 2]):
        asked += [_read(projects, order=order) for order in ORDERS]
        asked += [_read(projects, order=order, limit=2) for order in ORDERS]
        asked.append(_read(projects, in_range, start=start, end=end, within=(start, end)))
        asked.append(_read(projects, in_range, start=end, end=NOW, within=(end, NOW)))
        asked.append(_read(projects, "t.trace_id = ANY(%(ids)s)", ids=["t1", "none"], trace_ids=["t1", "none"]))
        asked.append(_read(projects, "t.user_id = %(user)s", user="a", limit=1))
    return asked


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(STEPS, min_size=2, max_size=12))
@example([("span", 3, False, None, 1), ("refresh",), ("span", 0, True, "a", 2)])  # a root that comes late
@example([("span", 1, True, "a", 1), ("span", 5, False, None, 1), ("refresh",), ("delete", 1)])
@example([("span", 3, True, "a", 1), ("refresh",), ("delete", 0), ("span", 9, True, "b", 1)])
def test_read_before_a_refresh_they_are_what_the_refresh_makes(steps: list[tuple[Any, ...]]) -> None:
    clear_spans()
    with time_machine.travel(NOW, tick=False):
        for step in steps:
            if step[0] == "span":
                _span(*step[1:])
            elif step[0] == "delete":
                _delete(step[1])
            else:
                _refresh()
        before = _questions()
        _refresh()
        assert _questions() == before
        assert before[0] == list(
            Trace.objects.filter(project_id=1).order_by("-first_start", "-trace_id").values_list(*COLUMNS)
        )


def test_while_nothing_is_marked_the_table_alone_is_read() -> None:
    writer.write([span_row(), span_row(project_id=2)])
    _refresh()
    with connection.cursor() as cursor:
        source = current_traces(cursor, [1])
        assert not source.dirty
        assert "span" not in select(source, ALL).replace("root_span_id", "").replace("span_count", "")
    writer.write([span_row(project_id=2)])
    with connection.cursor() as cursor:
        assert not current_traces(cursor, [1]).dirty, "another project's marks are not ours"
        assert current_traces(cursor, [1, 2]).dirty


def test_a_trace_that_began_before_what_is_kept_stays_as_its_row_says() -> None:
    organization = Organization.objects.create(slug="acme", name="Acme")
    project = Project.objects.create(organization=organization, slug="p", name="p", raw_retention_days=2)
    writer.write([span_row(project_id=project.pk, trace_id="old", total_cost=5)])
    _refresh()
    with time_machine.travel(NOW, tick=False):
        late = T0_US + 2 * DAY
        writer.write([span_row(project_id=project.pk, trace_id=trace, start_us=late) for trace in ("old", "new")])
        found = {row[1]: row for row in _read([project.pk])}
    assert found["old"][2:4] == (T0, T0)
    assert found["new"][2] == T0 + timedelta(days=2)


def test_rows_out_of_the_range_are_not_computed() -> None:
    writer.write([span_row(trace_id=f"t{day}", start_us=BASE + day * DAY) for day in range(5)])
    with connection.cursor() as cursor, time_machine.travel(NOW, tick=False):
        start = datetime(2026, 11, 6, tzinfo=UTC)
        source = current_traces(cursor, [1], within=(start, start + timedelta(days=1)))
        cursor.execute(f"WITH {source.ctes} SELECT trace_id FROM current_dirty", dict(source.parameters))
        assert cursor.fetchall() == [("t1",)]
