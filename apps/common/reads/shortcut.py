"""Past the rest of the middleware and the routes, for requests that a view can answer in front of them.

A view that can has an attribute `front`: a function that answers a request or returns None. Once such a view has been
reached by a path without arguments, its `front` is asked first for that path: a kept answer then costs neither the walk
through the routes nor the middleware that stands between here and the view. What that middleware does is for pages and
sessions; whoever sends a session cookie goes the long way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from django.http import HttpRequest, HttpResponseBase
from django.urls import ResolverMatch

from apps.common.edge.exceptions import answer
from apps.common.edge.pages import without_session

READS: Final = frozenset({"GET", "HEAD"})


class Shortcut:
    """Stands behind what concerns every request: its id, its limits in time, TLS, origins."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self.known: dict[str, ResolverMatch] = {}  # as many as there are routes without arguments

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        match = self.known.get(request.path_info)
        if match is not None and request.method in READS and without_session(request):
            request.resolver_match = match
            found = self._front(request, match)
            if found is not None:
                return found
        response = self.get_response(request)
        if match is None:
            self._learn(request)
        return response

    def _front(self, request: HttpRequest, match: ResolverMatch) -> HttpResponseBase | None:
        try:
            found: HttpResponseBase | None = match.func.front(request)  # type: ignore[attr-defined]
        except Exception as error:  # noqa: BLE001 - as for any view: EdgeMiddleware.process_exception
            return answer(error, request)
        return found

    def _learn(self, request: HttpRequest) -> None:
        match = request.resolver_match
        if match is not None and not match.kwargs and not match.args and hasattr(match.func, "front"):
            self.known[request.path_info] = match
