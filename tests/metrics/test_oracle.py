"""Every metric, aggregation, interval and grouping: the answer equals plain Python over the raw rows.

Asked three times: with no refresh at all (all raw), with everything refreshed, and with late, repeated, boundary and
late-root spans written after a refresh.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from apps.metrics import planner
from apps.metrics.refresh import refresh
from apps.metrics.runner import Answer, answer
from apps.metrics.spec import MAX_RANGE, Filter, MetricRef, QuerySpec
from apps.traces.columns import SpanRow
from apps.traces.writer import write
from tests.metrics import oracle
from tests.support.cells import clear_cells
from tests.support.spans import span_row, us

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2026, 11, 5, 12, 30, 15, 250_000, tzinfo=UTC)
SLUGS = {1: "default", 2: "other"}
METRICS = oracle.every_metric()
GROUPS: tuple[tuple[str, ...], ...] = (
    (),
    ("project",),
    ("provider", "model"),
    ("environment",),
    ("user_id",),
    ("session_id", "status"),
    ("kind", "name"),
    ("user_id", "session_id"),
)
INTERVALS = (None, "1min", "5min", "15min", "1hour", "6hour", "1day", "1week", "1month")
MINUTE = timedelta(minutes=1)
# Moments at the edges of minutes, hours, days, weeks and months, and just beside them.
EDGES = tuple(
    edge + timedelta(microseconds=beside)
    for edge in (
        datetime(2026, 11, 5, 12, 30, tzinfo=UTC),
        datetime(2026, 11, 5, 12, tzinfo=UTC),
        datetime(2026, 11, 5, tzinfo=UTC),
        datetime(2026, 11, 4, 23, 15, tzinfo=UTC),
        datetime(2026, 11, 2, tzinfo=UTC),
        datetime(2026, 11, 1, tzinfo=UTC),
        datetime(2026, 10, 31, 23, tzinfo=UTC),
    )
    for beside in (-1, 0, 1)
)


@pytest.fixture(autouse=True)
def _empty() -> Iterator[None]:
    clear_cells()
    with time_machine.travel(NOW, tick=False):
        yield
    clear_cells()


@contextmanager
def histograms_preferred() -> Iterator[None]:
    """Percentiles out of cells, however few the spans."""
    kept = planner.EXACT_SPANS
    planner.EXACT_SPANS = -1
    try:
        yield
    finally:
        planner.EXACT_SPANS = kept


def traffic(seed: int, count: int) -> list[SpanRow]:
    """Spans of all sorts over six days: roots and children, gaps in every column, edges of buckets."""
    pick = random.Random(seed)
    made = []
    for number in range(count):
        start = pick.choice(EDGES) if pick.random() < 0.3 else NOW - timedelta(seconds=pick.uniform(0, 6 * 86400))
        tokens = pick.choice((None, 0, pick.randrange(5000)))
        cost = pick.choice((None, 0, 1, pick.randrange(10**11)))
        billable = pick.random() < 0.8
        made.append(
            span_row(
                project_id=pick.choice((1, 1, 2)),
                trace_id=f"{pick.randrange(count // 3 + 1):032x}",
                span_id=f"{number:016x}",
                start_us=us(start),
                duration_us=pick.choice((0, 1, 999, pick.randrange(1, 90_000_000))),
                parent_span_id=pick.choice((None, "f" * 16)),
                name=pick.choice(("chat", "embed")),
                kind=pick.choice(("llm", "embedding")) if billable else "chain",
                billable=billable,
                status=pick.choice(("ok", "ok", "error", "unset")),
                provider=pick.choice(("openai", "anthropic", None)),
                model=pick.choice(("gpt-4o", "claude-sonnet-4-5", None)),
                environment=pick.choice((None, None, "production", "staging")),
                user_id=pick.choice((None, None, "ann", "bob", "cy")),
                session_id=pick.choice((None, None, "s1", "s2")),
                team=pick.choice((None, None, "core", "web")),
                tags=pick.choice((None, None, [], ["a"], ["team:x", "a", "team:y", "a"], ["a", "b:1", "b:2", "c"])),
                ttft_us=pick.choice((None, 0, pick.randrange(3_000_000))),
                prompt_tokens=tokens,
                completion_tokens=pick.choice((None, tokens, pick.randrange(900))),
                total_tokens=tokens,
                cached_tokens=pick.choice((None, 3)),
                reasoning_tokens=pick.choice((None, 5)),
                total_cost=cost,
                unpriced_reason=pick.choice((None, "unknown_model", "no_usage")),
                prompt_cost=pick.choice((None, cost)),
                completion_cost=pick.choice((None, cost)),
            )
        )
    return made


def question(
    metrics: Sequence[tuple[str, str]],
    interval: str | None,
    group_by: tuple[str, ...] = (),
    start: datetime | None = None,
    end: datetime | None = None,
    **more: Any,
) -> QuerySpec:
    end = end or datetime(2026, 11, 5, 12, 31, tzinfo=UTC)
    span = min(timedelta(days=6), MAX_RANGE[interval])
    return QuerySpec(
        organization_id=1,
        project_ids=(1, 2),
        projects=tuple(SLUGS.items()),
        start=start or end - span,
        end=end,
        metrics=tuple(MetricRef(name, how, f"{how}_{name}") for name, how in metrics),
        interval=interval,
        group_by=group_by,
        **more,
    )


def matches(spec: QuerySpec, span: oracle.Seen) -> bool:
    return all((span.values[item.field] in item.values) == (item.op in ("eq", "in")) for item in spec.filters)


def appears(spec: QuerySpec, span: oracle.Seen) -> bool:
    """Where nothing but percentiles of ttft is asked, spans without one make no group."""
    only_ttft = all(ref.metric == "ttft" and ref.aggregation[0] == "p" for ref in spec.metrics)
    return not only_ttft or span.row.ttft_us is not None


def check(rows: Sequence[SpanRow], spec: QuerySpec) -> Answer:
    """The answer to a question equals the oracle's, row by row and value by value."""
    made = answer(spec)
    zone = ZoneInfo(spec.tz)
    expected = oracle.groups(
        oracle.resolved(rows, SLUGS),
        spec.start,
        spec.end,
        spec.interval,
        spec.group_by,
        zone,
        lambda span: matches(spec, span) and appears(spec, span),
    )
    names = ["timestamp"] * bool(spec.interval) + list(spec.group_by)
    found = {tuple(row[name] for name in names): row for row in made.rows}
    assert len(found) == len(made.rows), "a group answered twice"
    assert set(found) == set(expected)
    for key, members in expected.items():
        length = oracle.seconds(key, spec.start, spec.end, spec.interval, zone)
        for ref in spec.metrics:
            right = oracle.value(ref.metric, ref.aggregation, members, length)
            same(found[key][ref.alias], right, made.plan.percentile_error if ref.aggregation[0] == "p" else 0, ref)
    return made


