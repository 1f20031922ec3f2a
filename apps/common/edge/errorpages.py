"""An error as whoever asked can read it: a page for a person's browser, the envelope for everybody else."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.cache import patch_vary_headers

from apps.common.edge import envelope
from apps.common.edge.pages import is_api, prefers_page
from apps.common.errors import ApiError
from apps.common.ids import request_id

_TITLES = {
    400: "This request cannot be read",
    401: "Please sign in",
    403: "This is not open to you",
    404: "There is nothing here",
    405: "This address does not do that",
    429: "Too many tries",
    500: "Something broke on our side",
    503: "Not available just now",
    504: "This took too long",
}


_shapes: dict[str, Callable[[ApiError, HttpRequest], HttpResponse]] = {}


def present_by(path: str, shape: Callable[[ApiError, HttpRequest], HttpResponse]) -> None:
    """Let a path that speaks another protocol answer errors in that, also those from before its view."""
    _shapes[path] = shape


def present(error: ApiError, request: HttpRequest) -> HttpResponse:
    """The error as an HTTP answer."""
    shape = _shapes.get(request.path_info)
    if shape is not None:
        return shape(error, request)
    if is_api(request.path_info):
        return envelope.response(error, request)
    response = _page(error, request) if prefers_page(request) else envelope.response(error, request)
    patch_vary_headers(response, ("Accept",))
    return response


def _page(error: ApiError, request: HttpRequest) -> HttpResponse:
    # Without the request: a page about a failure must not need a session, a user or a database.
    context = {
        "title": _TITLES.get(error.status, _TITLES[500] if error.status >= 500 else _TITLES[400]),
        "message": error.message,
        "status": error.status,
        "code": error.entry.code,
        "request_id": request_id(request),
        "ours": error.status >= 500,
        # Of an address that cannot be read, the page itself is there.
        "plain": request.path
        if error.status == 400 and request.method == "GET" and request.META.get("QUERY_STRING")
        else "",
    }
    html = render_to_string("pages/error.html", context)
    return HttpResponse(html, status=error.status, headers=dict(error.headers))
