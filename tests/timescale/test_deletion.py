"""A trace is deleted out of compressed chunks too, and its neighbours stay."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.db import connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from apps.orgs import audit
from apps.traces import deletion, retention, storage, tombstones, writer
from apps.traces.models import Span, SpanContent, Trace
from apps.traces.summary import refresh_traces
from apps.traces.tiers import Tier
from tests.support.spans import T0, span_row, us

DAY = timedelta(days=1)


@pytest.mark.parametrize("compressed", [True, False])
def test_a_trace_over_days_goes_out_of_chunks_of_every_kind(timescale: BaseDatabaseWrapper, compressed: bool) -> None:
    if compressed and storage.tier(timescale) is not Tier.TIMESCALE:
        pytest.skip("the Apache edition has no columnstore")
    tombstones.forget()
    rows = [
        span_row(trace_id=trace, span_id=f"{trace}-{day}", start_us=us(T0 - day * DAY) + n, input="x")
        for day in (20, 19, 0)
        for n, trace in enumerate(("goes", "stays", "other"))
    ]
    with time_machine.travel(T0, tick=False):
        writer.write(rows)
        with transaction.atomic(), connection.cursor() as cursor:
            refresh_traces(cursor, [(1, T0 - 30 * DAY, T0 + DAY)])
            cursor.execute("DELETE FROM span_mark")
        if compressed:
            assert len(retention.compress(T0)) == 2
        placed = deletion.find_trace({"default": 1}, "goes")
        done = deletion.delete_trace(placed, audit.SYSTEM, 1)
        assert (done.counts["traces"], done.counts["spans"]) == (1, 3)
        assert writer.write(rows) == (0, 0, 9)
        found = sorted(Span.objects.values_list("trace_id", flat=True))
        assert found == sorted(["stays", "other"] * 3)
        assert not SpanContent.objects.filter(trace_id="goes").exists()
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT project_id, lo, hi FROM span_mark")
            refresh_traces(cursor, cursor.fetchall())
        assert sorted(Trace.objects.values_list("trace_id", flat=True)) == ["other", "stays"]
    tombstones.forget()