def same(value: Any, right: Any, error: float, ref: MetricRef) -> None:
    if right is None or value is None:
        assert value is right, ref
    elif isinstance(right, Decimal):
        assert abs(Decimal(value) - right) <= Decimal("1e-12"), (ref, value, right)
    else:
        # Answers are rounded to six (rates 12) places.
        assert abs(float(value) - right) <= 1.01e-6 + abs(right) * max(error, 1e-12), (ref, value, right)


def chunks() -> list[list[tuple[str, str]]]:
    return [METRICS[at : at + 20] for at in range(0, len(METRICS), 20)]


def check_all(rows: Sequence[SpanRow], groups: Sequence[tuple[str, ...]], intervals: Sequence[str | None]) -> set[str]:
    sources: set[str] = set()
    for interval in intervals:
        for group_by in groups:
            for metrics in chunks():
                sources |= set(check(rows, question(metrics, interval, group_by)).plan.sources)
    return sources


def late_arrivals(rows: Sequence[SpanRow]) -> list[SpanRow]:
    """Old minutes again: new spans, replaced spans, equal ones, and a root that renames its children's dimensions."""
    pick = random.Random(99)
    late = traffic(1234, 25)
    for number, row in enumerate(late):
        row.span_id = f"{10**6 + number:016x}"
    again = [replace(row, duration_us=row.duration_us + 7, total_cost=5) for row in pick.sample(list(rows), 10)]
    equal = pick.sample(list(rows), 10)
    root = replace(
        rows[0],
        span_id="0" * 16,
        start_us=min(row.start_us for row in rows if row.trace_id == rows[0].trace_id) - 1_000_000,
        parent_span_id=None,
        billable=False,
        kind="chain",
        user_id="late-root",
        environment="renamed",
        session_id="late-session",
    )
    return [*late, *again, *equal, root]


@pytest.mark.parametrize("interval", INTERVALS)
def test_without_any_refresh(interval: str | None) -> None:
    rows = traffic(1, 160)
    write(rows)
    assert check_all(rows, GROUPS, (interval,)) == {"raw"}


@pytest.mark.parametrize("interval", INTERVALS)
def test_after_a_refresh(interval: str | None) -> None:
    rows = traffic(2, 160)
    write(rows)
    refresh(NOW)
    with histograms_preferred():
        sources = check_all(rows, GROUPS, (interval,))
    fine = {"1min": "rollup_1m", "5min": "rollup_1m", "15min": "rollup_15m", "1hour": "rollup_1h", "6hour": "rollup_1h"}
    assert fine.get(interval or "", "rollup_1d") in sources


