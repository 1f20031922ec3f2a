"""Every example of the OpenAPI document, run: a request that a reader copies is answered, and answers as documented.

A request example is the JSON body of an operation or the examples of its parameters; it is sent by an administrator to
Acme, whose data is told by `tests.support.story`. The examples of answers are held against their own schemas.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from drf_spectacular.generators import SchemaGenerator
from jsonschema import Draft202012Validator
from pytest_django import DjangoDbBlocker

from tests.support.callers import Caller, Stage, fill, undone
from tests.support.story import tell
from tests.support.surface import Route, api_routes
from tests.support.table import INSTALLATION

pytestmark = pytest.mark.django_db
METHODS = ("get", "post", "put", "patch", "delete")
_generator: Any = SchemaGenerator
document: dict[str, Any] = json.loads(json.dumps(_generator().get_schema(request=None, public=True), default=str))
_routes = {route.path: route for route in api_routes()}


@pytest.fixture(scope="module")
def told(stage: Stage, django_db_blocker: DjangoDbBlocker) -> Stage:
    """The stage, with data in the organization of those who ask."""
    with django_db_blocker.unblock():
        tell(stage.world)
    return stage


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method in METHODS:
            if method in methods:
                yield path, method, methods[method]


def values_of(holder: dict[str, Any]) -> dict[str, Any]:
    """The examples that stand at a body, a parameter or an answer, by name."""
    found = {name: one["value"] for name, one in holder.get("examples", {}).items() if "value" in one}
    if "example" in holder:
        found["example"] = holder["example"]
    return found


def requests() -> Iterator[Any]:
    """(path, method, query, body) of every request example."""
    for path, method, operation in operations():
        query = {
            one["name"]: next(iter(values_of(one).values()))
            for one in operation.get("parameters", ())
            if one.get("in") == "query" and values_of(one)
        }
        content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        bodies = values_of(content)
        for name, body in bodies.items():
            yield pytest.param(path, method, {}, body, id=f"{method} {path} {name}")
        if not bodies and (query or method == "get"):
            yield pytest.param(path, method, query, None, id=f"{method} {path}")


def answers() -> Iterator[Any]:
    for path, method, operation in operations():
        for status, answer in operation["responses"].items():
            for kind, content in answer.get("content", {}).items():
                for name, value in values_of(content).items():
                    if "json" in kind and "schema" in content:
                        label = f"{method} {path} {status} {name}"
                        yield pytest.param(content["schema"], value, id=label)


def problems(schema: dict[str, Any], value: Any) -> list[str]:
    """What a value lacks of its schema."""
    whole = {**schema, "components": document["components"]}
    return [f"{error.json_path}: {error.message}"[:300] for error in Draft202012Validator(whole).iter_errors(value)]


def _caller(stage: Stage, route: Route, method: str) -> Caller:
    superuser = route.needs(method) == INSTALLATION
    name = "superuser" if superuser else "admin key"
    return next(one for one in stage.roles if one.superuser or (not superuser and one.name == name))


@pytest.mark.parametrize(("path", "method", "query", "body"), list(requests()))
def test_a_request_example_is_answered_as_documented(
    told: Stage, path: str, method: str, query: dict[str, Any], body: Any
) -> None:
    route = _routes[path]
    target = fill(route, told.examples)
    caller = _caller(told, route, method.upper())
    with undone():
        answer = told.client.generic(
            method.upper(),
            f"{target}?{urlencode(query)}" if query else str(target),
            b"" if body is None else json.dumps(body).encode(),
            content_type="application/json",
            headers={**caller.headers, "Accept": "application/json"},
        )
    text = answer.content[:2000] if not answer.streaming else b""
    assert 200 <= answer.status_code < 300, text
    documented = document["paths"][path][method]["responses"].get(str(answer.status_code))
    assert documented is not None, f"{answer.status_code} is not documented"
    schema = documented.get("content", {}).get("application/json", {}).get("schema")
    cut = "fields" in query or (isinstance(body, dict) and "fields" in body)
    if schema is not None and not answer.streaming and not cut:
        assert problems(schema, answer.json()) == []


@pytest.mark.parametrize(("documented", "value"), list(answers()))
def test_an_answer_example_has_the_shape_of_its_schema(documented: dict[str, Any], value: Any) -> None:
    assert problems(documented, value) == []


AREAS = ("metrics", "traces", "scores", "sessions", "costs", "budgets", "exports")


def test_every_question_comes_with_examples() -> None:
    """Bodies have one to copy; the answers of the analytics have one to read."""
    lacking = []
    for path, method, operation in operations():
        if not set(operation.get("tags", ())) & set(AREAS):
            continue
        content = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if content is not None and not values_of(content):
            lacking.append(f"{method} {path}: request")
        for status in ("200", "201", "202"):
            answer = operation["responses"].get(status, {}).get("content", {}).get("application/json")
            if answer is not None and not values_of(answer):
                lacking.append(f"{method} {path}: answer {status}")
    assert not lacking, "\n".join(lacking)
