"""Random filters over random traces: the answer is what plain Python says, in order, through pages of any size."""

from __future__ import annotations

import json
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
from tests.support.spans import T0, T0_US, clear_spans, span_row

pytestmark = pytest.mark.usefixtures("committed_spans")
HOUR = 3_600_000_000
WORDS = ("parcel", "refund", "way", "war", "ware", "late", "4o")
TEXTS = st.none() | st.lists(st.sampled_from(WORDS), max_size=4).map(lambda words: " ".join(words))
NAMES = ("chat", "embed", "100%_a")
VALUES = st.sampled_from(["gold", "5", 5, 5.5, 7, True, False])
ATTRIBUTES = st.none() | st.dictionaries(
    st.sampled_from(["span", "resource"]), st.dictionaries(st.sampled_from(["tier", "n.a"]), VALUES | st.none())
).map(lambda parts: json.dumps(parts).encode())


@st.composite
def spans(draw: st.DrawFn) -> list[SpanRow]:
    rows = []
    for number in range(draw(st.integers(1, 9))):
        rows.append(
            span_row(
                project_id=draw(st.integers(1, 2)),
                trace_id=f"t{draw(st.integers(0, 4))}",
                span_id=f"s{number}",
                # Traces of hours and days, whose spans lie in other windows than their start.
                start_us=T0_US + draw(st.integers(-60, 20)) * HOUR,
                parent_span_id=draw(st.sampled_from([None, "p"])),
                name=draw(st.sampled_from(NAMES)),
                kind=draw(st.sampled_from(["llm", "chain"])),
                billable=draw(st.booleans()),
                status=draw(st.sampled_from(["ok", "error", "unset"])),
                model=draw(st.sampled_from([None, "gpt-4o", "haiku"])),
                user_id=draw(st.sampled_from([None, "u1", "u2"])),
                environment=draw(st.sampled_from([None, "prod"])),
                tags=draw(st.sampled_from([None, [], ["a"], ["a", "team:b"]])),
                labels=draw(st.sampled_from([None, b'{"release": "1.2"}'])),
                duration_us=draw(st.sampled_from([0, 1_500, 2_000_000])),
                total_tokens=draw(st.sampled_from([None, 10, 20])),
                input=draw(TEXTS),
                output=draw(TEXTS),
                attributes=draw(ATTRIBUTES),
            )
        )
    return rows


def leaf(field: str, operator: str, value: Any) -> dict[str, Any]:
    return {"field": field, "operator": operator, "value": value}


def _texts(fields: list[str], values: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    field, value = st.sampled_from(fields), st.sampled_from(values)
    parts = ["contains", "not_contains", "starts_with", "ends_with"]
    return st.one_of(
        st.builds(leaf, field, st.sampled_from(["eq", "ne"]), value | st.none()),
        st.builds(leaf, field, st.sampled_from(["in", "not_in"]), st.lists(value, min_size=1, max_size=2)),
        st.builds(leaf, field, st.sampled_from(parts), value | value.map(lambda text: text[1:3])),
        st.builds(leaf, field, st.just("regex"), st.sampled_from(["^c", "a|r", "[0-9]", "^$", "a+d?"])),
    )


def _numbers(fields: list[str], values: list[float]) -> st.SearchStrategy[dict[str, Any]]:
    field, value = st.sampled_from(fields), st.sampled_from(values)
    orders = st.sampled_from(["eq", "ne", "gt", "gte", "lt", "lte"])
    lists = st.lists(value, min_size=1, max_size=2)
    return st.builds(leaf, field, orders, value) | st.builds(leaf, field, st.sampled_from(["in", "not_in"]), lists)


TERM = st.sampled_from([*WORDS, "wa*", "re*", '"late parcel"', '"parcel parcel"', "4*"])
QUERY = st.lists(
    st.tuples(st.sampled_from(["", "", "-"]), TERM, st.sampled_from([" ", " ", " OR "])), min_size=1, max_size=3
).map(lambda parts: "".join(f"{minus}{term}{joint}" for minus, term, joint in parts).removesuffix(" OR ").strip())
LEAVES = st.one_of(
    _texts(["name", "kind", "status", "model", "user_id", "environment", "release"], [*NAMES, "u1", "gpt-4o", "prod"]),
    _texts(["tags"], ["a", "team:b"]),
    _texts(["input", "output"], list(WORDS)),
    _texts(["trace_id", "trace.status"], ["t1", "t2", "ok", "unset"]),
    _numbers(["duration_ms", "total_tokens"], [0, 1.5, 10, 2000]),
    _numbers(["trace.error_count", "trace.total_tokens"], [0, 1, 30]),
    _numbers(["attributes.tier", "attributes.n.a"], [5, 5.5, 6]),
    st.builds(leaf, st.sampled_from(["attributes.tier", "attributes.n.a"]), st.sampled_from(["eq", "ne"]), VALUES),
    st.builds(leaf, st.just("billable"), st.sampled_from(["eq", "ne"]), st.booleans()),
    st.builds(leaf, st.sampled_from(["text", "input", "output", "name"]), st.just("search"), QUERY),
    st.builds(leaf, st.just("text"), st.just("search"), QUERY),
)
FILTERS = st.recursive(
    LEAVES,
    lambda below: st.one_of(
        st.builds(
            lambda operator, filters: {"operator": operator, "filters": filters},
            st.sampled_from(["AND", "OR"]),
            st.lists(below, min_size=1, max_size=3),
        ),
        st.builds(lambda one: {"operator": "NOT", "filters": [one]}, below),
    ),
    max_leaves=6,
)
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


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
