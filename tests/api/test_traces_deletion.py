"""Deleting traces: everything of them goes, every figure is as if they had never been, and nothing brings them back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import time_machine
from django.conf import settings
from django.db import connection
from django.utils import timezone

from apps.ingest.models import DeadLetter
from apps.ingest.redrive import redrive
from apps.metrics.refresh import refresh
from apps.orgs.models import AuditEntry, Project
from apps.traces import deletion, encode, tombstones, wire, writer
from apps.traces.models import Span, SpanContent, SpanMark, Trace
from apps.traces.scores import Score
from apps.traces.scores_writer import write_scores
from apps.traces.writer import write
from tests.support.cells import all_cells, clear_cells
from tests.support.races import codes_of_race
from tests.support.spans import T0, T0_US, span_row

if TYPE_CHECKING:
    from tests.support.world import World

pytestmark = pytest.mark.django_db(transaction=True)
MINUTE = 60_000_000
NOW = T0 + timedelta(hours=2)
DAY = 1440 * MINUTE


@pytest.fixture(autouse=True)
def _at_t0() -> Iterator[None]:
    clear_cells()
    tombstones.forget()
    with time_machine.travel(NOW, tick=False):
        yield
    clear_cells()
    tombstones.forget()


def _rows(project: int, trace: str, user: str | None = None, start: int = 0, **more: Any) -> list[Any]:
    """A root and two calls, on three days."""
    return [
        span_row(
            project_id=project,
            trace_id=trace,
            span_id=f"{trace}-{place}",
            parent_span_id=f"{trace}-0" if place else None,
            start_us=T0_US - start * MINUTE - (2 - place) * DAY,
            user_id=None if place else user,
            session_id=None if place else f"session of {trace}",
            input="hello",
            **more,
        )
        for place in range(3)
    ]


def _delete(world: World, path: str = "", key: str | None = None, **query: str) -> Any:
    text = "&".join(f"{name}={value}" for name, value in query.items())
    return world.send("DELETE", f"/api/v1/traces{path}{'?' + text if text else ''}", key=key)


def _sessions() -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM session x ORDER BY x::text")
        return list(cursor.fetchall())


def _state() -> dict[str, Any]:
    return {**all_cells(), "session": _sessions(), "trace": list(Trace.objects.order_by("trace_id").values_list())}


def _left(trace: str) -> list[int]:
    with connection.cursor() as cursor:
        found = []
        for table in ("span", "span_content", "span_text", "trace", "score", "score_cell", "ingest_deadletter"):
            cursor.execute(f"SELECT count(*) FROM {table} WHERE trace_id = %s", [trace])
            found.append(cursor.fetchone()[0])
    return found


@pytest.mark.parametrize("refreshed", [True, False])
def test_a_deleted_trace_is_as_if_it_had_never_been(world: World, refreshed: bool) -> None:
    project = world.default.pk
    write(_rows(project, "stays", "ann"))
    refresh(NOW + timedelta(hours=1))
    without = _state()
    clear_cells()
    write([*_rows(project, "stays", "ann"), *_rows(project, "goes", "ann", start=7)])
    write_scores([Score(project, "verdict", "quality", "numeric", 1.0, T0, trace_id="goes")])
    DeadLetter.objects.create(project_id=project, source="json", reason="x", message="m", trace_id="goes", payload="{}")
    if refreshed:
        refresh(NOW)
    answer = _delete(world, "/goes")
    assert answer.status_code == 200, answer.content
    assert answer.json()["deleted"] == {"traces": 1, "spans": 3, "scores": 1, "dead_letters": 1, "cells": 0}
    assert world.get("/api/v1/traces/goes").json()["error"]["code"] == 1301
    assert [row["trace_id"] for row in world.get("/api/v1/traces").json()["data"]] == ["stays"]
    refresh(NOW + timedelta(hours=1))
    assert _left("goes") == [0] * 7
    assert _state() == without
    entry = AuditEntry.objects.get(action="trace.delete")
    assert (entry.object_id, (entry.after or {})["spans"], entry.project_id) == ("goes", 3, project)
    assert _delete(world, "/goes").status_code == 404


def test_nothing_brings_it_back(world: World) -> None:
    project = world.default.pk
    spans = _rows(project, "goes")
    write(spans)
    _delete(world, "/goes")
    assert write(spans) == (0, 0, 3), "a sender's retry"
    assert write([*spans, *_rows(project, "other")]) == (3, 0, 3)
    sent = {"trace_id": "goes", "name": "x", "start_time": T0.isoformat(), "duration_ms": 5}
    answer = world.send("POST", "/api/v1/traces", sent, key=world.key)
    assert (answer.status_code, answer.json()["accepted"]) == (200, 1), "a sender is not told that it is deleted"
    refused = {**sent, "start_time": "1970-01-01T00:00:00Z"}
    assert world.send("POST", "/api/v1/traces", refused, key=world.key).json()["accepted"] == 0
    assert _left("goes") == [0, 0, 0, 1 if Trace.objects.filter(trace_id="goes").exists() else 0, 0, 0, 0]
    assert Span.objects.filter(trace_id="goes", project_id=world.web.pk).count() == 0
    write(_rows(world.web.pk, "goes"))
    assert Span.objects.filter(trace_id="goes").count() == 3, "another project's trace of the same id is another one"


def test_nor_does_a_verdict_on_it_come_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    write([*_rows(world.default.pk, "goes"), *_rows(world.default.pk, "stays")])
    verdicts = [{"id": f"on {trace}", "trace_id": trace, "name": "tone", "value": 1} for trace in ("goes", "stays")]
    world.send("POST", "/api/v1/scores", {"scores": verdicts}, key=world.key)
    _delete(world, "/goes")
    again = world.send("POST", "/api/v1/scores", {"scores": verdicts}, key=world.key).json()
    assert [result["status"] for result in again["results"]] == ["updated", "updated"], "a sender is told as before"
    assert [row["trace_id"] for row in world.get("/api/v1/scores").json()["data"]] == ["stays"]
    with monkeypatch.context() as unseen:
        unseen.setattr(tombstones, "buried", lambda *_: set())
        world.send("POST", "/api/v1/scores", verdicts[0], key=world.key)
    assert _left("goes")[4] == 1
    with connection.cursor() as cursor:
        cursor.execute("UPDATE trace_tombstone SET at = at - interval '61 seconds'")
    deletion.sweep()
    _let_everybody_end()
    deletion.sweep()
    assert _left("goes") == [0] * 7


def test_a_dead_letter_that_is_driven_again_stays_dead(world: World) -> None:
    sent = {"trace_id": "goes", "name": "x", "start_time": "1970-01-01T00:00:00Z", "duration_ms": 5}
    world.send("POST", "/api/v1/traces", sent, key=world.key)
    letter = DeadLetter.objects.get()
    payload = letter.payload.replace('"start_ns":0', f'"start_ns":{T0_US * 1000}')
    write(_rows(world.default.pk, "goes"))
    _delete(world, "/goes")
    assert not DeadLetter.objects.exists()
    DeadLetter.objects.create(
        project_id=letter.project_id, source="json", reason="x", message="m", trace_id="goes", payload=payload
    )
    redrive()
    assert not Span.objects.filter(trace_id="goes").exists()


def test_a_user_is_deleted_with_everything_that_bears_the_name(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deletion, "BATCH", 2)
    project = world.default.pk
    write(_rows(project, "b1", "bob") + _rows(world.zenith_project.pk, "z1", "ann"))
    refresh(NOW + timedelta(hours=1))
    without = _state()
    for number in range(5):
        write(_rows(project, f"a{number}", "ann", start=number * 100))
    write(_rows(world.web.pk, "w", "ann"))
    DeadLetter.objects.create(project_id=project, source="json", reason="x", message="m", payload='{"user":"ann"}')
    DeadLetter.objects.create(project_id=project, source="json", reason="x", message="m", payload='{"user":"anna"}')
    refresh(NOW)
    answer = _delete(world, user_id="ann")
    assert answer.status_code == 200, answer.content
    assert answer.json()["complete"] is True
    assert answer.json()["deleted"] | {"cells": 0} == {
        **{"traces": 6, "spans": 18, "scores": 0, "dead_letters": 1, "cells": 0},
    }
    refresh(NOW + timedelta(hours=1))
    assert _state() == without
    assert DeadLetter.objects.count() == 1
    assert AuditEntry.objects.filter(action="user_data.delete", object_id="ann").count() == 1


def test_frozen_cells_lose_the_name_and_keep_their_sums(world: World) -> None:
    Project.objects.filter(pk=world.default.pk).update(raw_retention_days=5)
    project = world.default.pk
    old = 16 * 1440
    write(_rows(project, "old", "ann", start=old) + _rows(project, "other", "bob", start=old))
    refresh(NOW - timedelta(days=15))  # while they were all there
    _delete(world, user_id="ann")
    refresh(NOW)
    users = {row[:3] for name in ("users_1h", "users_1d") for row in all_cells()[name]}
    assert not any("ann" in row for row in all_cells()["users_1h"] + all_cells()["users_1d"])
    assert users, "bob's stay"
    sessions = str(all_cells()["sessions_1h"]) + str(all_cells()["sessions_1d"])
    assert "session of old" not in sessions
    assert "session of other" in sessions
    with connection.cursor() as cursor:
        cursor.execute("SELECT sum(requests) FROM usage_1d")
        assert cursor.fetchone()[0] == 6, "sums that name nobody stay"


def test_what_takes_too_long_is_carried_on_by_the_sweep(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deletion, "BATCH", 1)
    write([row for number in range(3) for row in _rows(world.default.pk, f"a{number}", "ann")])
    monkeypatch.setattr(deletion, "SECONDS", -1.0)
    monkeypatch.setattr(deletion.delete_user, "__kwdefaults__", {"seconds": -1.0})
    answer = _delete(world, user_id="ann")
    assert (answer.status_code, answer.json()["complete"]) == (202, False)
    assert Span.objects.count() == 9
    assert deletion.sweep().complete
    assert Span.objects.count() == 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM user_deletion")
        assert cursor.fetchone()[0] == 0


def _open() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM trace_tombstone WHERE NOT swept")
        return int(cursor.fetchone()[0])


def test_a_writer_that_began_before_cannot_bring_it_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has looked for tombstones, found none, and commits when everything is over."""
    monkeypatch.setattr(tombstones, "GRACE", timedelta(0))
    project = world.default.pk
    write(_rows(project, "goes")[:1])
    items = writer.distinct(_rows(project, "goes")[1:])
    with psycopg.connect(connection.connection.info.dsn, password=_password()) as other:
        encoder = encode.CopyEncoder(other)
        statement = f"{writer._SQL_SPAN}; {writer.marks_sql(writer.mark_ranges(key for key, _ in items))}"
        other.execute("SELECT 1")  # its transaction is under way; nothing is written yet
        assert _delete(world, "/goes").status_code == 200
        wire.run(other, statement, [encoder.spans(items)])
        assert _left("goes")[0] == 0
        for _ in range(3):
            deletion.sweep()
            assert _open() == 1, "as long as it is under way the tombstone is watched"
        other.commit()
    assert _left("goes")[0] == 2, "now they are there"
    refresh(NOW)
    _let_everybody_end()
    deletion.sweep()
    assert _open() == 0
    refresh(NOW + timedelta(hours=1))
    assert _left("goes")[:4] == [0, 0, 0, 0]
    assert all(not rows for name, rows in all_cells().items() if name.startswith("usage"))


