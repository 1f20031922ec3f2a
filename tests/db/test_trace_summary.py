"""Trace rows and what spans take over from their trace, against the same computed in Python."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.traces import attribution, writer
from apps.traces.columns import SpanRow
from apps.traces.models import Span, SpanMark, Trace
from apps.traces.schema import EPOCH
from apps.traces.summary import INHERITED, SUMMARY, Range, refresh_traces
from tests.support.spans import T0, T0_US, clear_spans, span_row

pytestmark = pytest.mark.django_db
MINUTE = 60_000_000
BASE = T0_US // MINUTE * MINUTE
TraceKey = tuple[int, str]

ROWS = st.builds(
    lambda key, root, billable, values, rank, error: span_row(
        project_id=1 + key % 2,
        trace_id=f"t{key % 3}",
        span_id=f"s{key}",
        # A span's place follows from its key, so that a repeated one replaces.
        start_us=BASE + key * 7 % 5 * 600 * MINUTE + key,
        duration_us=1000 + rank * 700 * MINUTE,
        content_hash=rank,
        parent_span_id=None if root else "p",
        billable=billable,
        kind="llm" if billable else "chain" if root else "tool",
        user_id=values[0],
        session_id=values[1],
        environment=values[2],
        tags=values[2] and [values[2], "x"],
        model=values[0],
        status="error" if error else "ok",
        total_cost=rank * 10**18 if values[1] else None,
    ),
    st.integers(0, 9),
    st.booleans(),
    st.booleans(),
    st.tuples(*[st.sampled_from([None, "a", "b"])] * 3),
    st.integers(0, 3),
    st.booleans(),
)


def _moment(us: int) -> datetime:
    return EPOCH + timedelta(microseconds=us)


def _stored(rows: Iterable[SpanRow]) -> dict[TraceKey, list[SpanRow]]:
    best: dict[Any, SpanRow] = {}
    for row in rows:
        if row.identity not in best or row.rank > best[row.identity].rank:
            best[row.identity] = row
    traces = defaultdict(list)
    for row in sorted(best.values(), key=lambda row: (row.start_us, row.span_id)):
        traces[row.project_id, row.trace_id].append(row)
    return traces


def _inherited(spans: Sequence[SpanRow], name: str) -> Any:
    root = next((span for span in spans if span.parent_span_id is None), None)
    own = getattr(root, name) if root else None
    return own if own is not None else next((v for s in spans if (v := getattr(s, name)) is not None), None)


def _sum(spans: Sequence[SpanRow], name: str) -> int | None:
    values = [value for span in spans if span.billable and (value := getattr(span, name)) is not None]
    return sum(values) if values else None


def _summary(spans: Sequence[SpanRow]) -> dict[str, Any]:
    root = next((span for span in spans if span.parent_span_id is None), None)
    billable = [span for span in spans if span.billable]
    end = max(span.start_us + span.duration_us for span in spans)
    sums = ["prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "reasoning_tokens"]
    costs = {name: _sum(spans, name) for name in ("total_cost", "prompt_cost", "completion_cost")}
    return {
        "first_start": _moment(spans[0].start_us),
        "last_start": _moment(spans[-1].start_us),
        "end_time": _moment(end),
        "root_span_id": root and root.span_id,
        "root_name": root and root.name,
        "root_status": root and root.status,
        **{name: _inherited(spans, name) for name in INHERITED},
        "span_count": len(spans),
        "request_count": len(billable),
        "error_count": sum(span.status == "error" for span in spans),
        "duration_us": end - (root or spans[0]).start_us,
        **{name: _sum(spans, name) for name in sums},
        **{name: None if value is None else Decimal(value) for name, value in costs.items()},
        "models": sorted({span.model for span in billable if span.model}),
        "providers": sorted({span.provider for span in billable if span.provider}),
        "kinds": sorted({span.kind for span in spans}),
    }


def _marked() -> list[Range]:
    return [(mark.project_id, mark.lo, mark.hi) for mark in SpanMark.objects.all()]


def _refresh() -> list[Range]:
    with connection.cursor() as cursor:
        changed = refresh_traces(cursor, _marked())
    SpanMark.objects.all().delete()
    return changed


def _resolved(dirty: bool) -> dict[Any, tuple[Any, ...]]:
    """What every billable span counts for, by identity."""
    text = attribution.resolved_from(dirty)
    columns = ", ".join(text.columns[name] for name in INHERITED)
    head = f"WITH {text.ctes} " if text.ctes else ""
    sql = (
        f"{head}SELECT s.project_id, s.trace_id, s.span_id, s.start_time, {columns} FROM {text.source}"
        " WHERE s.project_id = ANY(%s) AND s.billable"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [[1, 2]] * (2 if dirty else 1))
        return {row[:4]: row[4:] for row in cursor.fetchall()}


def _expected_resolved(traces: dict[TraceKey, list[SpanRow]]) -> dict[Any, tuple[Any, ...]]:
    found = {}
    for spans in traces.values():
        for span in spans:
            if span.billable:
                own = [getattr(span, n) if getattr(span, n) is not None else _inherited(spans, n) for n in INHERITED]
                own[2] = own[2] or attribution.DEFAULT_ENVIRONMENT
                found[span.project_id, span.trace_id, span.span_id, _moment(span.start_us)] = tuple(own)
    return found


def _inside(key: Any, ranges: Iterable[Range]) -> bool:
    return any(project == key[0] and lo <= key[3] < hi for project, lo, hi in ranges)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(st.lists(ROWS, min_size=1, max_size=6), min_size=1, max_size=4))
def test_whatever_arrives_traces_and_attribution_are_right(batches: list[list[SpanRow]]) -> None:
    clear_spans()
    seen: list[SpanRow] = []
    counted: dict[Any, tuple[Any, ...]] = {}  # what each span's cell was last built with
    for batch in batches:
        writer.write(batch)
        seen += batch
        traces = _stored(seen)
        expected = _expected_resolved(traces)
        assert _resolved(dirty=True) == expected, "before the refresh"
        marked = _marked()
        with connection.cursor() as cursor:
            late = attribution.attribution_dirty(cursor, [1, 2])
        changed = _refresh()
        for key, values in expected.items():
            if counted.get(key) != values:
                assert _inside(key, marked) or _inside(key, changed), "the refresh must redo its minute"
                assert _inside(key, marked) or _inside(key, late), "readers must take its minute from raw"
        counted = expected
        assert _resolved(dirty=False) == expected, "after the refresh"
        rows = {(trace.project_id, trace.trace_id): trace for trace in Trace.objects.all()}
        assert rows.keys() == traces.keys()
        for name in SUMMARY:
            assert {key: getattr(row, name) for key, row in rows.items()} == {
                key: _summary(spans)[name] for key, spans in traces.items()
            }, name


def test_a_trace_whose_spans_are_gone_goes_too() -> None:
    first, second = span_row(trace_id="t"), span_row(trace_id="t", start_us=T0_US + 5 * MINUTE)
    other = span_row()
    writer.write([first, second, other])
    _refresh()
    Span.objects.filter(trace_id="t").delete()
    SpanMark.objects.create(project_id=1, lo=T0 - timedelta(minutes=1), hi=T0 + timedelta(minutes=6), created_at=T0)
    assert _refresh() == []
    assert list(Trace.objects.values_list("trace_id", flat=True)) == [other.trace_id]


def test_a_trace_that_began_before_what_is_kept_stays_as_it_is() -> None:
    writer.write([span_row(trace_id="t"), span_row(trace_id="u", project_id=2)])
    _refresh()
    Span.objects.all().delete()
    late = T0 + timedelta(hours=1)
    writer.write(
        [span_row(trace_id=trace, project_id=p, start_us=T0_US + 60 * MINUTE) for trace, p in (("t", 1), ("u", 2))]
    )
    floors: dict[int | None, datetime] = {None: T0 + timedelta(minutes=1), 2: T0 - timedelta(days=1)}
    with connection.cursor() as cursor:
        refresh_traces(cursor, _marked(), floors=floors)
    assert Trace.objects.get(trace_id="t").last_start == T0
    assert Trace.objects.get(trace_id="u").first_start == late


def test_nothing_changed_is_nothing_written() -> None:
    writer.write([span_row(trace_id="t", user_id="u"), span_row(trace_id="t")])
    marked = _marked()
    _refresh()
    with connection.cursor() as cursor:
        cursor.execute("SELECT xmin::text, ctid::text FROM trace")
        before = cursor.fetchall()
        assert refresh_traces(cursor, marked) == []
        cursor.execute("SELECT xmin::text, ctid::text FROM trace")
        assert cursor.fetchall() == before
        assert refresh_traces(cursor, []) == []


def _rows_in_vain(plan: dict[str, Any]) -> float:
    """How many rows the nodes of an executed plan read and threw away."""
    own = sum(plan.get(f"Rows Removed by {why}", 0) for why in ("Filter", "Join Filter", "Index Recheck"))
    return float(own * plan.get("Actual Loops", 1)) + sum(_rows_in_vain(child) for child in plan.get("Plans", []))


def test_many_traces_of_one_moment_are_not_read_once_for_each() -> None:
    count = 1_500
    writer.write([span_row(trace_id=f"t{index}", start_us=T0_US) for index in range(count)])
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {attribution.dirty_minutes(INHERITED)}", [[1]])
        plan = cursor.fetchone()[0][0]["Plan"]
    assert _rows_in_vain(plan) < 10 * count
