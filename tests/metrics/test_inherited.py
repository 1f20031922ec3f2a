"""What spans take over from their traces, at the edges of a range that are read from raw spans.

There the traces are found by their times: all those that began within the hour before the range, and the longer ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine

from apps.metrics.refresh import refresh
from apps.metrics.spec import Filter
from apps.traces.columns import SpanRow
from apps.traces.writer import write
from tests.metrics.test_oracle import NOW, check, question
from tests.support.cells import clear_cells
from tests.support.spans import span_row, us

pytestmark = pytest.mark.django_db(transaction=True)
EDGE = NOW.replace(minute=10, second=0, microsecond=0)
END = EDGE + timedelta(minutes=10)
HOUR, MINUTE, LEAST = timedelta(hours=1), timedelta(minutes=1), timedelta(microseconds=1)
# How long before the edge a trace's root begins, on and around the lines that its trace is found by.
BEFORE = (-MINUTE, timedelta(0), LEAST, HOUR - LEAST, HOUR, HOUR + LEAST, 5 * HOUR, 26 * HOUR)


@pytest.fixture(autouse=True)
def _empty() -> Iterator[None]:
    clear_cells()
    with time_machine.travel(NOW, tick=False):
        yield
    clear_cells()


def family(number: int, before: timedelta, **own: Any) -> list[SpanRow]:
    """A root that says everything, and spans at both ends of the range and within it that say only this."""
    name = f"{number:032x}"
    said = {"user_id": f"user-{number}", "session_id": f"s-{number}", "environment": f"e-{number}", "team": "red"}
    root = span_row(trace_id=name, start_us=us(EDGE - before), billable=False, tags=[f"t:{number}"], **said)
    starts = (EDGE, EDGE + MINUTE, END - LEAST, END, EDGE - LEAST)
    return [root, *(span_row(trace_id=name, parent_span_id=root.span_id, start_us=us(at), **own) for at in starts)]


def rows() -> list[SpanRow]:
    made = [row for number, before in enumerate(BEFORE) for row in family(number, before)]
    made += family(20, 5 * HOUR, user_id="own")
    made += family(21, HOUR, session_id="own", environment="own", team="own", tags=["own"])
    return [*made, span_row(start_us=us(EDGE)), span_row(start_us=us(EDGE), user_id="own", session_id="own")]


@pytest.mark.parametrize("folded", [True, False])
def test_edges(folded: bool) -> None:
    written = rows()
    write(written)
    if folded:
        refresh(NOW)
    metrics = [("request_count", "sum"), ("total_cost", "sum"), ("unique_users", "count"), ("unique_sessions", "count")]
    for groups in (("user_id",), ("session_id",), ("environment", "team"), ()):
        assert "raw" in check(written, question(metrics, None, groups, start=EDGE, end=END)).plan.sources
    chosen = (Filter("environment", "eq", ("e-5",)),)
    check(written, question(metrics, None, ("user_id",), filters=chosen, start=EDGE, end=END))
