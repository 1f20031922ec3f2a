"""Cells on TimescaleDB: the same work as on ordinary tables, the coarser usage cells as continuous aggregates."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper

from apps.metrics import compile_timescale, retention
from apps.metrics.ranges import Ranges
from apps.metrics.reconcile import examine
from apps.metrics.refresh import refresh
from apps.traces import writer
from apps.traces.tiers import Tier, detect
from tests.support.cells import cells, clear_cells, marks
from tests.support.spans import T0, T0_US, span_row

pytestmark = pytest.mark.usefixtures("timescale")
MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
START, END, LATER = T0 - timedelta(days=3), T0 + timedelta(days=2), T0 + timedelta(days=3)


@pytest.fixture(autouse=True)
def _empty(timescale: BaseDatabaseWrapper) -> Iterator[None]:
    clear_cells()
    with time_machine.travel(T0):
        yield
    clear_cells()


def _query(sql: str, *parameters: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall())


def _sums(name: str) -> list[tuple[int, int]]:
    return _query(f"SELECT project_id, sum(requests)::bigint FROM {name} GROUP BY 1 ORDER BY 1")


def test_the_usage_cells_are_a_chain_of_aggregates() -> None:
    if detect(connection) is not Tier.TIMESCALE:
        pytest.skip("the Apache edition has no continuous aggregates")
    rows = _query("SELECT view_name, materialized_only FROM timescaledb_information.continuous_aggregates ORDER BY 1")
    assert rows == [("usage_15m", True), ("usage_1d", True), ("usage_1h", True)]


def test_refresh_late_data_and_deletion() -> None:
    writer.write([span_row(project_id=1 + n % 2, start_us=T0_US - n * 3 * HOUR_US, user_id="u") for n in range(12)])
    refresh(LATER)
    for name in ("usage_1m", "usage_15m", "usage_1h", "usage_1d", "usage_project_1h", "usage_project_1d", "users_1d"):
        assert _sums(name) == [(1, 6), (2, 6)], name
    writer.write([span_row(project_id=1, start_us=T0_US - HOUR_US)])
    refresh(LATER)
    assert _sums("usage_1d") == _sums("usage_1h") == [(1, 7), (2, 6)]
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM span WHERE project_id = 2")
        cursor.execute("INSERT INTO span_mark (project_id, lo, hi) VALUES (2, %s, %s)", [START, END])
    refresh(LATER)
    assert _sums("usage_1d") == _sums("usage_15m") == [(1, 7)]
    assert marks() == 0
    assert examine(START, END, now=LATER).differences == []


def test_a_late_root_moves_its_childrens_cells() -> None:
    trace = "a" * 32
    writer.write([span_row(trace_id=trace, parent_span_id="r", start_us=T0_US + n * HOUR_US) for n in range(3)])
    refresh(LATER)
    root = span_row(trace_id=trace, kind="agent", billable=False, environment="prod", start_us=T0_US - HOUR_US)
    writer.write([root])
    refresh(LATER)
    for name in ("usage_1m", "usage_15m", "usage_1h", "usage_1d", "latency_1d"):
        assert {row[0] for row in _query(f"SELECT environment FROM {name}")} == {"prod"}, name
    assert examine(START, END, now=LATER).differences == []


def test_a_projects_frozen_cells_outlive_anothers_late_span() -> None:
    """Project 1's raw spans are gone; a late span of project 2 in the same day must not empty project 1's cells."""
    writer.write([span_row(project_id=project, user_id="u") for project in (1, 2)])
    refresh(LATER)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM span WHERE project_id = 1")
    writer.write([span_row(project_id=2, start_us=T0_US + MINUTE_US, user_id="u")])
    refresh(T0 + timedelta(days=60))
    for name in ("usage_1m", "usage_15m", "usage_1h", "usage_1d", "usage_project_1d", "users_1d"):
        if name != "usage_1m" or detect(connection) is Tier.TIMESCALE:
            assert _sums(name) == [(1, 1), (2, 2)], name


def test_expired_minutes_leave_hours_and_days_alone() -> None:
    writer.write([span_row()])
    refresh(LATER)
    now = T0 + timedelta(days=120)
    assert retention.expire_cells(now)["usage_1m"] > 0
    assert cells("usage_1m") == []
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO span_mark (project_id, lo, hi) VALUES (1, %s, %s)", [START, END])
    refresh(now)
    assert marks() == 0
    assert _sums("usage_1h") == _sums("usage_1d") == [(1, 1)]


def test_windows_join_across_the_smallest_gaps() -> None:
    many = Ranges({1: [(n * 100, n * 100 + 10) for n in range(60)], 2: [(15, 90)]})
    joined = compile_timescale.windows(many)
    assert len(joined) == compile_timescale.RANGES_A_CALL
    assert joined[0][0] == 0
    assert joined[-1][1] == 5910
