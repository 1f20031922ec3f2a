"""What is written down about a request once its answer is ready: the counters, and a line of the access log."""

from __future__ import annotations

import logging
from time import perf_counter

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from apps.common.observe import telemetry
from apps.common.observe.logs import caller_of
from apps.common.observe.routes import route_of

logger = logging.getLogger("hub.access")


class Accountant:
    """Counts requests, and writes access lines for all of them, for the slow and the broken, or for none."""

    def __init__(self) -> None:
        self._slow = settings.HUB.slow_request_ms / 1000
        self._choice = settings.HUB.access_log

    def settle(self, request: HttpRequest, response: HttpResponseBase, begun: float) -> None:
        """The answer is ready; `begun` is the `perf_counter` at which the request came."""
        seconds = perf_counter() - begun
        status = response.status_code
        route = route_of(request, status)
        received, sent = _length(request.META.get("CONTENT_LENGTH")), _length(response.headers.get("Content-Length"))
        if received is None and "HTTP_TRANSFER_ENCODING" not in request.META:
            received = 0
        telemetry.request_answered(request.method or "", route, status, seconds, received, sent)
        noteworthy = seconds >= self._slow or status >= 500
        if self._choice == "all" or (noteworthy and self._choice == "slow"):
            self._write(request, route, status, seconds, sent, noteworthy)

    def _write(
        self, request: HttpRequest, route: str, status: int, seconds: float, sent: int | None, noteworthy: bool
    ) -> None:
        milliseconds = round(seconds * 1000, 1)
        principal = caller_of(request)[0]
        logger.log(
            logging.WARNING if noteworthy else logging.INFO,
            *("%s %s %d %s ms %s bytes %s", request.method, route, status, milliseconds, sent, principal or "-"),
            extra={
                "hub": {
                    "method": request.method,
                    "route": route,
                    "status": status,
                    "ms": milliseconds,
                    "bytes": sent,
                }
            },
        )


def _length(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() else None
