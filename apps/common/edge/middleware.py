"""The edge of every request: its id, its address, its host, and the error shape for whatever escapes a view."""

from __future__ import annotations

from collections.abc import Callable
from operator import length_hint
from time import perf_counter
from typing import Any, BinaryIO, cast

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.core.handlers.wsgi import LimitedStream
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from apps.common import ids
from apps.common.edge import deadline
from apps.common.edge.address import client_address, was_https
from apps.common.edge.exceptions import answer
from apps.common.errors import ApiError
from apps.common.observe import logs
from apps.common.observe.accounting import Accountant

# Probes come by address, not by name, and learn nothing about the host.
_PROBES = frozenset({"/health", "/ready"})
# Over plain HTTP these are answered all the same, whatever HTTPS_ONLY says.
_INSIDE = frozenset({*_PROBES, "/metrics"})
_CREDENTIALS = ("HTTP_AUTHORIZATION", "HTTP_X_API_KEY")

# Of a refused request's body, so much is read so that its sender gets to the answer.
DRAIN_BYTES = 25_000_000
DRAIN_BLOCK = 65_536
DRAIN_SECONDS = 2.0

# On every answer that has none of its own. Pages bring their own content policy (apps.common.edge.pages).
_HEADERS = (
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("X-Frame-Options", "DENY"),
    (
        "Permissions-Policy",
        "accelerometer=(), camera=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), payment=(), usb=()",
    ),
)


class EdgeMiddleware:
    """Outermost: gives the request its id and its client's address, turns exceptions of plain views into the envelope.

    What trusted proxies say of the client is settled here once: `request.client_address` and `request.is_secure()`.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self.any_host = "*" in settings.ALLOWED_HOSTS
        self.only_https = settings.HUB.only_https
        self.accountant = Accountant()

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        begun = perf_counter()
        request_id = ids.request_id(request)
        request.client_address = client_address(request)  # type: ignore[attr-defined]
        if was_https(request):
            request.META["wsgi.url_scheme"] = "https"
        tokens = ids.current.set(request_id), logs.request_now.set(request), deadline.start()
        try:
            response = self._refusal(request) or self.get_response(request)
            self._complete(request, response, request_id)
            if response.status_code >= 400:
                drain(request)
            self.accountant.settle(request, response, begun)
        finally:
            ids.current.reset(tokens[0])
            logs.request_now.reset(tokens[1])
            deadline.end(tokens[2])
        return response

    def _complete(self, request: HttpRequest, response: HttpResponseBase, request_id: str) -> None:
        response["X-Request-ID"] = request_id
        for name, value in _HEADERS:
            if name not in response.headers:
                response.headers[name] = value
        for name, value in getattr(request, "hub_headers", {}).items():
            response[name] = value
        if isinstance(response, HttpResponse) and response.status_code != 304 and "Content-Length" not in response:
            response["Content-Length"] = str(len(response.content))

    def _refusal(self, request: HttpRequest) -> HttpResponseBase | None:
        if self.only_https and request.META["wsgi.url_scheme"] != "https" and not _may_be_plain(request):
            message = "This hub answers over HTTPS only. Send the request to the https:// address."
            return answer(ApiError(1200, message), request)
        if self.any_host or request.path in _PROBES:
            return None
        try:
            request.get_host()
        except DisallowedHost as error:
            return answer(error, request)
        return None

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> None:
        """Let DRF parse a chunked body, which it would take for an empty one: it trusts Content-Length alone.

        Views without parsers read their body themselves.
        """
        chunked = "chunked" in request.META.get("HTTP_TRANSFER_ENCODING", "").lower()
        if chunked and not request.META.get("CONTENT_LENGTH") and getattr(view, "cls", None) is not None:
            if not view.cls.parser_classes:
                return
            most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1
            request._stream = cast(BinaryIO, LimitedStream(request.META["wsgi.input"], most))
            request.META["CONTENT_LENGTH"] = str(most)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse:
        return answer(exception, request)


def drain(request: HttpRequest) -> None:
    """Read what a refused request still sends, within bounds.

    A connection that is closed with data unread is reset, and a client that is still sending then sees a broken pipe
    instead of the answer.
    """
    stream: Any = request.META.get("wsgi.input")
    if stream is None or request.method in ("GET", "HEAD"):
        return
    end, left = perf_counter() + DRAIN_SECONDS, DRAIN_BYTES
    try:
        while left > 0 and perf_counter() < end:
            # A stream that knows how much it still has may refuse to be asked for more (Django's test client).
            read = len(stream.read(min(left, length_hint(stream, DRAIN_BLOCK), DRAIN_BLOCK)))
            if not read:
                return
            left -= read
    except (OSError, ValueError):
        return  # the client has gone, or the stream is closed: there is nothing to read


def _may_be_plain(request: HttpRequest) -> bool:
    """Whether a request over plain HTTP is answered, or redirected, when HTTPS_ONLY is on.

    A redirect would lose a body, and would hide from whoever sends credentials in the clear that they do so.
    """
    if request.path in _INSIDE:
        return True
    return request.method in ("GET", "HEAD") and not any(name in request.META for name in _CREDENTIALS)