def _password() -> str:
    return str(settings.DATABASES["default"]["PASSWORD"])


def _let_everybody_end() -> None:
    """Whoever uses the same server may have a transaction open for long: this horizon is behind them all."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE trace_tombstone SET horizon = '3' WHERE horizon IS NOT NULL")
        assert cursor.rowcount == 1


def test_a_tombstone_is_watched_until_every_writer_knows_of_it(world: World) -> None:
    write(_rows(world.default.pk, "goes"))
    _delete(world, "/goes")
    deletion.sweep()
    assert _open() == 1, "another process may still believe that there are no tombstones"
    with connection.cursor() as cursor:
        cursor.execute("UPDATE trace_tombstone SET at = at - interval '61 seconds'")
    deletion.sweep()
    _let_everybody_end()
    deletion.sweep()
    assert _open() == 0


def test_no_statement_is_made_while_nothing_was_ever_deleted(world: World, django_assert_num_queries: Any) -> None:
    write([span_row(project_id=world.default.pk)])
    items = writer.distinct([span_row(project_id=world.default.pk)])
    with django_assert_num_queries(0):
        assert writer._living(connection, items) is items


def test_writers_and_a_deletion_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tombstones, "GRACE", timedelta(0))
    project = world.default.pk
    write(_rows(project, "goes"))

    def attempt(number: int) -> None:
        if number == 1:
            assert _delete(world, "/goes").status_code == 200
        else:
            write(_rows(project, "goes", content_hash=number))

    assert codes_of_race(attempt, range(5)) == [0] * 5
    deletion.sweep()
    _let_everybody_end()
    deletion.sweep()
    refresh(NOW + timedelta(hours=1))
    assert _left("goes")[:4] == [0, 0, 0, 0]
    assert _open() == 0


@pytest.mark.parametrize("role", ["developer", "viewer"])
def test_only_who_may_delete_does(world: World, role: str) -> None:
    write(_rows(world.default.pk, "goes", "ann"))
    _, key = world.new_key(role=role)
    for answer in (_delete(world, "/goes", key=key), _delete(world, key=key, user_id="ann")):
        assert answer.json()["error"]["code"] == 1100
    assert _delete(world, "/goes", key=world.zenith_key).json()["error"]["code"] == 1301
    assert _delete(world).json()["error"]["code"] == 1201
    assert Span.objects.count() == 3
    assert SpanContent.objects.count() == 3


def test_marks_stand_where_spans_stood(world: World) -> None:
    write(_rows(world.default.pk, "goes"))
    refresh(NOW)
    _delete(world, "/goes")
    assert {mark.lo for mark in SpanMark.objects.all()} == {
        (T0 - timedelta(days=days)).replace(second=0, microsecond=0) for days in range(3)
    }
    assert timezone.now() == NOW
