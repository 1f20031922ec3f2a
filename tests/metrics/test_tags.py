"""Questions by tag: cells and raw spans answer alike, and as plain Python over the rows does.

A span counts once for each different tag of its own, else of its trace's; without any it counts under None.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine

from apps.metrics.reconcile import reconcile
from apps.metrics.refresh import refresh
from apps.metrics.runner import answer
from apps.metrics.spec import Filter, QuerySpec
from apps.traces.columns import SpanRow
from apps.traces.writer import write
from tests.metrics import oracle
from tests.metrics.test_oracle import NOW, SLUGS, late_arrivals, question, same, traffic
from tests.support.cells import clear_cells
from tests.support.spans import span_row, us

pytestmark = pytest.mark.django_db(transaction=True)
METRICS = [
    ("request_count", "sum"),
    ("error_rate", "avg"),
    ("total_cost", "sum"),
    ("prompt_cost", "sum"),
    ("total_tokens", "sum"),
    ("duration", "avg"),
    ("duration", "stddev"),
]
FIRST_OF_KEY = (Filter("tag", "prefix", ("team:",)), Filter("tag_again", "eq", (None,)))
FILTERS: tuple[tuple[Filter, ...], ...] = (
    (),
    (Filter("tag", "eq", ("a",)),),
    (Filter("tag", "eq", (None,)),),
    FIRST_OF_KEY,
    (Filter("tag", "prefix", ("b:",)), Filter("tag_again", "eq", (None,)), Filter("model", "eq", ("gpt-4o",))),
)


@pytest.fixture(autouse=True)
def _empty() -> Iterator[None]:
    clear_cells()
    with time_machine.travel(NOW, tick=False):
        yield
    clear_cells()


def by_tag(span: oracle.Seen) -> list[oracle.Seen]:
    """The span once for each of its tags, in order, and whether an earlier one had the same key."""
    made, keys = [], set[str]()
    for tag in dict.fromkeys(span.values["tags"] or [None]):
        key = tag.split(":", 1)[0] if tag and ":" in tag else None
        again = "again" if key is not None and key in keys else None
        keys |= {key} if key is not None else set()
        made.append(replace(span, values={**span.values, "tag": tag, "tag_again": again}))
    return made


def holds(item: Filter, span: oracle.Seen) -> bool:
    found = span.values[item.field]
    if item.op == "prefix":
        return found is not None and found.startswith(item.values[0] or "")
    return (found in item.values) == (item.op in ("eq", "in"))


def check(rows: Sequence[SpanRow], spec: QuerySpec) -> set[str]:
    spans = [each for span in oracle.resolved(rows, SLUGS) for each in by_tag(span)]
    zone = ZoneInfo(spec.tz)
    expected = oracle.groups(
        spans,
        spec.start,
        spec.end,
        spec.interval,
        spec.group_by,
        zone,
        lambda span: all(holds(item, span) for item in spec.filters),
    )
    made = answer(spec)
    names = ["timestamp"] * bool(spec.interval) + list(spec.group_by)
    found = {tuple(row[name] for name in names): row for row in made.rows}
    assert set(found) == set(expected)
    for key, members in expected.items():
        length = oracle.seconds(key, spec.start, spec.end, spec.interval, zone)
        for ref in spec.metrics:
            same(found[key][ref.alias], oracle.value(ref.metric, ref.aggregation, members, length), 0, ref)
    return set(made.plan.sources)


def check_all(rows: Sequence[SpanRow]) -> set[str]:
    sources = set()
    for interval in (None, "1hour", "1day", "1month"):
        for groups in (("tag",), ("tag", "model"), ("project", "tag"), ("tag", "status")):
            sources |= check(rows, question(METRICS, interval, groups))
    for filters in FILTERS:
        sources |= check(rows, question(METRICS, "1day", ("tag",), filters=filters))
        if filters:
            sources |= check(rows, question(METRICS, None, (), filters=filters))
            sources |= check(rows, question(METRICS, "1day", ("environment",), filters=filters))
    return sources


def test_by_tag_without_a_refresh() -> None:
    rows = traffic(21, 160)
    write(rows)
    assert check_all(rows) == {"raw"}


def test_by_tag_after_a_refresh() -> None:
    rows = traffic(22, 160)
    write(rows)
    refresh(NOW)
    assert check_all(rows) >= {"rollup_1d", "rollup_1h"}
    assert check(rows, question(METRICS, "1day", ("tag",), end=datetime(2026, 11, 5, 12, tzinfo=UTC))) == {
        "rollup_1d",
        "rollup_1h",
    }


def test_by_tag_with_late_arrivals() -> None:
    rows = traffic(23, 160)
    write(rows)
    refresh(NOW)
    late = late_arrivals(rows)
    write(late)
    assert "raw" in check_all([*rows, *late])
    refresh(NOW)
    check_all([*rows, *late])
    assert reconcile(NOW - timedelta(days=7), NOW) == []


def test_a_late_root_gives_its_tags_to_spans_of_other_hours() -> None:
    """A root that comes after a refresh changes cells of hours in which nothing was written."""
    children = [
        span_row(trace_id="t", parent_span_id="r", start_us=us(NOW - timedelta(hours=hours)), total_cost=hours)
        for hours in (30, 5, 3)
    ]
    write(children)
    refresh(NOW)
    spec = question([("total_cost", "sum")], None, ("tag",))
    check(children, spec)
    root = span_row(trace_id="t", span_id="r", billable=False, start_us=us(NOW - timedelta(hours=50)), tags=["k:late"])
    write([root])
    check([*children, root], spec)
    refresh(NOW)
    check([*children, root], spec)
    assert reconcile(NOW - timedelta(days=7), NOW) == []


@pytest.mark.parametrize(
    "filters",
    [(Filter("tag", "ne", ("a",)),), (Filter("tag", "in", ("a", "b")),), (Filter("tag", "prefix", ("a:",)),)],
)
def test_a_question_that_would_count_a_span_twice_is_a_fault_of_the_program(filters: Any) -> None:
    with pytest.raises(ValueError, match="one tag"):
        answer(question([("request_count", "sum")], None, (), filters=filters))
