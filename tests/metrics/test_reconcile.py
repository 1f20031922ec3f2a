"""Reconcile finds what differs, says what it cannot judge, and mends."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection

from apps.metrics.reconcile import Difference, examine, reconcile
from apps.metrics.refresh import refresh
from apps.metrics.rollups import ROLLUPS
from apps.traces.writer import write
from tests.support.cells import all_cells, marks, skip_aggregate
from tests.support.spans import T0, T0_US, span_row

pytestmark = pytest.mark.usefixtures("empty_cells")
HOUR_US = 3_600_000_000
START, END, LATER = T0 - timedelta(days=1), T0 + timedelta(days=1), T0 + timedelta(days=2)


def _traffic() -> None:
    for n in range(12):
        trace = f"{n:032x}"
        write(
            [
                span_row(trace_id=trace, kind="agent", billable=False, user_id=f"u{n % 3}", session_id="s", team="t"),
                span_row(trace_id=trace, parent_span_id="r", start_us=T0_US + n * HOUR_US // 4, ttft_us=n * 1000),
                span_row(trace_id=trace, parent_span_id="r", status="error", error_type="E", error_message=f"m{n}"),
                span_row(trace_id=trace, parent_span_id="r", total_cost=None, unpriced_reason="no_usage"),
            ]
        )
    refresh(LATER)


def _execute(sql: str, *values: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)


def _examine() -> list[Difference]:
    return examine(START, END, now=LATER).differences


def test_a_fresh_state_has_no_difference() -> None:
    _traffic()
    found = examine(START, END, now=LATER)
    assert found.differences == []
    assert found.compared > 100
    assert found.unverifiable == 0


@pytest.mark.parametrize("name", list(ROLLUPS))
def test_a_changed_cell_is_found_and_mended(name: str) -> None:
    rollup = ROLLUPS[name]
    skip_aggregate(rollup.name)
    _traffic()
    good = all_cells()
    held = "counts" if rollup.value else "requests" if rollup.kind == "unpriced" else "errors"
    change = "counts = counts[2:] || 77::bigint" if rollup.value else f"{held} = {held} + 3"
    _execute(f"UPDATE {name} SET {change} WHERE ctid = (SELECT min(ctid) FROM {name})")
    found = _examine()
    assert {(d.rollup, d.component) for d in found} == {(name, held)}
    (difference,) = found
    assert difference.stored != difference.expected
    assert set(difference.key) == set(rollup.key) - {"bucket", "project_id"}
    assert examine(START, END, repair=True, now=LATER).differences == []
    assert all_cells() == good


@pytest.mark.parametrize("name", ["usage_1m", "users_1h", "latency_project_1d", "errors_1h"])
def test_a_missing_cell_and_one_too_many_are_found_and_mended(name: str) -> None:
    _traffic()
    good = all_cells()
    _execute(f"DELETE FROM {name} WHERE ctid = (SELECT min(ctid) FROM {name})")
    assert {d.rollup for d in _examine()} == {name}
    assert all(d.stored is None for d in _examine())
    _execute(f"INSERT INTO {name} SELECT * FROM {name}")
    assert {d.rollup for d in _examine()} == {name}
    assert examine(START, END, repair=True, now=LATER).differences == []
    assert all_cells() == good


@pytest.mark.parametrize(
    ("change", "column"),
    [
        ("user_id = 'mallory'", "user_id"),
        ("span_count = span_count + 1", "span_count"),
        ("last_start = last_start - interval '1 hour'", "last_start"),
    ],
)
def test_a_wrong_trace_row_is_found_and_mended(change: str, column: str) -> None:
    _traffic()
    _execute(f"UPDATE trace SET {change} WHERE trace_id = %s", f"{11:032x}")
    assert ("trace", column) in {(d.rollup, d.component) for d in _examine()}
    assert examine(START, END, repair=True, now=LATER).differences == []


def test_unfolded_and_unfinished_buckets_are_pending() -> None:
    _traffic()
    settled = examine(START, END, now=LATER)
    write([span_row(user_id="new")])
    found = examine(START, END, now=LATER)
    assert found.differences == []
    assert found.pending >= settled.pending + len(ROLLUPS)
    assert marks() == 1


def test_what_lost_its_raw_spans_is_unverifiable() -> None:
    _traffic()
    _execute("DELETE FROM span")
    found = examine(START, END, now=T0 + timedelta(days=100))
    assert found.differences == []
    assert found.unverifiable > 0
    assert found.compared == 0


def test_other_projects_are_left_out() -> None:
    _traffic()
    _execute("UPDATE users_1h SET errors = 9")
    assert reconcile(START, END, projects=[2]) == []
    assert reconcile(START, END, projects=[1]) != []


def _command(*options: str) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("reconcile", "--start", START.isoformat(), "--end", END.isoformat(), *options, stdout=out)
    except SystemExit as stop:
        return int(str(stop.code)), out.getvalue()
    return 0, out.getvalue()


def test_the_command_reports_and_exits_with_1() -> None:
    _traffic()
    code, text = _command()
    assert (code, text.startswith("0 differences")) == (0, True)
    _execute("UPDATE usage_1m SET requests = requests + 5 WHERE bucket = (SELECT min(bucket) FROM usage_1m)")
    code, text = _command("--json")
    found = json.loads(text)["differences"][0]
    assert code == 1
    assert (found["rollup"], found["component"]) == ("usage_1m", "requests")
    assert found["stored"] == found["expected"] + 5
    assert datetime.fromisoformat(found["bucket"]) == T0.replace(second=0, microsecond=0)
    code, text = _command("--repair")
    assert code == 0
    assert text.splitlines()[0].endswith(" differences repaired")
    assert "repaired" not in _command("--repair")[1]
