"""Headers that every answer has, plain HTTP, and pages of other origins."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from apps.common.edge.address import parse_networks
from tests.support.world import World

pytestmark = pytest.mark.django_db


def client(settings: Any, **hub: Any) -> Client:
    settings.HUB = settings.HUB.model_copy(update=hub)
    settings.SECURE_SSL_REDIRECT = settings.HUB.only_https
    settings.SECURE_HSTS_SECONDS = settings.HUB.hsts_seconds if settings.HUB.only_https else 0
    return Client(raise_request_exception=False)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/health", 200),
        ("/nowhere", 404),
        ("/api/v1/metrics", 401),
        ("/v1/traces", 405),
        ("/docs/errors/", 200),
        ("/api/docs/", 200),
        ("/api/schema/", 200),
        ("/metrics", 200),
        ("/static/nothing.css", 404),
    ],
)
def test_the_headers_of_every_answer(path: str, status: int) -> None:
    answer = Client(raise_request_exception=False).get(path)
    assert answer.status_code == status
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer["X-Frame-Options"] == "DENY"
    assert "camera=()" in answer["Permissions-Policy"]
    assert "Strict-Transport-Security" not in answer
    policy = answer["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    if not answer["Content-Type"].startswith("text/html"):
        assert policy == "default-src 'none'; frame-ancestors 'none'"


def test_the_headers_of_a_refusal(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["hub.example"]
    answer = Client().get("/api/v1/metrics", headers={"Host": "evil.example"})
    assert answer.status_code == 400
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "frame-ancestors 'none'" in answer["Content-Security-Policy"]


def test_reads_without_credentials_are_redirected(settings: Any) -> None:
    web = client(settings, https_only=True)
    answer = web.get("/docs/errors/?a=b")
    assert (answer.status_code, answer["Location"]) == (301, "https://testserver/docs/errors/?a=b")


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete", "options"])
def test_what_a_redirect_would_lose_is_refused(settings: Any, method: str) -> None:
    answer = getattr(client(settings, https_only=True), method)("/api/v1/traces")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, 1200)
    assert "HTTPS" in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/v1/traces", "/v1/logs", "/api/public/otel/v1/traces"])
def test_a_refusal_before_the_view_speaks_the_protocol_of_the_path(settings: Any, path: str) -> None:
    web = client(settings, https_only=True)
    as_json = web.post(path, b"{}", content_type="application/json")
    assert (as_json.status_code, as_json.json()["code"]) == (400, 3)
    assert "HTTPS" in as_json.json()["message"]
    packed = web.post(path, b"x", content_type="application/x-protobuf")
    assert (packed.status_code, packed["Content-Type"]) == (400, "application/x-protobuf")
    settings.ALLOWED_HOSTS = ["hub.example"]
    foreign = client(settings, https_only=False).post(path, b"{}", content_type="application/json")
    assert (foreign.status_code, set(foreign.json())) == (400, {"code", "message"})


@pytest.mark.parametrize("header", ["Authorization", "X-API-Key"])
def test_credentials_in_the_clear_are_refused(settings: Any, world: World, header: str) -> None:
    web = client(settings, https_only=True)
    value = world.wide_key if header == "X-API-Key" else f"Bearer {world.wide_key}"
    assert web.get("/api/v1/metrics/catalog", headers={header: value}).status_code == 400
    assert web.get("/api/v1/metrics/catalog", headers={header: value}, secure=True).status_code == 200


@pytest.mark.parametrize(("path", "status"), [("/health", 200), ("/ready", 200), ("/metrics", 200)])
def test_probes_may_come_in_the_clear(settings: Any, path: str, status: int) -> None:
    assert client(settings, https_only=True).get(path).status_code == status


def test_tls_at_a_trusted_proxy_counts(settings: Any, world: World) -> None:
    web = client(settings, https_only=True)
    headers = {"X-API-Key": world.wide_key, "X-Forwarded-Proto": "https"}
    assert web.get("/api/v1/metrics/catalog", headers=headers).status_code == 400
    settings.TRUSTED_PROXIES = parse_networks("127.0.0.1")
    answer = web.get("/api/v1/metrics/catalog", headers=headers)
    assert answer.status_code == 200
    assert answer["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"


@pytest.fixture
def cors(settings: Any) -> Client:
    """As settings.py makes it of CORS_ORIGINS=https://app.example,http://localhost:3000."""
    settings.MIDDLEWARE = [settings.MIDDLEWARE[0], "corsheaders.middleware.CorsMiddleware", *settings.MIDDLEWARE[1:]]
    settings.CORS_ALLOWED_ORIGINS = ["https://app.example", "http://localhost:3000"]
    settings.CORS_ALLOW_CREDENTIALS = True
    return Client(raise_request_exception=False)


