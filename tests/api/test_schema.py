"""The whole OpenAPI document against the running code: what it promises is what is answered.

schemathesis makes requests from the document, valid and broken ones; every answer has a documented status, content type
and shape, every error the one envelope, and nothing is 5xx. SCHEMA_EXAMPLES makes it ask more of each operation.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.config import GenerationConfig, ProjectConfig, ProjectsConfig, SchemathesisConfig
from schemathesis.generation.meta import TestPhase
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from apps.common.errors import CATALOGUE
from tests.support.callers import Caller, Stage, fill, undone
from tests.support.surface import NO_ENVELOPE, Route, api_routes
from tests.support.table import INSTALLATION

pytestmark = pytest.mark.django_db
LONG = "SCHEMA_EXAMPLES" in os.environ
EXAMPLES = int(os.environ.get("SCHEMA_EXAMPLES", "8"))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]

_generator: Any = SchemaGenerator
document: dict[str, Any] = _generator().get_schema(request=None, public=True)
config = SchemathesisConfig(
    projects=ProjectsConfig(
        default=ProjectConfig(
            generation=GenerationConfig(
                max_examples=EXAMPLES, deterministic=True, database="none", with_security_parameters=False
            )
        )
    )
)
schema = schemathesis.openapi.from_dict(document, config=config)
schema.app = get_wsgi_application()


@schemathesis.serializer("application/x-protobuf")
def protobuf(context: Any, value: Any) -> bytes:
    """Bytes as they come: hardly ever a message, which is what the ways in have to bear."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


_routes = {route.path: route for route in api_routes()}
_turns = count()
asked: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def connection_stays(stage: Stage) -> Iterator[None]:
    """The server's entry point closes connections between requests; here they are in the test's transaction.

    Django's test client, which sets the stage, connects the signals anew.
    """
    ends = (request_started, request_finished)
    for signal in ends:
        signal.disconnect(close_old_connections)
    yield
    for signal in ends:
        signal.connect(close_old_connections)


def too_many(case: Any) -> bool:
    """In the short run, leave out most of the hundreds of boundary cases that an operation with a big body has."""
    if LONG or case.meta is None or case.meta.phase.name != TestPhase.COVERAGE:
        return False
    asked[case.operation.label] += 1
    return asked[case.operation.label] > 40 and asked[case.operation.label] % 10 != 0


def _caller(stage: Stage, route: Route, method: str) -> Caller:
    """In turn an administrator's key and, where people can sign in, an administrator."""
    superuser = route.needs(method) == INSTALLATION
    fitting = [
        one for one in stage.roles if one.superuser or (not superuser and one.name in ("admin key", "admin user"))
    ]
    return fitting[next(_turns) % len(fitting)]


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)
def test_every_answer_is_as_documented(stage: Stage, case: Any) -> None:
    if too_many(case):
        return
    route = _routes[case.path]
    turn = next(_turns)
    if route.parameters and turn % 2:
        # Half of the requests name something that is there.
        values = {name: _example(stage, route, name) for name in route.parameters}
        case.path_parameters = values
    if turn % 4 and case.headers:
        # Most headers that are made up name an organization that there is not, and nothing is asked then.
        case.headers.pop("X-Organization", None)
    caller = _caller(stage, route, case.method.upper())
    with undone():
        answer = case.call(base_url="http://localhost", headers={"Accept-Encoding": "identity", **caller.headers})
    case.validate_response(answer, checks=CHECKS)
    if answer.status_code >= 400 and not case.path.startswith(NO_ENVELOPE):
        assert answer.headers["content-type"] == ["application/json"]
        check_envelope(answer.status_code, answer.json())


def check_envelope(status: int, body: dict[str, Any]) -> None:
    """The one shape of an error, as the catalogue has it."""
    assert set(body) == {"error", "meta"}
    error, meta = body["error"], body["meta"]
    assert set(error) == {"code", "error_code", "category", "message", "details", "field"}
    entry = CATALOGUE[error["code"]]
    assert (error["error_code"], error["category"]) == (entry.name, entry.category)
    assert status in (entry.status, *entry.also), f"{entry.code} with status {status}"
    assert isinstance(error["message"], str)
    assert error["message"]
    assert set(meta) == {"timestamp", "request_id", "documentation_url"}
    assert meta["documentation_url"] == f"/docs/errors/{entry.code}"


def _example(stage: Stage, route: Route, name: str) -> Any:
    alone = Route(route.path[: route.path.index(f"{{{name}}}") + len(name) + 2], "", None)
    filled = fill(alone, stage.examples)
    assert filled is not None
    return filled.rsplit("/", 1)[1]
