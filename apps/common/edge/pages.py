"""What pages for people need and the API does not: a chain of middleware that steps aside, and a content policy.

A session, its user and its messages cost a request more than the view of an ingest request takes. So these do nothing
for a request to the API that carries no session cookie; where one is sent, the API has `request.user` too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponseBase

# What programs call. Swagger UI lies below /api/ and is a page.
_API = ("/v1/", "/api/")
_API_PAGES = ("/api/docs",)
_PROBES = frozenset({"/health", "/ready", "/metrics"})

# No script, style, image, font or frame of another origin, nothing inline, and no form that leads elsewhere.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "manifest-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)

GetResponse = Callable[[HttpRequest], HttpResponseBase]
Answer = HttpResponseBase | Awaitable[HttpResponseBase]  # as Django declares it; ours are never awaited


def is_api(path: str) -> bool:
    """Whether programs call this path."""
    return path.startswith(_API) and not path.startswith(_API_PAGES)


def without_session(request: HttpRequest) -> bool:
    """Whether a request needs neither a session nor what hangs on one."""
    path = request.path_info
    if path in _PROBES:
        return True
    return is_api(path) and settings.SESSION_COOKIE_NAME not in request.META.get("HTTP_COOKIE", "")


def prefers_page(request: HttpRequest) -> bool:
    """Whether an error should be a page: a person's browser asks for one, at a path that is not the API's."""
    if is_api(request.path_info) or request.path_info in _PROBES:
        return False
    return request.get_preferred_type(["application/json", "text/html"]) == "text/html"


class PageSession(SessionMiddleware):
    """Django's sessions, for pages and for whoever sends a session cookie to the API."""

    def __call__(self, request: HttpRequest) -> Answer:
        return self.get_response(request) if without_session(request) else super().__call__(request)


class PageUser(AuthenticationMiddleware):
    """Django's `request.user`, wherever there is a session."""

    def __call__(self, request: HttpRequest) -> Answer:
        return super().__call__(request) if hasattr(request, "session") else self.get_response(request)


class PageMessages(MessageMiddleware):
    """Django's messages from one page to the next, wherever there is a session and the request is no program's."""

    def __call__(self, request: HttpRequest) -> Answer:
        wanted = hasattr(request, "session") and not is_api(request.path_info)
        return super().__call__(request) if wanted else self.get_response(request)


class PagePolicy:
    """Gives HTML answers the content policy, unless their view gave them one, and keeps pages out of caches."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if response.get("Content-Type", "").startswith("text/html"):
            response.setdefault("Content-Security-Policy", PAGE_POLICY)
            response.setdefault("Cache-Control", "private, no-store")
        return response
