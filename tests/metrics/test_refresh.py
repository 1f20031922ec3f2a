"""The refresh on tables: what is folded, when, and that doing it again changes nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection

from apps.metrics import compile_timescale
from apps.metrics.refresh import refresh
from apps.metrics.rollups import ROLLUPS
from apps.traces.writer import write
from tests.support.cells import all_cells, cells, marks, watermark
from tests.support.spans import T0, T0_US, span_row

pytestmark = pytest.mark.usefixtures("empty_cells")
MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
LATER = T0 + timedelta(days=2)


def _sum(name: str, column: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT coalesce(sum({column}), 0) FROM {name}")
        return int(cursor.fetchone()[0])


def test_every_rollup_holds_the_spans_after_their_buckets_are_over() -> None:
    write([span_row(user_id="u", session_id="s", ttft_us=9, start_us=T0_US + n * HOUR_US) for n in range(30)])
    error = {"status": "error", "error_type": "Boom", "error_message": "no", "total_cost": None}
    write([span_row(**error, user_id="u", session_id="s", ttft_us=1)])
    report = refresh(LATER)
    assert (report.marks, report.spans, report.more, marks()) == (31, 31, False, 0)
    for name, rollup in ROLLUPS.items():
        if rollup.kind == "errors":
            assert _sum(name, "errors") == 1, name
        elif rollup.kind == "unpriced":
            assert _sum(name, "requests") == 1, name
        elif rollup.value:
            assert _sum(name, "(SELECT sum(n) FROM unnest(counts) n)") == 31, name
        else:
            assert _sum(name, "requests") == 31, name


def test_an_unfinished_bucket_is_left_for_its_end() -> None:
    write([span_row()])
    refresh(T0 + timedelta(minutes=1))
    assert len(cells("usage_1m")) == 1
    assert cells("usage_15m") == cells("usage_1h") == cells("latency_1h") == []
    refresh(T0 + timedelta(minutes=16))
    assert len(cells("usage_15m")) == 1
    assert cells("usage_1h") == []
    refresh(T0 + timedelta(minutes=31))
    assert len(cells("usage_1h")) == len(cells("usage_project_1h")) == 1
    assert cells("latency_1h") == [], "the raw hour waits for stragglers"
    refresh(T0 + timedelta(minutes=33))
    assert len(cells("latency_1h")) == len(cells("latency_project_1h")) == 1
    assert cells("usage_1d") == []
    refresh(LATER)
    assert len(cells("usage_1d")) == len(cells("latency_1d")) == 1


def test_watermarks_pass_gaps_and_never_go_back() -> None:
    write([span_row()])
    refresh(T0 + timedelta(minutes=1))
    refresh(T0 + timedelta(days=20, minutes=1))
    assert len(cells("usage_1d")) == 1
    high = watermark("usage_1d")
    assert high == (T0 + timedelta(days=20)).replace(hour=0, minute=0, second=0, microsecond=0)
    refresh(T0)
    assert watermark("usage_1d") == high


def test_refreshing_again_changes_nothing() -> None:
    write([span_row(start_us=T0_US + n * 7 * MINUTE_US, user_id=f"u{n % 3}") for n in range(50)])
    refresh(LATER)
    before = all_cells()
    assert refresh(LATER).marks == 0
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO span_mark (project_id, lo, hi) VALUES (1, %s, %s)", [T0, LATER])
    refresh(LATER)
    assert all_cells() == before


def test_a_late_span_corrects_every_level() -> None:
    write([span_row(user_id="u")])
    refresh(LATER)
    write([span_row(user_id="u", start_us=T0_US + 20 * MINUTE_US, total_cost=1)])
    refresh(LATER)
    for name in ("usage_15m", "usage_1h", "usage_1d", "usage_project_1d", "users_1h", "users_project_1d"):
        assert _sum(name, "requests") == 2, name
    assert _sum("latency_1d", "(SELECT sum(n) FROM unnest(counts) n)") == 2


def test_a_deleted_span_leaves_no_zero_cell() -> None:
    write([span_row(user_id="u", session_id="s")])
    refresh(LATER)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM span")
        cursor.execute("INSERT INTO span_mark (project_id, lo, hi) VALUES (1, %s, %s)", [T0, T0 + timedelta(minutes=1)])
    refresh(LATER)
    assert {name: rows for name, rows in all_cells().items() if rows} == {}


@pytest.mark.parametrize(("offset", "minute"), [(-1, 0), (0, 1)])
def test_a_span_on_the_edge_counts_in_the_later_minute(offset: int, minute: int) -> None:
    edge = T0.replace(minute=0, second=0, microsecond=0)
    write([span_row(start_us=T0_US // HOUR_US * HOUR_US + offset)])
    refresh(LATER)
    assert cells("usage_1m")[0][0] == edge + timedelta(minutes=minute - 1)
    assert cells("usage_1h")[0][0] == edge + timedelta(hours=minute - 1)


def test_only_billable_spans_count() -> None:
    write([span_row(kind="agent", billable=False)])
    refresh(LATER)
    assert marks() == 0
    assert {name: rows for name, rows in all_cells().items() if rows} == {}


def test_a_long_mark_is_worked_off_in_pieces() -> None:
    write([span_row(start_us=T0_US - n * 24 * HOUR_US) for n in range(10)])
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM span_mark")
        cursor.execute(
            "INSERT INTO span_mark (project_id, lo, hi) VALUES (1, %s, %s)", [T0 - timedelta(days=10), LATER]
        )
    report = refresh(LATER)
    assert report.passes > 3
    assert marks() == 0
    assert _sum("usage_1d", "requests") == 10
    assert _sum("users_1d", "(user_id IS NULL)::integer") == len(cells("users_1d"))


def test_young_marks_of_the_current_minute_can_be_held() -> None:
    write([span_row(), span_row(start_us=T0_US - MINUTE_US)])
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM span_mark")
        cursor.execute(
            "INSERT INTO span_mark (project_id, lo, hi) SELECT 1, m, m + interval '1 minute' "
            "FROM unnest(%s::timestamptz[]) m",
            [[T0.replace(second=0, microsecond=0) - timedelta(minutes=n) for n in (0, 1)]],
        )
    refresh(T0, hold=timedelta(seconds=30))
    assert (marks(), _sum("usage_1m", "requests")) == (1, 1)
    refresh(T0)
    assert (marks(), _sum("usage_1m", "requests")) == (0, 2)


def test_what_is_older_than_the_raw_spans_is_frozen() -> None:
    write([span_row(user_id="u")])
    refresh(LATER)
    before = all_cells()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM span")
        cursor.execute("INSERT INTO span_mark (project_id, lo, hi) VALUES (1, %s, %s)", [T0, T0 + timedelta(hours=9)])
    refresh(T0 + timedelta(days=91))
    assert marks() == 0
    assert all_cells() == before


def test_an_hour_older_than_its_minutes_is_redone_from_raw() -> None:
    with connection.cursor() as cursor:
        if compile_timescale.in_use(cursor):
            pytest.skip("minute cells outlive raw spans where continuous aggregates read them")
    write([span_row(), span_row(start_us=T0_US + MINUTE_US)])
    refresh(LATER)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM usage_1m")
    write([span_row(start_us=T0_US + 2 * MINUTE_US)])
    refresh(T0 + timedelta(days=60))
    assert cells("usage_1m") == []
    assert _sum("usage_15m", "requests") == _sum("usage_1h", "requests") == _sum("usage_1d", "requests") == 3


def test_a_late_root_moves_its_childrens_cells() -> None:
    trace = "a" * 32
    write([span_row(trace_id=trace, parent_span_id="r", start_us=T0_US + n * HOUR_US) for n in range(3)])
    refresh(LATER)
    assert _sum("users_1h", "(user_id IS NULL)::integer") == 3
    root = span_row(
        trace_id=trace, kind="agent", billable=False, user_id="ada", session_id="s1", environment="prod", team="core"
    )
    root.start_us = T0_US - 2 * HOUR_US
    write([root])
    refresh(LATER)
    with connection.cursor() as cursor:
        cursor.execute("SELECT environment, team, sum(requests) FROM usage_1m GROUP BY 1, 2")
        assert cursor.fetchall() == [("prod", "core", 3)]
    for name in ("users_1h", "users_1d", "users_project_1d", "sessions_1h", "sessions_project_1h"):
        assert _sum(name, "requests") == 3, name
        assert _sum(name, f"({name.partition('s_')[0]}_id IS NULL)::integer") == 0, name
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT environment FROM latency_1d")
        assert cursor.fetchall() == [("prod",)]


def test_heavy_hours_are_built_one_kind_a_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    write([span_row(user_id="u", session_id="s", ttft_us=5, start_us=T0_US - n * HOUR_US) for n in range(30)])
    refresh(T0 + timedelta(minutes=31))
    with monkeypatch.context() as patch:
        patch.setattr("apps.metrics.build.HEAVY_REQUESTS", 1)
        report = refresh(T0 + timedelta(minutes=33), limit=timedelta(0))
        assert (report.passes, report.more) == (1, True)
        assert {watermark("users_1h"), watermark("latency_1h")} == {
            T0.replace(minute=0, second=0, microsecond=0) + timedelta(hours=hours) for hours in (0, 1)
        }
        assert refresh(T0 + timedelta(minutes=33)).passes == 6
    kinds = ("users", "sessions", "latency", "ttft", "errors", "tags", "unpriced")
    assert len({watermark(f"{kind}_1h") for kind in kinds}) == 1
    assert _sum("users_1h", "requests") == _sum("sessions_project_1h", "requests") == 30


def test_a_pass_takes_all_marks_of_its_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(12):
        write([span_row(start_us=T0_US + n % 3 * MINUTE_US)])
    monkeypatch.setattr("apps.metrics.refresh.MARKS_A_PASS", 2)
    report = refresh(LATER)
    assert (report.passes, report.marks, marks()) == (2, 12, 0)
    assert _sum("usage_1m", "requests") == 12
