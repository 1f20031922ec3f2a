"""The OpenAPI document, Swagger UI, and the pages of the error codes."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import get_resolver

from apps.common.errors import CATALOGUE, CATEGORY_ADVICE
from apps.console import urls as console


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    document: dict[str, Any] = Client().get("/api/schema/", headers={"Accept": "application/json"}).json()
    return document


def operations(schema: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, entry) for path, item in schema["paths"].items() for method, entry in item.items()]


def test_the_document_is_valid_and_complete(tmp_path: Any) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yaml"))


def test_the_document_is_openapi_3_1(schema: dict[str, Any]) -> None:
    assert schema["openapi"].startswith("3.1")
    assert {"/health", "/ready", "/v1/traces", "/api/v1/metrics"} <= set(schema["paths"])
    assert Client().get("/api/schema/", headers={"Accept": "application/yaml"}).content.startswith(b"openapi:")


# What is not part of the API: pages for people, the document itself, and the aliases of a path that is described.
UNDESCRIBED = {
    "/",
    "/docs/errors",
    "/docs/errors/",
    "/docs/errors/{code}",
    "/api/docs",
    "/api/docs/",
    "/api/schema",
    "/api/schema/",
    "/api/v1/private/otel/v1/traces",
    "/metrics",  # Prometheus reads it; docs/operations.md says what it holds
}
PAGES = ("/login", "/logout", "/account", "/invitations/", "/admin")


def routes(patterns: Any = None, before: str = "/") -> set[str]:
    found: set[str] = set()
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        here = before + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(pattern.pattern))
        found |= routes(pattern.url_patterns, here) if hasattr(pattern, "url_patterns") else {here}
    return found


def test_every_route_is_described_and_every_description_has_a_route(schema: dict[str, Any]) -> None:
    pages = routes(console.urlpatterns)
    described = {route for route in routes() - UNDESCRIBED - pages if not route.startswith(PAGES)}
    assert described == set(schema["paths"])


def test_what_opens_the_api(schema: dict[str, Any]) -> None:
    schemes = schema["components"]["securitySchemes"]
    assert schemes["bearer"]["scheme"] == "bearer"
    assert (schemes["apiKey"]["in"], schemes["apiKey"]["name"]) == ("header", "X-API-Key")
    assert (schemes["session"]["in"], schemes["session"]["name"]) == ("cookie", "hub_session")
    assert schemes["basic"]["scheme"] == "basic"
    assert schema["paths"]["/api/v1/metrics"]["get"]["security"] == [{"bearer": []}, {"apiKey": []}, {"session": []}]
    assert "security" not in schema["paths"]["/api/v1/auth/token"]["post"]


def test_every_operation_names_its_errors(schema: dict[str, Any]) -> None:
    for path, method, operation in operations(schema):
        assert not [name for name in operation if name in ("x-envelope", "x-errors")]
        if path in ("/health", "/ready"):
            continue
        wanted = {"401", "403", "503"} if operation.get("security") else {"503"}
        assert wanted <= set(operation["responses"]), (method, path)


def test_error_examples_come_from_the_catalogue(schema: dict[str, Any]) -> None:
    shown = {
        example["value"]["error"]["code"]: int(name.removeprefix("Error"))
        for name, response in schema["components"]["responses"].items()
        for example in response["content"]["application/json"]["examples"].values()
    }
    assert set(shown) == set(CATALOGUE)
    for code, status in shown.items():
        assert status in (CATALOGUE[code].status, *CATALOGUE[code].also)


def test_every_reference_leads_somewhere(schema: dict[str, Any]) -> None:
    for reference in re.findall(r"'\$ref': '#/([^']+)'", str(schema)):
        node: Any = schema
        for step in reference.split("/"):
            node = node[step]


def links(html: str) -> list[str]:
    found: list[str] = []

    class Links(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.extend(value for name, value in attrs if name in ("src", "href") and value)

    Links().feed(html)
    return found


def test_swagger_ui_asks_no_other_server(client: Client) -> None:
    page = unescape(client.get("/api/docs/").content.decode())
    assert all(link.startswith(("/", "#")) for link in links(page))
    assert '"validatorUrl":null' in page
    assert "https://" not in page
    loaded = [link for link in links(page) if link.startswith("/static/")]
    assert len(loaded) == 8  # stylesheets, scripts, our sign
    for link in loaded:
        assert client.get(link).status_code == 200, link


@pytest.mark.parametrize(
    ("start", "end"), [("/", "/login"), ("/api/docs", "/api/docs/"), ("/docs/errors", "/docs/errors/")]
)
def test_short_addresses_lead_on(client: Client, start: str, end: str) -> None:
    assert client.get(start)["Location"] == end


def test_the_index_lists_every_code(client: Client) -> None:
    page = client.get("/docs/errors/").content.decode()
    for entry in CATALOGUE.values():
        assert f'href="/docs/errors/{entry.code}"' in page
        assert entry.name in page
    assert set(CATEGORY_ADVICE) == {entry.category for entry in CATALOGUE.values()}


@pytest.mark.parametrize("code", sorted(CATALOGUE))
def test_every_code_has_a_page_that_loads_nothing_of_others(client: Client, code: int) -> None:
    answer = client.get(f"/docs/errors/{code}")
    page = answer.content.decode()
    assert answer.status_code == 200
    assert CATALOGUE[code].name in page
    assert all(link.startswith(("/", "#")) for link in links(page))
    assert "<script" not in page
    assert "default-src 'none'" in answer["Content-Security-Policy"]


def test_code_in_advice_is_shown_as_code(client: Client) -> None:
    for path in ("/docs/errors/", "/docs/errors/1000", "/docs/errors/1202"):
        page = client.get(path).content.decode()
        assert "`" not in page
        assert "&lt;code" not in page
    assert "<code>details</code>" in page


def test_every_operation_has_a_summary(schema: dict[str, Any]) -> None:
    for path, item in schema["paths"].items():
        for method, operation in item.items():
            assert operation.get("summary"), (method, path)


def test_an_unknown_code_is_404(client: Client) -> None:
    assert client.get("/docs/errors/1999").json()["error"]["code"] == 1300
    assert client.get("/docs/errors/xyz").status_code == 404


def test_what_is_tried_comes_filled_in(schema: dict[str, Any]) -> None:
    """Every part of a path has an example, and every body of JSON."""
    lacking = []
    for path, method, operation in operations(schema):
        for one in operation.get("parameters", ()):
            if one.get("in") == "path" and not {"example", "examples"} & {*one}:
                lacking.append(f"{method} {path}: {one['name']}")
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if body is None or {"example", "examples"} & {*body}:
            continue
        name = str(body["schema"].get("$ref", "")).rpartition("/")[2]
        fields = schema["components"]["schemas"].get(name, {}).get("properties", {})
        if not fields or not all("examples" in field for field in fields.values()):
            lacking.append(f"{method} {path}: body")
    assert lacking == ["post /api/v1/invitations/accept: body"]  # its token is in nobody's hands but the invited one's


def test_no_docstring_is_in_the_document(schema: dict[str, Any]) -> None:
    text = " ".join(operation.get("description", "") for _, _, operation in operations(schema))
    assert "Answer what is not kept" not in text
    assert "A management endpoint" not in text
