"""What a request leaves in the logs, and what it does not."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import include, path

from apps.common.errors import ApiError
from apps.common.http import open_to_all
from apps.common.observe.accounting import Accountant
from apps.common.observe.logs import JsonFormatter, PlainFormatter, told
from tests.support.world import World

SECRET = "sk-very-secret-0123456789"


@open_to_all
def broken(request: HttpRequest, ident: str) -> HttpResponse:
    raise RuntimeError(f"no way with {ident[:2]}")


@open_to_all
def refused_by_the_database(request: HttpRequest) -> HttpResponse:
    quoted = (
        'duplicate key value violates unique constraint "u"\nDETAIL:  Key (email)=(ada@acme.example) already exists.\n'
    )
    raise IntegrityError(quoted)


@open_to_all
def unavailable(request: HttpRequest) -> HttpResponse:
    raise ApiError(1902, "Not now.")


class Escapes:
    """A bug outside every view."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if "escape" in request.path:
            raise RuntimeError("in a middleware")
        answer: HttpResponse = self.get_response(request)
        return answer


urlpatterns = [
    path("", include("analytics_hub.urls")),
    path("broken/<str:ident>", broken),
    path("database", refused_by_the_database),
    path("unavailable", unavailable),
]
handler500 = "apps.common.edge.handlers.server_error"
pytestmark = [pytest.mark.urls(__name__)]


class Lines:
    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.handler = logging.StreamHandler(self.stream)
        self.handler.setFormatter(JsonFormatter())

    @property
    def all(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    def of(self, logger: str) -> dict[str, Any]:
        found = [line for line in self.all if line["logger"] == logger]
        assert len(found) == 1, self.all
        return found[0]


@pytest.fixture
def lines() -> Iterator[Lines]:
    made = Lines()
    logging.getLogger().addHandler(made.handler)
    yield made
    logging.getLogger().removeHandler(made.handler)


@pytest.fixture
def web() -> Client:
    return Client(raise_request_exception=False)


@pytest.fixture
def everything(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Accountant.__init__

    def init(self: Accountant) -> None:
        made(self)
        self._choice = "all"

    monkeypatch.setattr(Accountant, "__init__", init)


def test_a_bug_is_logged_once_with_its_traceback_and_nothing_leaks(lines: Lines, web: Client) -> None:
    answer = web.get(f"/broken/{SECRET}?key={SECRET}", headers={"X-Request-ID": "abc-123"})
    assert answer.status_code == 500
    assert b"no way" not in answer.content and b"RuntimeError" not in answer.content
    line = lines.of("apps.common.edge.exceptions")
    assert (line["level"], line["request_id"]) == ("ERROR", "abc-123")
    assert line["message"] == "GET /broken/<str:ident> failed with 1900 RuntimeError"
    assert "in broken\n" in line["traceback"] and line["traceback"].endswith("RuntimeError: no way with sk")
    assert lines.of("hub.access")["status"] == 500
    assert len(lines.all) == 2
    assert SECRET not in lines.stream.getvalue()


def test_a_bug_outside_every_view(lines: Lines, web: Client, settings: Any) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "tests.api.test_logs.Escapes"]
    answer = web.get(f"/escape/{SECRET}", headers={"X-Request-ID": "abc-123"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, 1900)
    line = lines.of("django.request")
    assert line["request_id"] == "abc-123"
    assert line["traceback"].endswith("RuntimeError: in a middleware")
    assert SECRET not in lines.stream.getvalue()


def test_a_row_that_the_database_quotes_stays_out(lines: Lines, web: Client) -> None:
    assert web.get("/database").status_code == 503
    assert "unique constraint" in lines.of("apps.common.edge.exceptions")["traceback"]
    assert "ada@acme" not in lines.stream.getvalue()


def test_what_is_told_of_a_database_error() -> None:
    text = (
        "psycopg.errors.X: bad\nLINE 1: SELECT 'secret'\n               ^\nCONTEXT:  COPY span, line 1: \"secret\"\nend"
    )
    assert told(text) == "psycopg.errors.X: bad\nend"
    # As Celery tells of a task that failed.
    inside = told(f"raised {ValueError(text)!r}: x")
    assert "secret" not in inside
    assert inside.startswith("raised ValueError('psycopg.errors.X: bad") and inside.endswith("end'): x")


def test_a_request_says_who_asked_for_whom(lines: Lines, world: World, everything: None) -> None:
    answer = Client().get("/api/v1/metrics/catalog", headers={"Authorization": f"Bearer {world.wide_key}"})
    assert answer.status_code == 200
    line = lines.of("hub.access")
    assert line["organization"] == "acme"
    assert line["user"]
    assert line["process"] == "command"
    assert line["time"].endswith("Z")
    assert (line["method"], line["route"], line["status"]) == ("GET", "/api/v1/metrics/catalog", 200)
    assert line["bytes"] == len(answer.content) and line["ms"] > 0
    assert world.wide_key not in lines.stream.getvalue()


def test_a_page_says_who_was_signed_in(lines: Lines, world: World, everything: None) -> None:
    web = Client()
    assert web.get("/account").status_code == 302
    assert lines.of("hub.access")["user"] == ""
    web.force_login(world.ada)
    assert web.get("/account").status_code == 200
    assert lines.all[-1]["user"] == "ada@acme.example"


def test_quick_requests_leave_no_line(lines: Lines, web: Client) -> None:
    assert web.get("/health").status_code == 200
    assert web.get(f"/{SECRET}").status_code == 404
    assert lines.all == []


@pytest.mark.parametrize(("path", "route"), [("/nowhere/at/all", "(unknown)"), ("/health", "/health")])
def test_all_requests_where_that_is_asked_for(
    lines: Lines, web: Client, everything: None, path: str, route: str
) -> None:
    web.get(path)
    line = lines.of("hub.access")
    assert (line["route"], line["user"], line["level"]) == (route, "", "INFO")


def test_an_answer_with_5xx_is_a_warning(lines: Lines, web: Client) -> None:
    assert web.get("/unavailable").status_code == 503
    assert lines.of("hub.access")["level"] == "WARNING"
    assert "traceback" not in lines.of("apps.common.edge.exceptions")


def test_every_line_stays_one_line() -> None:
    record = logging.LogRecord("x", logging.INFO, __file__, 1, "two\nlines %s", ("é\u2028",), None)
    record.request = object()
    text = JsonFormatter().format(record)
    assert "\n" not in text
    assert json.loads(text)["message"] == "two\nlines é\u2028"
    assert set(json.loads(text)) == {
        *("time", "level", "logger", "message", "request_id", "user", "organization", "process", "pid")
    }


def test_plain_lines_name_the_request(web: Client) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(PlainFormatter())
    logging.getLogger("apps.common.edge.exceptions").addHandler(handler)
    try:
        web.get("/unavailable", headers={"X-Request-ID": "abc-123"})
    finally:
        logging.getLogger("apps.common.edge.exceptions").removeHandler(handler)
    assert stream.getvalue().splitlines()[0].endswith("GET /unavailable failed with 1902 ApiError (abc-123)")
