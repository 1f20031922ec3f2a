"""Every error has the envelope, the right code, and nothing of our insides."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import django.core.exceptions as django
import psycopg
import pytest
from django.core.handlers.wsgi import WSGIRequest
from django.db import Error as DatabaseError
from django.db import IntegrityError, InterfaceError, OperationalError, connection, transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.test import Client, RequestFactory, override_settings
from django.urls import path
from psycopg_pool import PoolTimeout
from redis.exceptions import ConnectionError as RedisConnectionError
from rest_framework import exceptions as drf
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.common.edge.exceptions import exception_handler, translate
from apps.common.errors import CATALOGUE, ApiError
from apps.common.http import methods
from apps.common.parameters import check_parameters
from apps.common.parsers import JsonParser
from apps.common.renderers import JsonRenderer, LenientNegotiation

SECRET = "host=db.internal SELECT secret_column FROM hidden_table"


class Item(serializers.Serializer[Any]):
    start = serializers.DateTimeField()
    limit = serializers.IntegerField(min_value=1, max_value=10)


class Body(serializers.Serializer[Any]):
    name = serializers.CharField()
    mode = serializers.ChoiceField(["a", "b"], required=False)
    items = Item(many=True, required=False)


class Echo(APIView):
    authentication_classes = []
    permission_classes = [AllowAny]
    renderer_classes = [JsonRenderer]
    parser_classes = [JsonParser]
    content_negotiation_class = LenientNegotiation

    def get_exception_handler(self) -> Callable[..., HttpResponse]:
        return exception_handler

    def get(self, request: Request) -> Response:
        check_parameters(request, {"limit", "start_time"})
        return Response({"seen": request.query_params})

    def post(self, request: Request) -> Response:
        body = Body(data=request.data)
        body.is_valid(raise_exception=True)
        return Response(body.validated_data)


class Own(Echo):
    parser_classes = []

    def post(self, request: Request) -> Response:
        return Response({"length": request.META["CONTENT_LENGTH"], "body": request.META["wsgi.input"].read().decode()})


class Broken(Echo):
    def get(self, request: Request) -> Response:
        raise RuntimeError(SECRET)


def plain_broken(request: HttpRequest) -> HttpResponse:
    raise RuntimeError(SECRET)


@methods("GET")
def plain(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


urlpatterns = [
    path("echo", Echo.as_view()),
    path("own", Own.as_view()),
    path("broken", Broken.as_view()),
    path("plain-broken", plain_broken),
    path("plain", plain),
]
handler400 = "apps.common.edge.handlers.bad_request"
handler404 = "apps.common.edge.handlers.not_found"
handler500 = "apps.common.edge.handlers.server_error"


@pytest.fixture(autouse=True)
def _routes() -> Any:
    with override_settings(ROOT_URLCONF=__name__):
        yield


@pytest.fixture
def web() -> Client:
    return Client(raise_request_exception=False)


def error_of(answer: Any, status: int, code: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/json"
    body = answer.json()
    assert set(body) == {"error", "meta"}
    entry = CATALOGUE[code]
    error: dict[str, Any] = body["error"]
    assert set(error) == {"code", "error_code", "category", "message", "details", "field"}
    assert (error["code"], error["error_code"], error["category"]) == (code, entry.name, entry.category)
    meta = body["meta"]
    assert meta["request_id"] == answer["X-Request-ID"]
    assert meta["documentation_url"] == f"/docs/errors/{code}"
    assert meta["timestamp"].endswith("Z")
    assert abs((datetime.now(UTC) - datetime.fromisoformat(meta["timestamp"])).total_seconds()) < 60
    text = answer.content.decode()
    assert not any(word in text for word in ("Traceback", "RuntimeError", "hidden_table", "db.internal", "SELECT"))
    return error


def post(web: Client, body: bytes | str, content_type: str = "application/json") -> Any:
    return web.post("/echo", body, content_type=content_type)


def test_an_unknown_path(web: Client) -> None:
    error_of(web.get("/nowhere"), 404, 1300)


@pytest.mark.parametrize(("where", "allowed"), [("/echo", "GET, POST, HEAD, OPTIONS"), ("/plain", "GET")])
def test_a_method_not_offered(web: Client, where: str, allowed: str) -> None:
    answer = web.delete(where)
    error_of(answer, 405, 1200)
    assert answer["Allow"] == allowed


def test_a_content_type_not_read(web: Client) -> None:
    error_of(post(web, "<a/>", "text/xml"), 415, 1200)


@pytest.mark.parametrize("body", ["{", "", "[1,", "{'a': 1}", '{"a": NaN}', '"\\ud800"', "[" * 100_000, b"\xff\xfe"])
def test_a_body_that_is_no_json(web: Client, body: str | bytes) -> None:
    answer = post(web, body)
    error_of(answer, 400, 1200 if body else 1201)


def test_a_body_that_is_too_large(web: Client, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    error_of(post(web, b'{"name": "' + b"x" * 200 + b'"}'), 413, 1205)


def test_one_bad_field_is_named(web: Client) -> None:
    assert error_of(post(web, "{}"), 400, 1201)["field"] == "name"
    assert error_of(post(web, '{"name": "x", "mode": "z"}'), 400, 1202)["field"] == "mode"
    late = error_of(post(web, '{"name": "x", "items": [{"start": "soon", "limit": 1}]}'), 400, 1203)
    assert late["field"] == "items[0].start"


def test_several_bad_fields_are_listed(web: Client) -> None:
    error = error_of(post(web, '{"mode": "z", "items": [{"start": "2026-11-05T00:00:00Z", "limit": 11}]}'), 400, 1202)
    assert error["field"] is None
    assert {row["field"] for row in error["details"]} == {"name", "mode", "items[0].limit"}
    assert all(row["message"] for row in error["details"])


def test_an_unknown_parameter_names_the_nearest_known_one(web: Client) -> None:
    error = error_of(web.get("/echo", {"limt": "5"}), 400, 1202)
    assert error["field"] == "limt"
    assert "limit" in error["message"]
    assert error["details"] == {"known": ["limit", "start_time"]}
    assert web.get("/echo", {"limit": "5"}).status_code == 200


@pytest.mark.parametrize("where", ["/broken", "/plain-broken"])
def test_a_bug_says_nothing_and_is_logged(web: Client, where: str, caplog: pytest.LogCaptureFixture) -> None:
    answer = web.get(where, headers={"X-Request-ID": "abc-123"})
    error_of(answer, 500, 1900)
    record = next(record for record in caplog.records if record.name == "apps.common.edge.exceptions")
    assert "failed with 1900" in record.getMessage()
    assert record.exc_info is not None


def test_an_accept_header_that_we_cannot_serve_is_answered_in_json(web: Client) -> None:
    answer = web.get("/echo", headers={"Accept": "text/html"})
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")


@pytest.mark.parametrize("offered", ["abc", "3f2504e0-4f89-11d3-9a0c-0305e82c3301", "a:b.c_d-e", "x" * 128])
def test_a_well_formed_request_id_is_kept(web: Client, offered: str) -> None:
    assert web.get("/plain", headers={"X-Request-ID": offered})["X-Request-ID"] == offered


@pytest.mark.parametrize("offered", ["", "x" * 129, "a b", "a\tb", "-a", "é", '"', "<script>"])
def test_another_request_id_is_replaced(web: Client, offered: str) -> None:
    made = web.get("/nowhere", headers={"X-Request-ID": offered})["X-Request-ID"]
    assert made.startswith("req_")
    assert made != web.get("/nowhere", headers={"X-Request-ID": offered})["X-Request-ID"]


def test_a_host_that_is_not_ours(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["hub.example"]
    web = Client(raise_request_exception=False)
    error_of(web.get("/plain", headers={"Host": "evil.example"}), 400, 1200)
    error_of(web.get("/plain", headers={"Host": "a b"}), 400, 1200)
    assert web.get("/plain", headers={"Host": "hub.example"}).status_code == 200


def test_a_chunked_body_is_read(web: Client) -> None:
    chunked: dict[str, Any] = {"HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ""}
    chunked["wsgi.input"] = io.BytesIO(b'{"name": "x"}')
    assert web.post("/echo", b"-", content_type="application/json", **chunked).json() == {"name": "x"}
    chunked["wsgi.input"] = io.BytesIO(b"raw")
    assert web.post("/own", b"-", content_type="text/plain", **chunked).json() == {"length": "", "body": "raw"}


class _WithState(psycopg.Error):
    def __init__(self, state: str) -> None:
        super().__init__(SECRET)
        self.sqlstate = state


def wrapped(outer: type[DatabaseError], cause: Exception) -> Exception:
    error = outer(SECRET)
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (wrapped(OperationalError, psycopg.errors.QueryCanceled()), 1800, 504),
        (wrapped(OperationalError, psycopg.errors.LockNotAvailable()), 1602, 503),
        (wrapped(OperationalError, PoolTimeout()), 1602, 503),
        (wrapped(OperationalError, psycopg.OperationalError("no route to db.internal")), 1601, 503),
        (wrapped(InterfaceError, psycopg.InterfaceError("the connection is closed")), 1601, 503),
        (wrapped(OperationalError, psycopg.errors.AdminShutdown()), 1601, 503),
        (wrapped(OperationalError, psycopg.errors.TooManyConnections()), 1601, 503),
        (wrapped(OperationalError, psycopg.errors.DeadlockDetected()), 1402, 409),
        (wrapped(IntegrityError, psycopg.errors.UniqueViolation()), 1603, 503),
        (wrapped(DatabaseError, psycopg.errors.UndefinedTable()), 1600, 503),
        (_WithState("42P01"), 1600, 503),
        (_WithState("57014"), 1800, 504),
        (RedisConnectionError(SECRET), 1701, 503),
        (Http404(SECRET), 1300, 404),
        (django.ObjectDoesNotExist(SECRET), 1300, 404),
        (django.PermissionDenied(SECRET), 1102, 403),
        (django.SuspiciousOperation(SECRET), 1200, 400),
        (django.RequestDataTooBig(SECRET), 1205, 413),
        (django.ValidationError({"slug": "taken"}), 1202, 400),
        (drf.NotAuthenticated(), 1000, 401),
        (drf.AuthenticationFailed(SECRET), 1001, 401),
        (drf.Throttled(wait=7), 1500, 429),
        (drf.APIException(SECRET), 1900, 500),
        (KeyError(SECRET), 1900, 500),
        (ApiError(1204, "reversed"), 1204, 400),
    ],
)
def test_what_an_exception_becomes(error: Exception, code: int, status: int) -> None:
    known = translate(error)
    assert (known.entry.code, known.status) == (code, status)
    assert SECRET not in known.message
    assert "db.internal" not in known.message
    assert known.status != 503 or code in (1600, 1603, 1701) or "Retry-After" in known.headers


@pytest.mark.django_db(transaction=True)
def test_a_statement_cut_off_by_the_time_limit(rf: RequestFactory) -> None:
    with pytest.raises(OperationalError) as caught, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 20")
        cursor.execute("SELECT pg_sleep(5)")
    assert translate(caught.value).entry.code == 1800
    with pytest.raises(OperationalError) as locked, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("LOCK TABLE orgs_user")
        other = connection.copy()
        try:
            with other.cursor() as second:
                second.execute("SET lock_timeout = 20")
                second.execute("SELECT count(*) FROM orgs_user")
        finally:
            other.close()
    assert translate(locked.value).entry.code == 1602


def test_the_handler_needs_no_middleware() -> None:
    request = RequestFactory().get("/")
    answer = exception_handler(Http404(), {"request": request, "view": None})
    assert isinstance(request, WSGIRequest)
    assert answer.status_code == 404
