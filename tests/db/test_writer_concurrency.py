"""The writer among others: the same keys at once, lost connections, a server that cannot take anything."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg
import pytest
from django.db import connection, connections
from psycopg import errors

from apps.traces import tombstones, wire, writer
from apps.traces.columns import SpanRow
from apps.traces.models import Span, SpanMark
from tests.support.spans import T0_US, span_row

pytestmark = pytest.mark.usefixtures("committed_spans")


def _together(*works: Callable[[], object]) -> list[BaseException]:
    """Run in threads that start at the same moment; what they raised."""
    barrier, raised = threading.Barrier(len(works)), []

    def run(work: Callable[[], object]) -> None:
        try:
            barrier.wait()
            work()
        except BaseException as error:  # noqa: BLE001 - handed to the test
            raised.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return raised


def _rows(rank: int, count: int = 200) -> list[SpanRow]:
    return [
        span_row(trace_id=f"t{n % 7}", span_id=f"s{n}", start_us=T0_US + n, duration_us=rank, name=f"r{rank}")
        for n in range(count)
    ]


def test_writers_of_the_same_keys_in_opposite_order_all_succeed() -> None:
    batches = [_rows(rank) for rank in range(1, 7)]
    works = [partial(writer.write, rows[:: (-1) ** n]) for n, rows in enumerate(batches)]
    assert _together(*works) == []
    assert set(Span.objects.values_list("name", flat=True)) == {"r6"}
    assert Span.objects.count() == 200


def test_a_deadlock_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches that are not sorted do deadlock; the writer that is chosen to die tries again."""
    monkeypatch.setattr(writer, "distinct", lambda rows: [(row.identity, row) for row in rows])
    for turn in range(10):
        forth = [span_row(trace_id=f"{turn}-{n}", span_id="s", duration_us=1) for n in range(3000)]
        back = [span_row(trace_id=f"{turn}-{n}", span_id="s", duration_us=2) for n in reversed(range(3000))]
        assert _together(partial(writer.write, forth), partial(writer.write, back)) == []
    assert set(Span.objects.values_list("duration_us", flat=True)) == {2}


def test_endless_deadlock_is_reported_as_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def deadlock(*_: object) -> None:
        calls.append(1)
        raise errors.DeadlockDetected

    monkeypatch.setattr(wire, "run", deadlock)
    with pytest.raises(writer.WriteUnavailable):
        writer.write([span_row()])
    assert len(calls) == writer.ATTEMPTS


def test_a_wait_for_a_lock_that_was_given_up_is_not_begun_again(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def locked(*_: object) -> None:
        calls.append(1)
        raise errors.LockNotAvailable

    monkeypatch.setattr(wire, "run", locked)
    with pytest.raises(writer.WriteUnavailable):
        writer.write([span_row()])
    assert len(calls) == 1


def _other() -> psycopg.Connection[Any]:
    settings = connection.settings_dict
    return psycopg.connect(
        host=settings["HOST"],
        port=settings["PORT"],
        user=settings["USER"],
        password=settings["PASSWORD"],
        dbname=settings["NAME"],
        autocommit=True,
    )


def test_rows_and_marks_are_committed_on_return() -> None:
    writer.write([span_row()])
    with _other() as other:
        counts = other.execute("SELECT (SELECT count(*) FROM span), (SELECT count(*) FROM span_mark)").fetchone()
    assert counts == (1, 1)


@pytest.mark.parametrize("remembered", [True, False])
def test_a_connection_that_died_meanwhile_is_replaced(remembered: bool) -> None:
    tombstones.standing(connection)
    if not remembered:
        tombstones.forget()  # the first statement is then the question for tombstones
    connection.ensure_connection()
    assert connection.connection is not None
    with _other() as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.connection.info.backend_pid])
    assert writer.write([span_row()]) == (1, 0, 0)
    assert Span.objects.count() == 1


def test_a_server_that_is_not_there_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    connection.close()
    with monkeypatch.context() as patch:
        patch.setitem(connection.settings_dict, "PORT", "1")
        with pytest.raises(writer.WriteUnavailable) as caught:
            writer.write([span_row()])
    assert caught.value.retry_after > 0
    assert writer.write([span_row()]) == (1, 0, 0)


def test_a_read_only_server_is_unavailable() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
    with pytest.raises(writer.WriteUnavailable):
        writer.write([span_row()])
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = off")
    assert not Span.objects.exists()
    assert writer.write([span_row()]) == (1, 0, 0)


def test_a_statement_cut_off_by_the_time_limit_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with _other() as other, other.transaction():
        other.execute("LOCK TABLE span IN ACCESS EXCLUSIVE MODE")
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = '200ms'")
        with pytest.raises(writer.WriteUnavailable):
            writer.write([span_row()])
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
    assert not Span.objects.exists()
    assert not SpanMark.objects.exists()


def test_two_writers_that_miss_the_same_partition_both_get_it() -> None:
    start = T0_US + 4100 * 86_400_000_000
    works = [partial(writer.write, [span_row(start_us=start, output="o")]) for _ in range(4)]
    assert _together(*works) == []
    assert Span.objects.count() == 4
