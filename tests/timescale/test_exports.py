"""Exports of spans on TimescaleDB: out of hypertables, by the cursor where COPY is not at hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine

from apps.exports.sources.spans.columns import DEFAULTS
from apps.metrics.refresh import refresh
from apps.traces import retention
from apps.traces.writer import write
from tests.exports.test_spans import EDGES, _patched, check, spec_of
from tests.search.strategies import HOUR
from tests.support.cells import clear_cells
from tests.support.spans import T0, T0_US, span_row


@pytest.fixture(autouse=True)
def _at_t0(timescale: Any) -> Iterator[None]:
    clear_cells()
    with time_machine.travel(T0 + timedelta(hours=10)):
        yield
    clear_cells()


@pytest.mark.parametrize("small", [False, True])
def test_rows_values_and_sums_are_the_oracles(small: bool) -> None:
    rows = [
        span_row(
            project_id=1 + n % 2,
            trace_id=f"t{n // 6}",
            span_id=f"s{n:02}",
            start_us=T0_US + (n * 7 - 200) * HOUR // 5,
            parent_span_id=None if n % 6 == 0 else "p",
            user_id="u1" if n % 6 == 0 else None,
            tags=["a", "é\n"] if n % 6 == 1 else None,
            model="haiku" if n % 3 else None,
            billable=n % 5 != 0,
            total_cost=None if n % 7 == 0 else n,
            input=f"the {n}th parcel" if n % 2 else None,
            attributes=b'{"span": {"tier": 5}}' if n % 4 else None,
        )
        for n in range(60)
    ]
    assert EDGES[0] < rows[0].start_us + 40 * HOUR and rows[-1].start_us > EDGES[1]
    write(rows[:40])
    refresh()
    retention.compress(T0 + timedelta(days=12))
    write(rows[40:])
    with _patched(small):
        check(spec_of({"match": "spans"}), rows)
        check(spec_of({"match": "spans"}, limit=11), rows)
        check(spec_of({"match": "spans", "user_id": ["u1"], "tag": ["a"]}, content=False, fields=DEFAULTS), rows)
        tree = {"field": "model", "operator": "eq", "value": None}
        check(spec_of({"match": "traces", "filter": tree}), rows)
        words = {"field": "text", "operator": "search", "value": "parcel"}
        check(spec_of({"match": "spans", "filter": words}), rows)
