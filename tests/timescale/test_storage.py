"""Spans on TimescaleDB: hypertables, the writer's sink without COPY, retention and the columnstore."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper

from apps.traces import retention, storage, writer
from apps.traces.columns import IDENTITY
from apps.traces.models import Span, SpanContent, SpanMark, Trace
from apps.traces.schema import SPAN_TABLES
from apps.traces.summary import refresh_traces
from apps.traces.tiers import Tier
from tests.support.spans import T0, span_row, us

DAY = timedelta(days=1)
pytestmark = pytest.mark.usefixtures("timescale")


@pytest.fixture(autouse=True)
def _at_t0() -> Iterator[None]:
    with time_machine.travel(T0):
        yield


def _query(sql: str, *parameters: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall())


def test_the_tier_is_found(timescale: BaseDatabaseWrapper) -> None:
    assert storage.tier().hypertables
    assert storage.prepare(T0) == 0


def test_both_tables_are_hypertables_with_day_chunks() -> None:
    rows = _query(
        "SELECT hypertable_name, column_name, time_interval FROM timescaledb_information.dimensions"
        " WHERE hypertable_name IN ('span', 'span_content') ORDER BY 1"
    )
    assert rows == [("span", "start_time", DAY), ("span_content", "start_time", DAY)]


def test_the_identity_stays_unique() -> None:
    rows = _query(
        "SELECT tablename, indexdef FROM pg_indexes WHERE indexname LIKE '%%identity' AND schemaname = 'public'"
    )
    assert {name for name, _ in rows} == set(SPAN_TABLES)
    assert all(f"({', '.join(IDENTITY)})" in text and "UNIQUE" in text for _, text in rows)


def test_writes_replacements_and_retries() -> None:
    rows = [span_row(start_us=us(T0 - n * DAY), output=f"o{n}", tags=["a"]) for n in range(3)]
    assert writer.write(rows) == (3, 0, 0)
    marks = SpanMark.objects.count()
    assert writer.write(rows) == (0, 0, 3)
    assert SpanMark.objects.count() == marks
    rows[1].duration_us += 1
    rows[1].output = None
    assert writer.write([*rows, span_row()]) == (1, 1, 2)
    assert Span.objects.count() == 4
    assert set(SpanContent.objects.values_list("output", flat=True)) == {"o0", "o2"}


def test_traces_fold() -> None:
    root = span_row(trace_id="t", user_id="ada", billable=False)
    child = span_row(trace_id="t", parent_span_id=root.span_id, start_us=us(T0 + DAY))
    writer.write([root, child])
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        assert refresh_traces(cursor, [(1, T0 - DAY, T0 + 2 * DAY)]) == []
        cursor.execute("COMMIT")
    trace = Trace.objects.get()
    assert (trace.user_id, trace.span_count, trace.request_count) == ("ada", 2, 1)


def test_retention_drops_chunks(settings: Any) -> None:
    settings.HUB = settings.HUB.model_copy(update={"raw_retention_days": 10, "content_retention_days": 4})
    for days in (0, 4, 5, 10, 11, 12):
        writer.write([span_row(start_us=us(T0 - days * DAY), output="o")])
    report = retention.drop_expired(T0)
    assert len(report.partitions) >= 2
    assert Span.objects.count() == 4
    assert SpanContent.objects.count() == 2
    assert retention.drop_expired(T0).partitions == []


def test_old_chunks_become_columns_and_still_take_late_spans(settings: Any) -> None:
    if storage.tier() is not Tier.TIMESCALE:
        pytest.skip("the Apache edition has no columnstore")
    old = [span_row(trace_id="old", start_us=us(T0 - 20 * DAY) + n) for n in range(300)]
    writer.write([*old, span_row()])
    assert len(retention.compress(T0)) == 1
    assert retention.compress(T0) == []
    assert writer.write(old) == (0, 0, 300)
    old[7].duration_us += 1
    late = span_row(trace_id="late", start_us=us(T0 - 20 * DAY))
    assert writer.write([*old[:10], late]) == (1, 1, 9)
    assert Span.objects.count() == 302
    assert Span.objects.get(span_id=old[7].span_id).duration_us == old[7].duration_us
