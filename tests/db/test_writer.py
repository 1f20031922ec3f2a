"""The writer: what is stored, what is marked, and what it says of it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.traces import writer
from apps.traces.columns import CONTENT_COLUMNS, SPAN_COLUMNS, SpanRow
from apps.traces.models import Span, SpanContent, SpanMark
from apps.traces.schema import EPOCH
from tests.support.spans import T0, T0_US, clear_spans, span_row

pytestmark = pytest.mark.django_db
MINUTE = 60_000_000

# Few keys, few ranks, so that most batches meet what is stored; starts around the edges of minutes and a day.
ROWS = st.builds(
    lambda key, start, rank, text: span_row(
        project_id=1 + key % 2,
        trace_id=f"t{key // 2}",
        span_id=f"s{key}",
        start_us=T0_US // MINUTE * MINUTE + start,
        duration_us=rank[0],
        attribute_count=rank[1],
        # A content hash stands for all that the row holds.
        content_hash=sum(rank[2:]) * 10 + (text is not None),
        name=f"n{sum(rank[2:])}",
        output=text and f"{text}{sum(rank[2:])}",
    ),
    st.integers(0, 5),
    st.sampled_from([0, MINUTE - 1, MINUTE, 13 * 60 * MINUTE]),
    st.tuples(st.integers(1, 2), st.integers(0, 1), st.integers(0, 2)),
    st.sampled_from([None, "o"]),
)


def _columns(row: SpanRow, names: Iterable[str]) -> tuple[Any, ...]:
    def value(name: str) -> Any:
        return EPOCH + timedelta(microseconds=row.start_us) if name == "start_time" else getattr(row, name)

    return tuple(value(name) for name in names)


def _stored(table: str, names: Sequence[str]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(names)} FROM {table}")
        return sorted(cursor.fetchall(), key=repr)


SPAN_NAMES = [column.name for column in SPAN_COLUMNS]
CONTENT_NAMES = [column.name for column in CONTENT_COLUMNS]


def _expected(rows: Sequence[SpanRow]) -> dict[Any, SpanRow]:
    best: dict[Any, SpanRow] = {}
    for row in rows:
        if row.identity not in best or row.rank > best[row.identity].rank:
            best[row.identity] = row
    return best


def _marked(since: int = 0) -> set[tuple[int, datetime]]:
    minutes = set()
    for mark in SpanMark.objects.filter(id__gt=since):
        moment = mark.lo
        while moment < mark.hi:
            minutes.add((mark.project_id, moment))
            moment += timedelta(minutes=1)
    return minutes


@pytest.fixture(autouse=True)
def _content_is_young(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: T0_US * 1000)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(st.lists(ROWS, max_size=6), max_size=5))
def test_any_batches_in_any_order_leave_the_greatest_of_each_span(batches: list[list[SpanRow]]) -> None:
    clear_spans()
    before: dict[Any, SpanRow] = {}
    seen: list[SpanRow] = []
    for batch in batches:
        last = max(SpanMark.objects.values_list("id", flat=True), default=0)
        result = writer.write(batch)
        seen += batch
        after = _expected(seen)
        changed = {key for key, row in after.items() if key not in before or before[key].rank != row.rank}
        new = {key for key in changed if key not in before}
        distinct = {row.identity for row in batch}
        assert result == (len(new), len(changed) - len(new), len(distinct) - len(changed))
        minute = {(key[3], EPOCH + timedelta(microseconds=key[2] // MINUTE * MINUTE)) for key in changed}
        assert _marked(last) == minute
        before = after
    rows = before.values()
    assert _stored("span", SPAN_NAMES) == sorted((_columns(row, SPAN_NAMES) for row in rows), key=repr)
    kept = [_columns(row, CONTENT_NAMES) for row in rows if row.has_content]
    assert _stored("span_content", CONTENT_NAMES) == sorted(kept, key=repr)


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
WIDE = st.builds(
    span_row,
    trace_id=TEXT.filter(bool),
    name=TEXT,
    model=st.none() | TEXT,
    user_id=st.none() | TEXT,
    status=st.sampled_from(["ok", "error", "unset"]),
    billable=st.booleans(),
    duration_us=st.integers(0, 2**62),
    ttft_us=st.none() | st.integers(-(2**63), 2**63 - 1),
    total_cost=st.none() | st.integers(0, 2**63 - 1),
    content_hash=st.integers(-(2**63), 2**63 - 1),
    flags=st.integers(0, 2**31 - 1),
    tags=st.none() | st.lists(TEXT, max_size=3),
    usage=st.none() | st.just(b'{"audio_input": 12345678901234567890}'),
    labels=st.none() | st.just('{"a": "\u00e9 \\" \U0001f600"}'.encode()),
    input=st.none() | TEXT,
    attributes=st.none() | st.just(b'{"x": [1.5, null, true]}'),
    events=st.none() | st.just(b"[]"),
)


@pytest.mark.parametrize("sink", ["copy", "unnest"])
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(row=WIDE)
def test_every_value_is_read_back_as_it_was_written(sink: str, settings: Any, row: SpanRow) -> None:
    settings.WRITER_SINK = sink
    clear_spans()
    writer.write([row])
    stored = Span.objects.get()
    for name in SPAN_NAMES:
        given_value = _columns(row, [name])[0]
        if name in ("usage", "labels") and given_value is not None:
            given_value = json.loads(given_value)
        assert getattr(stored, name) == given_value, name
    assert SpanContent.objects.count() == row.has_content
    if row.has_content:
        assert SpanContent.objects.get().input == row.input


@pytest.mark.parametrize("sink", ["copy", "unnest"])
def test_replacing_takes_the_content_along(sink: str, settings: Any) -> None:
    settings.WRITER_SINK = sink
    old = span_row(output="old", input="old")
    writer.write([old])
    newer = span_row(trace_id=old.trace_id, span_id=old.span_id, duration_us=old.duration_us + 1, output="new")
    assert writer.write([newer]) == (0, 1, 0)
    content = SpanContent.objects.get()
    assert (content.input, content.output) == (None, "new")
    bare = span_row(trace_id=old.trace_id, span_id=old.span_id, duration_us=old.duration_us + 2)
    assert writer.write([bare, span_row()]) == (1, 1, 0)
    assert not SpanContent.objects.exists()


def test_the_two_sinks_store_the_same(settings: Any) -> None:
    rows = [span_row(output="x" * n, tags=["a", str(n)]) for n in range(5)]
    stored = []
    for sink in ("copy", "unnest"):
        settings.WRITER_SINK = sink
        clear_spans()
        writer.write(rows)
        stored.append([_stored("span", SPAN_NAMES), _stored("span_content", CONTENT_NAMES), _marked()])
    assert stored[0] == stored[1]


def test_an_equal_batch_writes_and_marks_nothing() -> None:
    rows = [span_row(output="x"), span_row(start_us=T0_US + MINUTE)]
    writer.write(rows)
    with connection.cursor() as cursor:
        cursor.execute("SELECT xmin, xmax, ctid FROM span UNION ALL SELECT xmin, xmax, ctid FROM span_mark")
        before = sorted(cursor.fetchall())
        assert writer.write(rows) == (0, 0, 2)
        cursor.execute("SELECT xmin, xmax, ctid FROM span UNION ALL SELECT xmin, xmax, ctid FROM span_mark")
        assert sorted(cursor.fetchall()) == before


def test_nothing_is_nothing() -> None:
    assert writer.write([]) == (0, 0, 0)
    assert not SpanMark.objects.exists()


def test_a_day_without_a_partition_gets_one() -> None:
    far = T0 + timedelta(days=4000)
    start = T0_US + 4000 * 86_400_000_000
    assert writer.write([span_row(start_us=start), span_row(output="o")]) == (2, 0, 0)
    assert Span.objects.filter(start_time=far).exists()


def test_content_that_has_expired_is_not_stored() -> None:
    old = T0_US - 40 * 86_400_000_000
    for _ in range(2):
        writer.write([span_row(trace_id="t", span_id="s", start_us=old, output="o")])
    assert Span.objects.count() == 1
    assert not SpanContent.objects.exists()


def test_adjacent_minutes_are_one_mark_and_many_minutes_coarse_ones() -> None:
    base = T0_US // MINUTE
    assert writer.mark_ranges([("t", "s", (base + n) * MINUTE + 5, 7) for n in (2, 0, 1, 9)]) == [
        (7, base, base + 3),
        (7, base + 9, base + 10),
    ]
    keys = [("t", "s", (base + 2 * n) * MINUTE, project) for n in range(5000) for project in (1, 2)]
    ranges = writer.mark_ranges(keys)
    assert len(ranges) <= writer.MAX_MARKS
    for _, _, start, project in keys:
        assert any(p == project and lo <= start // MINUTE < hi for p, lo, hi in ranges)


def test_it_refuses_to_run_inside_a_transaction_of_the_program() -> None:
    with transaction.atomic():
        with pytest.raises(RuntimeError, match="inside a transaction"):
            writer.write([span_row()])
        assert writer.write([span_row()], within_transaction=True) == (1, 0, 0)
        assert writer.write([row := span_row()], within_transaction=True) == (1, 0, 0)
        assert writer.write([row], within_transaction=True) == (0, 0, 1)


def test_a_value_that_the_database_refuses_leaves_nothing_behind() -> None:
    with pytest.raises(Exception, match="span_duration"):
        writer.write([span_row(), span_row(duration_us=-1)])
    assert not Span.objects.exists()
    assert not SpanMark.objects.exists()


def test_the_time_of_arrival_is_kept() -> None:
    writer.write([span_row()])
    assert abs((datetime.now(UTC) - Span.objects.get().ingested_at).total_seconds()) < 3600
