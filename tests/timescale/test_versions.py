"""Versions of the data while continuous aggregates are refreshed between two transactions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db.backends.base.base import BaseDatabaseWrapper

from apps.metrics import refresh as folding
from apps.metrics.refresh import refresh
from apps.metrics.runner import answer
from apps.metrics.spec import MetricRef, QuerySpec
from apps.metrics.versions import version_of
from apps.traces import writer
from tests.support.cells import clear_cells
from tests.support.spans import T0, T0_US, span_row

pytestmark = pytest.mark.usefixtures("timescale")
DAY_US = 86_400_000_000
TRACE = "a" * 32
YESTERDAY = QuerySpec(
    1,
    (1,),
    (T0 - timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0),
    T0.replace(hour=0, minute=0, second=0, microsecond=0),
    (MetricRef("request_count", "sum", "n"),),
    group_by=("model",),
)


@pytest.fixture(autouse=True)
def _empty(timescale: BaseDatabaseWrapper) -> Iterator[None]:
    clear_cells()
    with time_machine.travel(T0):
        yield
    clear_cells()


def test_a_version_never_falls_while_changed_traces_are_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[tuple[Any, ...], Any]] = []

    def look() -> None:
        seen.append((version_of(YESTERDAY), answer(YESTERDAY).rows))

    def look_between(*arguments: Any) -> None:
        look()
        real(*arguments)
        look()

    real = folding._refresh_aggregates
    monkeypatch.setattr(folding, "_refresh_aggregates", look_between)
    minutes = (0, 10, 20)
    writer.write(
        [
            span_row(trace_id=TRACE, parent_span_id="f" * 16, start_us=T0_US - DAY_US + minute * 60_000_000)
            for minute in minutes
        ]
    )
    look()
    refresh(T0)
    look()
    writer.write([span_row(trace_id=TRACE, user_id="ann", start_us=T0_US)])  # the root, a day late
    refresh(T0)
    look()
    writer.write([span_row(start_us=T0_US - DAY_US)])
    look()
    versions = [version for version, _ in seen]
    assert versions == sorted(versions)
    for version, rows in seen:
        assert all(rows == other for another, other in seen if another == version)
    assert [rows[0]["n"] for _, rows in (seen[0], seen[-1])] == [3, 4]
    assert versions[-1] > versions[-2]
