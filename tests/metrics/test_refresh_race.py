"""Refreshes beside writers, beside each other, and killed half way."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.metrics import compile_timescale, ledger
from apps.metrics.reconcile import examine
from apps.metrics.refresh import refresh
from apps.traces.columns import SpanRow
from apps.traces.writer import write
from tests.support.cells import all_cells, cells, clear_cells, marks
from tests.support.spans import T0, T0_US, span_row

pytestmark = pytest.mark.usefixtures("empty_cells")
MINUTE_US = 60_000_000
START, END, LATER = T0 - timedelta(days=2), T0 + timedelta(days=2), T0 + timedelta(days=3)


@contextmanager
def _other_session() -> Iterator[psycopg.Connection[Any]]:
    """A connection of its own to the same database."""
    values = connection.get_connection_params()
    wanted = {key: values[key] for key in ("host", "port", "user", "password", "dbname") if values.get(key)}
    with psycopg.connect(**wanted) as session:
        yield session


def _in_thread(work: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(work())
        except OperationalError as error:
            outcome.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread, outcome


def _blocked_backend(session: psycopg.Connection[Any]) -> int:
    """The backend that waits for a lock of this session."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        row = session.execute(
            "SELECT pid FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
        ).fetchone()
        if row:
            return int(row[0])
        time.sleep(0.02)
    raise AssertionError("nothing waits for the lock")


def _traffic(seed: int, count: int = 60) -> list[SpanRow]:
    rng = random.Random(seed)
    rows = []
    for _ in range(count):
        root = rng.random() < 0.2
        rows.append(
            span_row(
                project_id=rng.randint(1, 2),
                trace_id=f"{rng.randint(0, 15):032x}",
                parent_span_id=None if root else "r",
                billable=not root,
                start_us=T0_US + rng.randint(-90, 90) * MINUTE_US // rng.choice([1, 7]),
                user_id=rng.choice([None, "a", "b"]) if root else None,
                environment=rng.choice([None, "prod"]),
                status=rng.choice(["ok", "error"]),
                ttft_us=rng.choice([None, 0, 1500]),
            )
        )
    return rows


@pytest.mark.parametrize("table", ["usage_1m", "latency_1d", "rollup_run", "span_mark"])
def test_killed_half_way_then_done_again_equals_a_clean_run(table: str) -> None:
    rows = _traffic(1)
    write(rows)
    refresh(LATER)
    clean = all_cells()
    clear_cells()
    write(rows)
    before = marks()
    with _other_session() as session:
        session.execute(f"LOCK TABLE {table} IN SHARE MODE")
        thread, outcome = _in_thread(lambda: refresh(LATER))
        victim = _blocked_backend(session)
        session.execute("SELECT pg_terminate_backend(%s)", [victim])
        thread.join(30)
        session.rollback()
    assert isinstance(outcome[0], OperationalError)
    assert marks() >= before, "a killed refresh folds no mark"
    with connection.cursor() as cursor:
        # What a crashed run of the second kind left is taken over after a silence; here at once.
        cursor.execute("UPDATE rollup_run SET beat_at = beat_at - interval '1 hour'")
    refresh(LATER)
    assert (marks(), all_cells()) == (0, clean)


def test_two_refreshes_at_once_do_no_harm() -> None:
    write(_traffic(2))
    with _other_session() as session:
        session.execute("SELECT pg_advisory_xact_lock(%s)", [ledger.LOCK_KEY])
        report = refresh(LATER)
        assert (report.busy, report.marks) == (True, 0)
    threads = [_in_thread(lambda: refresh(LATER)) for _ in range(3)]
    for thread, _ in threads:
        thread.join(60)
    refresh(LATER)
    assert marks() == 0
    assert examine(START, END, now=LATER).differences == []


def test_a_span_committed_during_a_refresh_stays_marked() -> None:
    write(_traffic(3))
    late = span_row(user_id="late", start_us=T0_US + 5)
    with _other_session() as session:
        session.execute("LOCK TABLE usage_1m IN SHARE MODE")
        thread, _ = _in_thread(lambda: refresh(LATER))
        _blocked_backend(session)
        write([late])
        session.rollback()
        thread.join(30)
    assert marks() == 1
    assert examine(START, END, now=LATER).differences == [], "the marked hour is pending, not wrong"
    refresh(LATER)
    assert [row for row in cells("users_1h") if "late" in row]
    assert examine(START, END, now=LATER).differences == []


def test_writers_beside_refreshes_lose_nothing() -> None:
    stop = threading.Event()

    def writer(seed: int) -> int:
        batches = 0
        # Bounded, or the slower the refresh, the more it is given to do.
        while not stop.is_set() and batches < 200:
            write(_traffic(seed * 1000 + batches, 20))
            batches += 1
        return batches

    threads = [_in_thread(lambda seed=seed: writer(seed)) for seed in range(3)]  # type: ignore[misc]
    try:
        for step in range(12):
            refresh(T0 + timedelta(minutes=20 * step))
    finally:
        stop.set()
        for thread, _ in threads:
            thread.join(30)
    assert all(isinstance(outcome[0], int) and outcome[0] > 1 for _, outcome in threads)
    refresh(LATER)
    assert marks() == 0
    found = examine(START, END, now=LATER)
    assert (found.differences, found.pending) == ([], 0)


_step = st.one_of(
    st.tuples(st.just("write"), st.integers(0, 10_000), st.integers(1, 12)),
    st.tuples(st.just("refresh"), st.integers(-60, 3000), st.just(0)),
    st.tuples(st.just("delete"), st.integers(0, 15), st.just(0)),
)


def _delete_trace(number: int) -> None:
    """As a deletion does: the spans go, and all minutes of their trace are marked, in one transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH gone AS (DELETE FROM span WHERE trace_id = %s RETURNING project_id, start_time) "
            "INSERT INTO span_mark (project_id, lo, hi) SELECT project_id, date_trunc('minute', min(start_time)), "
            "date_trunc('minute', max(start_time)) + interval '1 minute' FROM gone GROUP BY project_id",
            [f"{number:032x}"],
        )


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(steps=st.lists(_step, min_size=3, max_size=12))
def test_whatever_happens_in_whatever_order_cells_equal_raw(steps: list[tuple[str, int, int]]) -> None:
    clear_cells()
    for what, number, size in steps:
        if what == "write":
            write(_traffic(number, size))
        elif what == "delete":
            _delete_trace(number)
        else:
            moment = T0 + timedelta(minutes=number)
            refresh(moment)
            assert examine(START, END, now=moment).differences == []
    refresh(LATER)
    assert marks() == 0
    assert examine(START, END, now=LATER).differences == []


def test_a_run_that_fell_silent_between_its_transactions_is_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with connection.cursor() as cursor:
        if not compile_timescale.in_use(cursor):
            pytest.skip("a run is one transaction on ordinary tables")
    write(_traffic(4))

    def crash(*_: object) -> None:
        raise OSError("the worker is gone")

    with monkeypatch.context() as patch:
        patch.setattr("apps.metrics.refresh._refresh_aggregates", crash)
        with pytest.raises(OSError, match="gone"):
            refresh(LATER)
    assert marks() > 0
    assert refresh(LATER).busy, "its silence is short yet"
    with connection.cursor() as cursor:
        cursor.execute("UPDATE rollup_run SET beat_at = beat_at - interval '1 hour'")
    refresh(LATER)
    assert marks() == 0
    assert examine(START, END, now=LATER).differences == []