@pytest.mark.parametrize("interval", INTERVALS)
def test_with_late_arrivals_after_a_refresh(interval: str | None) -> None:
    rows = traffic(3, 160)
    write(rows)
    refresh(NOW)
    late = late_arrivals(rows)
    write(late)
    with histograms_preferred():
        sources = check_all([*rows, *late], GROUPS, (interval,))
        assert {"raw"} < sources
        refresh(NOW)
        check_all([*rows, *late], GROUPS[3:5], (interval,))


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/New_York", "Australia/Lord_Howe", "Pacific/Chatham"])
def test_buckets_follow_a_time_zone(zone: str) -> None:
    rows = traffic(4, 160)
    write(rows)
    refresh(NOW)
    for interval in INTERVALS[3:]:
        with histograms_preferred():
            check(rows, question([("request_count", "sum"), ("duration", "p95")], interval, ("model",), tz=zone))
            check(rows, question([("throughput", "avg"), ("unique_users", "count")], interval, tz=zone))


@pytest.mark.parametrize("exact", [True, False])
def test_filters_keep_null_where_they_exclude(exact: bool) -> None:
    rows = traffic(5, 160)
    write(rows)
    refresh(NOW)
    metrics = [("request_count", "sum"), ("total_cost", "sum"), ("duration", "p50"), ("unique_sessions", "count")]
    for item in (
        Filter("provider", "eq", ("openai",)),
        Filter("provider", "ne", ("openai",)),
        Filter("provider", "eq", (None,)),
        Filter("provider", "ne", (None,)),
        Filter("model", "in", ("gpt-4o", None)),
        Filter("model", "not_in", ("gpt-4o", "claude-sonnet-4-5")),
        Filter("model", "not_in", ("gpt-4o", None)),
        Filter("environment", "ne", ("production",)),
        Filter("user_id", "not_in", ("ann", "bob")),
        Filter("user_id", "eq", ("ann",)),
        Filter("name", "eq", ("chat",)),
    ):
        for interval in (None, "1day"):
            spec = question(metrics, interval, ("status",), filters=(item,))
            if exact:
                assert check(rows, spec).plan.percentile_error == 0
            else:
                with histograms_preferred():
                    check(rows, spec)


def test_a_histogram_of_nothing_in_raw() -> None:
    row = span_row(start_us=us(NOW - timedelta(days=2)))
    write([row])
    refresh(NOW)
    with histograms_preferred():
        made = check([row], question([("duration", "p50"), ("ttft", "p50")], None))
    assert made.plan.percentile_error > 0


MOMENTS = st.one_of(
    st.sampled_from(EDGES),
    st.integers(0, 3 * 86_400_000).map(lambda ms: NOW - timedelta(milliseconds=ms)),
)
SPANS: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict,
    start=MOMENTS,
    trace=st.integers(0, 4),
    span=st.integers(0, 30),
    duration_us=st.sampled_from([0, 1, 10, 123_456, 5_000_000]),
    root=st.booleans(),
    billable=st.booleans(),
    status=st.sampled_from(["ok", "error"]),
    environment=st.sampled_from([None, "production"]),
    user_id=st.sampled_from([None, "ann", "bob"]),
    session_id=st.sampled_from([None, "s1"]),
    total_cost=st.sampled_from([None, 0, 7]),
    attribute_count=st.integers(0, 3),
)
BATCHES: st.SearchStrategy[Any] = st.lists(
    st.tuples(st.lists(SPANS, min_size=1, max_size=8), st.booleans()), min_size=1, max_size=4
)
QUESTIONS: st.SearchStrategy[Any] = st.tuples(
    st.sampled_from([chunk[i : i + 5] for chunk in chunks() for i in range(0, len(chunk), 5)]),
    st.sampled_from((*INTERVALS[1:], None)),
    st.sampled_from(GROUPS),
    st.tuples(MOMENTS, MOMENTS),
)


def drawn(values: dict[str, Any]) -> SpanRow:
    values = dict(values)
    start, trace, span, root = (values.pop(name) for name in ("start", "trace", "span", "root"))
    return span_row(
        trace_id=f"{trace:032x}",
        span_id=f"{span:016x}",
        start_us=us(start),
        parent_span_id=None if root else "f" * 16,
        kind="llm" if values["billable"] else "chain",
        **values,
    )


# No shrinking: every attempt replays writes and refreshes, so it takes minutes and says little more.
@settings(
    max_examples=25,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
@given(batches=BATCHES, questions=st.lists(QUESTIONS, min_size=4, max_size=8))
def test_any_history_of_writes_and_refreshes(batches: Any, questions: Any) -> None:
    clear_cells()
    rows: list[SpanRow] = []
    for spans, refreshed in batches:
        batch = [drawn(values) for values in spans]
        write(batch)
        rows += batch
        if refreshed:
            refresh(NOW)
    for metrics, interval, group_by, (one, other) in questions:
        low, high = min(one, other), max(one, other) + MINUTE
        if interval == "1min" and high - low > timedelta(days=6):
            low = high - timedelta(days=6)
        with histograms_preferred():
            check(rows, question(metrics, interval, group_by, low, high))
