"""Random filters over random traces: the answer is what plain Python says, in order, through pages of any size."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.metrics.refresh import refresh
from apps.traces import writer
from apps.traces.columns import SpanRow
from apps.traces.listing import Sorting
from apps.traces.search import walk
from apps.traces.search.answer import read
from apps.traces.search.filters import tree_of
from apps.traces.search.index import index_texts
from tests.search.oracle import Trace, holds
from tests.search.strategies import FILTERS, HOUR, spans
from tests.support.spans import T0, T0_US, clear_spans

pytestmark = pytest.mark.usefixtures("committed_spans")
BOUNDS = (T0 - timedelta(days=1), T0 + timedelta(days=1))


def _meant(rows: list[SpanRow], tree: Any) -> list[Trace]:
    grouped = defaultdict(list)
    for row in rows:
        grouped[row.project_id, row.trace_id].append(row)
    traces = [Trace(group) for group in grouped.values()]
    edges = (T0_US - 24 * HOUR, T0_US + 24 * HOUR)
    return [trace for trace in traces if edges[0] <= trace.start < edges[1] and holds(trace, tree)]


def _pages(tree: Any, sorting: Sorting, limit: int) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    place, pages = None, 0
    while pages == 0 or place is not None:
        page = read(tree_of(tree), [1, 2], BOUNDS, sorting, place, limit, {1: "1", 2: "2"})
        assert len(page.rows) <= limit
        assert page.complete or page.next_place is not None
        found += [(int(row["project"]), row["trace_id"]) for row in page.rows]
        place, pages = page.next_place, pages + 1
        assert pages < 100
    return found


@pytest.fixture(autouse=True, params=["few steps", "tiny steps and windows", "no time"])
def _bounded(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every way through: all at once, and by windows, steps and budgets of one or two traces."""
    if request.param == "no time":  # it was over before the first step
        monkeypatch.setattr(walk, "MOST_SECONDS", -1.0)
    elif request.param != "few steps":
        monkeypatch.setattr(walk, "FIRST_STEP", 1)
        monkeypatch.setattr(walk, "LONGEST_STEP", 2)
        monkeypatch.setattr(walk, "MOST_LOOKED_AT", 2)
        monkeypatch.setattr(walk, "CAP", 1)
        monkeypatch.setattr(walk, "CAP_UNORDERED", 2)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    batches=st.lists(spans(), min_size=1, max_size=3),
    filters=st.lists(FILTERS, min_size=3, max_size=3),
    folded=st.integers(0, 3),
    indexed=st.integers(0, 3),
    limit=st.integers(1, 4),
    descending=st.booleans(),
)
def test_answers_are_the_oracles(
    batches: list[list[SpanRow]], filters: list[Any], folded: int, indexed: int, limit: int, descending: bool
) -> None:
    clear_spans()
    rows = {}
    for number, batch in enumerate(batches):
        for row in batch:
            row.span_id = f"{number}-{row.span_id}"
            rows[row.identity] = row
        writer.write(batch)
        if number < folded:
            refresh(T0 + timedelta(days=2))
        if number < indexed:
            index_texts()
    for tree in filters:
        meant = _meant(list(rows.values()), tree)
        by_start = sorted(meant, key=lambda trace: (trace.start, *trace.key), reverse=descending)
        assert _pages(tree, Sorting("start_time", descending), limit) == [trace.key for trace in by_start]

        def tokens(trace: Trace) -> tuple[Any, ...]:
            known = trace.value("trace.total_tokens")
            sign = -1 if descending else 1
            return (known is None, sign * (known or 0), sign * trace.start)

        ordered = _pages(tree, Sorting("total_tokens", descending), limit)
        assert sorted(ordered) == sorted(trace.key for trace in meant)
        keys = {trace.key: tokens(trace) for trace in meant}
        assert [keys[key] for key in ordered] == sorted(keys.values())
