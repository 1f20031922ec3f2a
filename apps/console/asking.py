"""How a page gets its figures: it asks the API, within the process and as the person who looks at the page.

So a figure on a page is the API's figure: one validation, one computation, one cache, one version of the data. What a
page shows can be asked for by anybody under `Answer.url`. The request that carries the question has been admitted and
charged once, for the page; each question only has to hold its permission.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from io import BytesIO
from typing import Any, Final, cast
from urllib.parse import quote, urlencode

from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, HttpResponse
from django.urls import resolve

from apps.common import jsontext
from apps.common.edge.exceptions import answer as refused
from apps.common.errors import ApiError
from apps.common.ids import request_id
from apps.common.rates.limits import refusal, take
from apps.orgs.door import principal_of

# What a question takes over from the page's request: who asks from where. Conditions and encodings are the page's own.
_KEPT: Final = ("REMOTE_ADDR", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL", "HTTP_HOST", "HTTP_X_FORWARDED_FOR")


@dataclass(frozen=True)
class Answer:
    """What the API said to one question.

    Args:
        url: the question as anybody may ask it, with its parameters.
        status: the HTTP status.
        document: the JSON object; numbers with a fraction are `Decimal`.
    """

    url: str
    status: int
    document: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return self.status < 400

    @property
    def forbidden(self) -> bool:
        return self.status == 403

    @property
    def problem(self) -> Mapping[str, Any]:
        """The error of the catalogue: code, message, field, details."""
        return cast("Mapping[str, Any]", self.document.get("error", {}))

    @property
    def fields(self) -> dict[str, str]:
        """What is wrong with each field that was sent."""
        details = self.problem.get("details")
        rows = details if isinstance(details, list) else [self.problem]
        return {str(row.get("field") or ""): str(row.get("message", "")) for row in rows}

    @property
    def data(self) -> Any:
        return self.document.get("data", [])

    @cached_property
    def source(self) -> dict[str, Any]:
        """Where the figures come from and how fresh they are, for the line below a panel."""
        metadata, meta = self.document.get("metadata", {}), self.document.get("meta", {})
        return {
            "data_source": metadata.get("data_source") or [],
            "fresh_until": metadata.get("fresh_until"),
            "percentile_error": metadata.get("percentile_error") or 0,
            "query_ms": metadata.get("query_ms"),
            "computed_at": meta.get("computed_at"),
            "cached": bool(meta.get("cached")),
        }


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that this page has asked: for the Server-Timing header and the tests."""

    method: str
    path: str
    status: int
    seconds: float


def asked_by(request: HttpRequest) -> list[Asked]:
    """What has been asked for this page so far."""
    found: list[Asked] | None = getattr(request, "hub_asked", None)
    if found is None:
        found = request.hub_asked = []  # type: ignore[attr-defined]
    return found


def may(request: HttpRequest, permission: str) -> bool:
    """Whether the person who looks holds a permission: ask before a question, since a refusal goes to the audit log."""
    held = principal_of(request).permissions
    return permission in held or (permission == "keys:manage_own" and "keys:manage" in held)


def ask(request: HttpRequest, path: str, parameters: Mapping[str, Any] | None = None, *, fresh: bool = False) -> Answer:
    """GET a path of the API.

    Args:
        path: below `/api/v1/`, such as `metrics/summary`.
        parameters: names and values; those that are None or empty are left out.
        fresh: compute the answer anew, for pages that wait for something to come.
    """
    return _said(request, "GET", f"/api/v1/{path}", _query(parameters), b"", fresh=fresh)


def send(
    request: HttpRequest,
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> Answer:
    """POST, PUT, PATCH or DELETE a path of the API with a JSON body; only behind the page's own CSRF check."""
    try:
        content = b"" if body is None else jsontext.dumps(body)
    except TypeError:  # a whole number beyond 64 bits, half a surrogate pair, lists within lists 254 deep
        problem = ApiError(1200, "This cannot be sent: a number is too large, a text is broken or lists lie too deep.")
        return Answer(quote(f"/api/v1/{path}"), 400, _document(refused(problem, request)))
    return _said(request, method, f"/api/v1/{path}", _query(parameters), content)


def _query(parameters: Mapping[str, Any] | None) -> str:
    return urlencode({name: value for name, value in (parameters or {}).items() if value not in (None, "")})


def charge(request: HttpRequest, bucket: str) -> None:
    """Take a token of a dear endpoint's bucket, for a change that goes to the service behind it.

    Raises:
        ApiError: 1500.
    """
    wanted = principal_of(request).buckets.get(bucket)
    verdict = None if wanted is None else take([(wanted, 1)])[0]
    if verdict is not None and not verdict.allowed:
        raise refusal(verdict)


def _said(request: HttpRequest, method: str, path: str, query: str, body: bytes, *, fresh: bool = False) -> Answer:
    begun = time.perf_counter()
    question = _question(request, method, path, query, body)
    if fresh:
        question.META["HTTP_CACHE_CONTROL"] = "no-cache"
    try:
        match = resolve(path)
        question.resolver_match = match
        if getattr(getattr(match.func, "cls", None), "bucket", None) is None:
            question.hub_headers = {}  # type: ignore[attr-defined]  # charged with the page, but for dear endpoints
        response = match.func(question, *match.args, **match.kwargs)
        response = response.render() if hasattr(response, "render") else response
    except Exception as error:  # noqa: BLE001 - as for any view: one panel fails, told and logged, and the page stands
        response = refused(error, question)
    found = Answer(f"{quote(path)}?{query}" if query else quote(path), response.status_code, _document(response))
    asked_by(request).append(Asked(method, path, found.status, time.perf_counter() - begun))
    return found


def _question(request: HttpRequest, method: str, path: str, query: str, body: bytes) -> HttpRequest:
    environ: dict[str, Any] = {name: request.META[name] for name in _KEPT if name in request.META}
    environ |= {
        "REQUEST_METHOD": method,
        "PATH_INFO": path.encode().decode("iso-8859-1"),  # as WSGI has it
        "SCRIPT_NAME": "",
        "QUERY_STRING": query,
        "CONTENT_LENGTH": str(len(body)),
        "CONTENT_TYPE": "application/json" if body else "",
        "HTTP_ACCEPT": "application/json",
        "wsgi.input": BytesIO(body),
        "wsgi.url_scheme": request.META.get("wsgi.url_scheme", "http"),
    }
    if "no-cache" in request.META.get("HTTP_CACHE_CONTROL", ""):  # a forced reload; a plain one says max-age=0
        environ["HTTP_CACHE_CONTROL"] = "no-cache"
    question: Any = WSGIRequest(environ)
    question.request_id = request_id(request)
    question.hub_principal = principal_of(request)
    for name in ("user", "session"):
        if hasattr(request, name):
            setattr(question, name, getattr(request, name))
    return cast("HttpRequest", question)


def _document(response: HttpResponse) -> Mapping[str, Any]:
    if not response.content:
        return {}
    try:
        found = json.loads(response.content, parse_float=Decimal)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {"data": found}