def preflight(web: Client, origin: str, path: str = "/api/v1/metrics") -> Any:
    asked = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "x-organization"}
    return web.options(path, headers={"Origin": origin, **asked})


def test_no_origin_is_allowed_by_default() -> None:
    web = Client(raise_request_exception=False)
    assert "Access-Control-Allow-Origin" not in web.get("/api/v1/metrics", headers={"Origin": "https://app.example"})
    assert preflight(web, "https://app.example").status_code in (401, 405)


@pytest.mark.parametrize("origin", ["https://app.example", "http://localhost:3000"])
def test_a_preflight_needs_neither_credentials_nor_tokens(cors: Client, origin: str) -> None:
    answer = preflight(cors, origin)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer["Access-Control-Allow-Origin"] == origin
    assert answer["Access-Control-Allow-Credentials"] == "true"
    allowed = {name.strip() for name in answer["Access-Control-Allow-Headers"].split(",")}
    assert allowed >= {
        *("authorization", "x-api-key", "x-organization", "x-project", "x-request-id", "if-none-match", "content-type")
    }
    assert "DELETE" in answer["Access-Control-Allow-Methods"]
    assert not [name for name in answer.headers if name.lower().startswith("x-ratelimit")]
    assert "origin" in answer["Vary"].lower()


@pytest.mark.parametrize("origin", ["https://app.example.evil", "http://app.example", "https://localhost:3000", "null"])
def test_another_origin_learns_nothing(cors: Client, world: World, origin: str) -> None:
    assert "Access-Control-Allow-Origin" not in preflight(cors, origin)
    answer = cors.get("/api/v1/metrics/catalog", headers={"Origin": origin, "X-API-Key": world.wide_key})
    assert "Access-Control-Allow-Origin" not in answer
    assert "origin" in answer["Vary"].lower()


@pytest.mark.parametrize("valid", [True, False])
def test_answers_and_errors_can_be_read_by_an_allowed_origin(cors: Client, world: World, valid: bool) -> None:
    headers = {"Origin": "https://app.example", "X-API-Key": world.wide_key if valid else "ah_wrong"}
    answer = cors.get("/api/v1/metrics/catalog", headers=headers)
    assert answer.status_code == (200 if valid else 401)
    assert answer["Access-Control-Allow-Origin"] == "https://app.example"
    exposed = {name.strip() for name in answer["Access-Control-Expose-Headers"].split(",")}
    assert exposed >= {
        *("X-Request-ID", "ETag", "Last-Modified", "Retry-After", "X-Served-From-Cache"),
        *("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"),
    }


def test_pages_are_not_for_other_origins(cors: Client) -> None:
    assert "Access-Control-Allow-Origin" not in cors.get("/login", headers={"Origin": "https://app.example"})


def test_all_origins_come_without_cookies(cors: Client, settings: Any) -> None:
    settings.CORS_ALLOW_ALL_ORIGINS, settings.CORS_ALLOW_CREDENTIALS = True, False
    answer = preflight(cors, "https://anybody.example")
    assert answer["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in answer
