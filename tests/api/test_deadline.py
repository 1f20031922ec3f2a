"""A request ends in time, and its statement in the database with it."""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import psycopg
import pytest
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path

from analytics_hub import settings as hub_settings
from apps.common.edge import deadline
from apps.common.errors import ApiError
from apps.common.http import open_to_all
from apps.common.reads.snapshot import snapshot
from apps.orgs.views import Question, ReadView

if TYPE_CHECKING:
    from tests.support.world import World

pytestmark = pytest.mark.django_db(transaction=True)


class Sleepy(ReadView):
    area, ttl, required_permission = "metrics", "cache_ttl_metrics", "metrics:read"

    def question(self, request: Any, **_: Any) -> Question:
        return Question((), self._compute, ("data",))

    @staticmethod
    def _compute() -> Mapping[str, Any]:
        with snapshot() as cursor:
            for seconds in (0.6, 60):
                cursor.execute("SELECT pg_sleep(%s)", [seconds])
        return {"data": []}


@open_to_all
def through_django(request: HttpRequest) -> HttpResponse:
    """Several statements, each in time, that together are not."""
    with connection.cursor() as cursor:
        for _ in range(20):
            cursor.execute("SELECT pg_sleep(0.2)")
    return HttpResponse()


urlpatterns = [path("sleepy", Sleepy.as_view()), path("django", through_django)]


@pytest.fixture
def one_second(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    monkeypatch.setattr(settings.HUB, "request_timeout_seconds", 1)
    settings.ROOT_URLCONF = __name__


def sleeping() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'"
            " AND query LIKE '%%pg_sleep%%' AND pid <> pg_backend_pid()"
        )
        return [query for (query,) in cursor.fetchall()]


@pytest.mark.usefixtures("one_second")
def test_a_question_ends_with_its_request_and_its_statement_with_it(world: World) -> None:
    answers: list[Any] = []

    def ask() -> None:
        try:
            answers.append(world.get("/sleepy"))
        finally:
            connection.close()

    thread = threading.Thread(target=ask)
    thread.start()
    end = time.monotonic() + 20
    while not sleeping() and time.monotonic() < end:
        time.sleep(0.01)
    assert sleeping(), "it runs"
    thread.join(30)
    answer = answers[0]
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, 1800)
    assert sleeping() == []


@pytest.mark.usefixtures("one_second", "db")
def test_no_statement_begins_after_the_end(world: World) -> None:
    answer = world.client.get("/django")
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, 1800)


@pytest.mark.usefixtures("db")
def test_each_statement_gets_what_remains(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = [1000.0]
    monkeypatch.setattr(deadline.time, "monotonic", lambda: moment[0])  # type: ignore[attr-defined]

    def limit(cursor: psycopg.Cursor[Any]) -> str:
        return str((cursor.execute("SHOW statement_timeout").fetchone() or ("",))[0])

    token = deadline.start()
    try:
        with snapshot() as cursor:
            assert limit(cursor) == "30s"
            moment[0] += 0.4
            assert limit(cursor) == "30s"  # not worth a round trip
            moment[0] += 9.6
            assert limit(cursor) == "20s"
            moment[0] += 30
            with pytest.raises(ApiError) as caught:
                limit(cursor)
        assert caught.value.entry.code == 1800
    finally:
        deadline.end(token)


def test_outside_of_a_request_there_is_the_whole_time() -> None:
    assert deadline.remaining() == settings.HUB.request_timeout_seconds


@pytest.mark.usefixtures("db")
def test_the_limits_of_a_web_process_are_ones_that_postgresql_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert hub_settings.web_limits(30) == []  # this is no web process
    monkeypatch.setattr(hub_settings, "PROCESS", "web")
    monkeypatch.setattr(hub_settings.HUB, "request_timeout_seconds", 30)
    options = hub_settings._database_options("options=-c%20work_mem%3D8MB&sslmode=prefer")["options"]
    values = connection.get_connection_params()
    wanted = {key: values[key] for key in ("host", "port", "user", "password", "dbname") if values.get(key)}
    with psycopg.connect(**wanted, options=options) as session:
        names = ("jit", "statement_timeout", "lock_timeout", "work_mem")
        shown = [(session.execute(f"SHOW {name}".encode()).fetchone() or ("",))[0] for name in names]
    assert shown == ["off", "30s", "10s", "8MB"]


@contextmanager
def locked(table: str) -> Iterator[None]:
    values = connection.get_connection_params()
    wanted = {key: values[key] for key in ("host", "port", "user", "password", "dbname") if values.get(key)}
    with psycopg.connect(**wanted) as session:
        session.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
        yield


def fetch(url: str, key: str) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return answer.status, orjson.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, orjson.loads(error.read())


@pytest.mark.processes
def test_a_wait_for_a_lock_is_told_from_a_long_statement(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.clients.hub import running_hub

    monkeypatch.setenv("REQUEST_TIMEOUT_SECONDS", "3")
    with running_hub(connection.settings_dict, tmp_path / "web.log") as address:
        url = f"{address}/api/v1/metrics?metrics=request_count"
        with locked("orgs_apikey"):  # Django's statement waits
            assert code_of(fetch(url, world.key)) == (503, 1602)
        assert fetch(url, world.key)[0] == 200
        with locked("data_version"):
            assert code_of(fetch(url, world.key)) == (503, 1602)
        with locked("span_mark"):  # the question's own statement waits
            assert code_of(fetch(url, world.key)) == (503, 1602)


def code_of(answer: tuple[int, dict[str, Any]]) -> tuple[int, int]:
    return answer[0], answer[1]["error"]["code"]
