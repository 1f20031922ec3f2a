"""The planner's answers out of continuous aggregates equal plain Python over the raw rows, before and after late spans.

A choice of the questions of tests/metrics/test_oracle.py, which asks them all where the suite runs on a TimescaleDB.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
import time_machine
from django.db.backends.base.base import BaseDatabaseWrapper

from apps.metrics.reconcile import examine
from apps.metrics.refresh import refresh
from apps.traces.writer import write
from tests.metrics.test_oracle import NOW, check, check_all, histograms_preferred, late_arrivals, question, traffic
from tests.support.cells import clear_cells

INTERVALS = {"15min": "rollup_15m", "1hour": "rollup_1h", "1day": "rollup_1d"}


@pytest.fixture(autouse=True)
def _empty(timescale: BaseDatabaseWrapper) -> Iterator[None]:
    clear_cells()
    with time_machine.travel(NOW, tick=False):
        yield
    clear_cells()


@pytest.mark.parametrize("interval", INTERVALS)
def test_every_metric_through_the_aggregates(interval: str) -> None:
    rows = traffic(2, 120)
    write(rows)
    refresh(NOW)
    with histograms_preferred():
        assert INTERVALS[interval] in check_all(rows, [("provider", "model")], [interval])
        late = late_arrivals(rows)
        write(late)
        assert {"raw"} < check_all([*rows, *late], [("environment",)], [interval])
    refresh(NOW)
    assert examine(NOW - timedelta(days=6), NOW, now=NOW).differences == []


def test_days_of_a_time_zone() -> None:
    rows = traffic(4, 120)
    write(rows)
    refresh(NOW)
    asked = [("request_count", "sum"), ("duration", "p95"), ("unique_users", "count")]
    with histograms_preferred():
        for interval in ("1day", "1week", "1month"):
            check(rows, question(asked, interval, ("model",), tz="Asia/Kolkata"))
