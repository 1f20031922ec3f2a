"""The OpenAPI document names the errors of every operation, and every code that it shows has its page."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from drf_spectacular.generators import SchemaGenerator

from apps.common.errors import CATALOGUE
from tests.support.surface import NO_ENVELOPE, Route, api_routes
from tests.support.table import PUBLIC

_generator: Any = SchemaGenerator
document: dict[str, Any] = _generator().get_schema(request=None, public=True)
ROUTES = {route.path: route for route in api_routes()}
OPERATIONS = [
    (path, method, operation) for path, item in document["paths"].items() for method, operation in item.items()
]
every_operation = pytest.mark.parametrize(
    ("path", "method", "operation"), OPERATIONS, ids=[f"{method} {path}" for path, method, _ in OPERATIONS]
)
PROBES = ("/health", "/ready")


def owed(route: Route, method: str, operation: dict[str, Any]) -> set[str]:
    """The statuses that the code can answer, by what the route declares and takes."""
    statuses = {"500", "503", "504"}
    if route.needs(method.upper()) != PUBLIC:
        statuses |= {"400", "401", "403", "404", "429"}
    if "requestBody" in operation:
        statuses |= {"400", "413", "415"}
    if route.parameters:
        statuses.add("404")
    return statuses


@every_operation
def test_every_operation_names_the_errors_it_can_answer(path: str, method: str, operation: dict[str, Any]) -> None:
    if path not in PROBES:
        assert owed(ROUTES[path], method, operation) <= set(operation["responses"])


@every_operation
def test_credentials_are_documented_where_they_are_asked_for(path: str, method: str, operation: dict[str, Any]) -> None:
    assert bool(operation.get("security")) == (ROUTES[path].needs(method.upper()) != PUBLIC)


def resolved(response: dict[str, Any]) -> dict[str, Any]:
    node: Any = response
    if "$ref" in response:
        node = document
        for step in response["$ref"].removeprefix("#/").split("/"):
            node = node[step]
    found: dict[str, Any] = node
    return found


@every_operation
def test_every_documented_error_has_the_envelope_and_a_page(path: str, method: str, operation: dict[str, Any]) -> None:
    for status, response in operation["responses"].items():
        if not status.startswith(("4", "5")) or path.startswith(NO_ENVELOPE) or path in PROBES:
            continue
        content = resolved(response)["content"]["application/json"]
        assert content["schema"] == {"$ref": "#/components/schemas/Error"}, status
        for example in content["examples"].values():
            error, meta = example["value"]["error"], example["value"]["meta"]
            entry = CATALOGUE[error["code"]]
            assert int(status) in (entry.status, *entry.also)
            assert meta["documentation_url"] == f"/docs/errors/{entry.code}"


def test_every_code_that_the_document_shows_has_a_page(client: Client) -> None:
    codes = document["components"]["schemas"]["Error"]["properties"]["error"]["properties"]["code"]["enum"]
    assert codes == sorted(CATALOGUE)
    for code in codes:
        assert client.get(f"/docs/errors/{code}").status_code == 200, code
