"""The edge of every request: its id, and the error shape for whatever escapes a view."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBase

from apps.common import ids
from apps.common.exceptions import answer


class EdgeMiddleware:
    """Outermost: gives the request its id, echoes it, and turns exceptions of plain views into the envelope."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        request_id = ids.request_id(request)
        token = ids.current.set(request_id)
        try:
            response = self.get_response(request)
        finally:
            ids.current.reset(token)
        response["X-Request-ID"] = request_id
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse:
        return answer(exception, request)
