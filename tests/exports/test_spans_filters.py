"""Every filter by name against values that are not there, and what the metrics engine says of the same."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from apps.common.reads.snapshot import snapshot
from apps.exports.failures import ExportFailed
from apps.exports.sources.spans import source
from apps.exports.sources.spans.source import SpanSource
from apps.exports.totals import Totals
from apps.metrics.refresh import refresh
from apps.traces import writer
from apps.traces.columns import SpanRow
from apps.traces.search.index import index_texts
from tests.exports.test_spans import by_copy, check, spec_of
from tests.search.strategies import HOUR
from tests.support.spans import T0, T0_US, span_row

pytestmark = pytest.mark.usefixtures("committed_spans")
NOTHING = ("provider", "model", "environment", "user_id", "session_id", "team", "tags", "total_cost", "total_tokens")


@pytest.fixture
def rows() -> Iterator[list[SpanRow]]:
    """Full spans and ones of which nothing is known, alone and in traces that know it; some of them unfolded."""
    full = {"user_id": "u1", "session_id": "c1", "team": "red", "environment": "prod", "tags": ["a", "b"]}
    empty = dict.fromkeys(NOTHING)
    made = [
        span_row(trace_id="full", span_id="1", **full),
        span_row(trace_id="full", span_id="2", parent_span_id="1", start_us=T0_US + HOUR, **empty),
        span_row(trace_id="empty", span_id="1", start_us=T0_US - HOUR, status="error", kind="chain", **empty),
        span_row(trace_id="late", span_id="1", parent_span_id="0", start_us=T0_US + 2 * HOUR, **empty),
        span_row(trace_id="two", span_id="1", project_id=2, user_id="u2", model="haiku", provider=None, name="n"),
    ]
    writer.write(made)
    refresh(T0 + timedelta(days=2))
    root = span_row(trace_id="late", span_id="0", start_us=T0_US - 2 * HOUR, billable=False, kind="chain", **full)
    writer.write([root])  # what its trace's span takes over has changed since the rollups were made
    yield [*made, root]


QUESTIONS: list[dict[str, Any]] = [
    {},
    {"trace_id": ["full", "late"]},
    {"session_id": ["c1"]},
    {"user_id": ["u1"]},
    {"user_id": ["u1", "u2"]},
    {"provider": ["openai"]},
    {"model": ["haiku", "gpt-4o"]},
    {"environment": ["default"]},
    {"environment": ["prod"]},
    {"kind": ["llm"]},
    {"name": ["n"]},
    {"status": ["error"]},
    {"status": ["ok", "unset"]},
    {"tag": ["b"]},
    {"min_tokens": 0},
    {"max_tokens": 5_000},
    {"min_cost": 0},
    {"max_cost": 1},
    {"min_duration_ms": 1500},
    {"max_duration_ms": 1499.999},
    {"min_tokens": 1200, "max_tokens": 1200},
    {"min_cost": 0.0045, "max_cost": "0.0045"},
    {"min_cost": 0.0045000000001},
    {"min_duration_ms": 1500, "max_duration_ms": 1500},
    {"has_error": True},
    {"has_error": False},
    {"user_id": ["u1"], "has_error": False, "kind": ["llm"]},
]
DIMENSIONS = ("provider", "model", "environment", "status", "user_id", "session_id", "team", "name", "kind")
TREES = [
    {"field": name, "operator": operator, "value": value}
    for name in DIMENSIONS
    for operator, value in (("eq", None), ("ne", None), ("in", ["u1", "prod", "openai"]), ("not_in", ["u1", "default"]))
]


def _engine(question: dict[str, Any], **changes: Any) -> Totals | str:
    made = SpanSource(spec_of(question, **changes))
    with snapshot() as cursor:
        made.counted(cursor)
        return made.engine(cursor)


def test_every_filter_by_name(rows: list[SpanRow]) -> None:
    for question in QUESTIONS:
        check(spec_of({"match": "spans", **question}), rows)


def test_every_dimension_as_a_condition(rows: list[SpanRow]) -> None:
    for tree in TREES:
        check(
            spec_of({"match": "spans", "filter": tree}, fields=("span_id", "trace_id", "project", "start_time")), rows
        )
        assert not isinstance(_engine({"match": "spans", "filter": tree}), str), tree


def test_the_engine_is_asked_where_metrics_know_the_filters(rows: list[SpanRow]) -> None:
    unknown = {"trace_id", "tag", "min_tokens", "max_tokens", "min_cost", "max_cost"}
    unknown |= {"min_duration_ms", "max_duration_ms"}
    for question in QUESTIONS:
        said = _engine({"match": "spans", **question})
        assert isinstance(said, str) == (not unknown.isdisjoint(question)), (question, said)
    both = {"operator": "AND", "filters": TREES[:2]}
    assert not isinstance(_engine({"match": "spans", "filter": both}), str)
    assert isinstance(_engine({"match": "spans", "filter": {**both, "operator": "OR"}}), str)
    assert isinstance(_engine({"match": "traces"}), str)
    assert isinstance(_engine({"match": "spans"}, limit=1), str)
    assert not isinstance(_engine({"match": "spans"}, limit=100), str)


def test_rows_are_in_one_order_whatever_the_ids_are() -> None:
    ids = ["b", "B", "a", "é", "Z", "\U0001f600", "a b", "a-b", "ab", "1"]
    rows = [
        span_row(project_id=project, trace_id=trace, span_id=span)
        for project in (2, 1)
        for trace in ids
        for span in ids[:3]
    ]
    writer.write(rows)
    check(spec_of({"match": "spans"}), rows)
    check(spec_of({"match": "traces"}, limit=40), rows)
    reverse = {"projects": ((2, "two"), (1, "one"))}
    with snapshot() as cursor:
        assert by_copy(cursor, spec_of({"match": "spans"})) == by_copy(cursor, spec_of({"match": "spans"}))
        assert by_copy(cursor, spec_of({"match": "spans"}, **reverse)).split(b"\n")[1].startswith(b"two,")


@pytest.mark.parametrize("most", [1, 100])
def test_words_are_found_in_the_index_and_beside_it(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "MOST_CANDIDATES", most)
    texts = ["a parcel", "none", "the parcel is late", None, "late"]
    rows = [span_row(trace_id=f"t{n // 2}", span_id=f"{n}", input=texts[n % 5]) for n in range(20)]
    writer.write(rows[:12])
    refresh(T0 + timedelta(days=2))
    index_texts()
    writer.write(rows[12:])  # not indexed yet
    words = {"field": "text", "operator": "search", "value": "parcel"}
    other = {"field": "input", "operator": "search", "value": "late"}
    both = {"operator": "AND", "filters": [words, {"operator": "OR", "filters": [other]}]}
    for tree in (words, both, {"operator": "NOT", "filters": [words]}):
        for match in ("spans", "traces"):
            check(spec_of({"match": match, "filter": tree}), rows)


def test_too_many_rows_fail_unless_there_is_a_limit(rows: list[SpanRow], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "MAX_ROWS", 3)
    with snapshot() as cursor:
        with pytest.raises(ExportFailed, match="These are 6 spans and a file has at most 3"):
            SpanSource(spec_of({"match": "spans"})).counted(cursor)
        limited = SpanSource(spec_of({"match": "spans"}, limit=4))
        assert limited.counted(cursor).rows == 4
        assert limited.truncated


def test_a_range_of_which_nothing_is_kept_fails() -> None:
    old = {"start": T0 - timedelta(days=300), "end": T0 - timedelta(days=200)}
    with snapshot() as cursor, pytest.raises(ExportFailed, match="Spans are kept since"):
        SpanSource(spec_of({"match": "spans"}, **old)).counted(cursor)
