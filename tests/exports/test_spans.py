"""Exports of random spans: every row, every value and every sum are what plain Python says, through either way out."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.common.reads.snapshot import snapshot
from apps.exports.formats import writer_for
from apps.exports.sources.base import Cursor
from apps.exports.sources.spans import reading, source
from apps.exports.sources.spans.columns import DECLARED
from apps.exports.sources.spans.source import SpanSource
from apps.exports.spec import ExportSpec
from apps.exports.totals import Totals
from apps.metrics.refresh import refresh
from apps.traces import deletion, writer
from apps.traces.columns import SpanRow
from apps.traces.search.index import index_texts
from tests.exports import spans_oracle as oracle
from tests.search.strategies import FILTERS, HOUR, spans
from tests.support.cells import clear_cells
from tests.support.spans import T0, T0_US

pytestmark = pytest.mark.usefixtures("committed_spans")
PROJECTS = ((1, "one"), (2, "two"))
SLUGS = dict(PROJECTS)
FIELDS = tuple(DECLARED)
BOUNDS = (T0 - timedelta(days=1), T0 + timedelta(hours=9))
EDGES = (T0_US - 24 * HOUR, T0_US + 9 * HOUR)


def spec_of(question: dict[str, Any], **changes: Any) -> ExportSpec:
    made = ExportSpec("traces", 1, PROJECTS, *BOUNDS, "csv", "none", FIELDS, content=True, question=question)
    return replace(made, **changes)


def read(cursor: Cursor, spec: ExportSpec) -> tuple[SpanSource, list[dict[str, Any]]]:
    """The rows by the server-side cursor, by column; what was counted before is what they add up to."""
    made = SpanSource(spec)
    counted = made.counted(cursor)
    rows = [row for batch in made.batches(cursor) for row in batch]
    assert made.written() == counted
    return made, [dict(zip(spec.fields, row, strict=True)) for row in rows]


def by_cursor(cursor: Cursor, spec: ExportSpec) -> bytes:
    made, out = SpanSource(spec), io.BytesIO()
    made.counted(cursor)
    file = writer_for("csv", "none", made.columns, out)
    for batch in made.batches(cursor):
        file.write(batch)
    file.close()
    return out.getvalue()


def by_copy(cursor: Cursor, spec: ExportSpec) -> bytes:
    made, out = SpanSource(spec), io.BytesIO()
    counted = made.counted(cursor)
    file = writer_for("csv", "none", made.columns, out)
    for data, rows in made.lines(cursor):
        file.write_lines(data, rows)
    file.close()
    assert made.written() == counted
    return out.getvalue()


def _parsed(row: dict[str, Any]) -> dict[str, Any]:
    jsons = ("usage", "labels", "attributes", "events")
    return {name: json.loads(value) if name in jsons and value else value for name, value in row.items()}


def _requests(totals: Totals) -> tuple[Any, ...]:
    return totals.requests, totals.total_cost, totals.total_tokens


def check(spec: ExportSpec, rows: Sequence[SpanRow]) -> None:
    wanted = oracle.exported(rows, [number for number, _ in spec.projects], EDGES, spec.question)
    cut = wanted if spec.limit is None else wanted[: spec.limit]
    traces = oracle.grouped(rows)
    with snapshot() as cursor:
        made, found = read(cursor, spec)
        names = [(row["project"], row["trace_id"], row["span_id"], row["start_time"]) for row in found]
        shown = [oracle.shown(span, traces[span.project_id, span.trace_id], SLUGS) for span in cut]
        assert names == [(row["project"], row["trace_id"], row["span_id"], row["start_time"]) for row in shown]
        assert [_parsed(row) for row in found] == [{name: row[name] for name in spec.fields} for row in shown]
        assert oracle.sums(cut) == {name: getattr(made.written(), name) for name in oracle.sums(cut)}
        assert made.truncated == (len(cut) < len(wanted))
        said = made.engine(cursor)
        if not isinstance(said, str):
            assert (said.requests, said.total_cost, said.total_tokens) == _requests(made.written())
        if made.has_lines(cursor):
            assert by_copy(cursor, spec) == by_cursor(cursor, spec)


@contextmanager
def _patched(small: bool) -> Iterator[None]:
    """Every way through: all at once, and by slices, fetches and pieces of one or two rows."""
    with pytest.MonkeyPatch.context() as patch:
        if small:
            patch.setattr(source, "FEW", 1)
            patch.setattr(source, "MANY", 2)
            patch.setattr(source, "MOST_CANDIDATES", 1)
            patch.setattr(source, "WIDEST", timedelta(hours=3))
            patch.setattr(reading, "ROWS", 2)
            patch.setattr(reading, "CONTENT_ROWS", 3)
            patch.setattr(reading, "CONTENT_BYTES", 20)
            patch.setattr(reading, "LINE_ROWS", 2)
        yield


NAMED = st.fixed_dictionaries(
    {},
    optional={
        "trace_id": st.lists(st.sampled_from(["t1", "t2", "t9"]), min_size=1),
        "user_id": st.sampled_from([["u1"], ["u1", "u2"], ["nobody"]]),
        "environment": st.sampled_from([["prod"], ["default"], ["prod", "default"]]),
        "model": st.sampled_from([["haiku"], ["gpt-4o", "haiku"]]),
        "kind": st.just(["llm"]),
        "status": st.sampled_from([["ok"], ["error", "unset"]]),
        "tag": st.sampled_from([["a"], ["team:b", "zz"]]),
        "min_tokens": st.sampled_from([5, 15]),
        "max_tokens": st.sampled_from([5, 15]),
        "min_duration_ms": st.sampled_from([0, 1.5, 1.6]),
        "max_cost": st.sampled_from([0.0045, 0.001]),
        "has_error": st.booleans(),
    },
)


def _write(batches: list[list[SpanRow]], folded: int) -> dict[Any, SpanRow]:
    """Batches in turn, some of them folded; each replaces a span of the one before."""
    rows: dict[Any, SpanRow] = {}
    for number, batch in enumerate(batches):
        for row in batch:
            row.span_id = f"{number}-{row.span_id}"
        again = [replace(row, duration_us=row.duration_us + 7_000, user_id="u3") for row in list(rows.values())[:1]]
        writer.write([*batch, *again])
        rows |= {row.identity: row for row in (*batch, *again)}
        if number < folded:
            refresh(T0 + timedelta(days=2))
            index_texts()
    return rows


def _delete(rows: dict[Any, SpanRow], trace_id: str) -> None:
    with connection.cursor() as cursor:
        placed = deletion._located(cursor, [1], [trace_id])
    if not placed:
        return
    with transaction.atomic():
        deletion._delete(placed)
    for key in [key for key, row in rows.items() if (row.project_id, row.trace_id) == (1, trace_id)]:
        del rows[key]


@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    batches=st.lists(spans(), min_size=1, max_size=3),
    trees=st.lists(FILTERS, min_size=2, max_size=2),
    simple=st.lists(NAMED, min_size=2, max_size=2),
    folded=st.integers(0, 3),
    limit=st.integers(1, 4),
    deleted=st.sampled_from(["t0", "t1", None]),
    small=st.booleans(),
    word=st.sampled_from(["parcel", "wa*", "refund OR late", "way -war"]),
)
def test_rows_values_and_sums_are_the_oracles(
    batches: list[list[SpanRow]],
    trees: list[Any],
    simple: list[Any],
    folded: int,
    limit: int,
    deleted: str | None,
    small: bool,
    word: str,
) -> None:
    clear_cells()
    rows = _write(batches, folded)
    if deleted is not None:
        _delete(rows, deleted)
    written = list(rows.values())
    with _patched(small):
        check(spec_of({"match": "spans"}), written)
        check(spec_of({"match": "spans"}, limit=limit), written)
        for tree in trees:
            check(spec_of({"match": "spans", "filter": tree}), written)
            check(spec_of({"match": "traces", "filter": tree}), written)
            check(spec_of({"match": "traces", "filter": tree}, limit=limit), written)
        for one in simple:
            check(spec_of({"match": "spans", **one}), written)
        for match in ("spans", "traces"):
            words = {"field": "text", "operator": "search", "value": word}
            check(spec_of({"match": match, "filter": words}), written)
        check(
            spec_of(
                {"match": "spans", **simple[0], "filter": trees[0]},
                fields=("span_id", "trace_id", "project", "start_time"),
            ),
            written,
        )
