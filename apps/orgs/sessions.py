"""Sessions of the console as credentials of the API: the cookie, with CSRF protection where something changes."""

from __future__ import annotations

from importlib import import_module

from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest, HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware

from apps.common.errors import ApiError
from apps.orgs.models import User

ORGANIZATION_KEY = "organization"  # where the session remembers the chosen organization's slug
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


class _CsrfCheck(CsrfViewMiddleware):
    """Django's check, which here tells its reason instead of answering."""

    def _reject(self, request: HttpRequest, reason: str) -> str:
        return reason


def _no_answer(request: HttpRequest) -> HttpResponseBase:
    # A middleware must be given a next step; only its checks are called here, which never come to it.
    raise NotImplementedError


def session_user(request: HttpRequest) -> User | None:
    """The active user of the request's session, None without one.

    The chain for pages puts `user` on the request; where it does not run, the session is read here.
    """
    if settings.SESSION_COOKIE_NAME not in request.COOKIES:
        return None
    if not hasattr(request, "session"):
        store = import_module(settings.SESSION_ENGINE).SessionStore
        request.session = store(request.COOKIES[settings.SESSION_COOKIE_NAME])
    user = request.user if hasattr(request, "user") else get_user(request)
    return user if isinstance(user, User) and user.is_active else None


def remembered_organization(request: HttpRequest) -> str:
    """The slug that the session remembers."""
    return str(request.session.get(ORGANIZATION_KEY) or "")


def require_csrf(request: HttpRequest) -> None:
    """Refuse a change that carries the cookie but not the token, as another site's form would.

    Raises:
        ApiError: 1102.
    """
    if request.method in SAFE_METHODS:
        return
    check = _CsrfCheck(_no_answer)
    check.process_request(request)
    if check.process_view(request, None, (), {}) is not None:  # type: ignore[arg-type]  # no view of its own
        text = "With a session, changes need the page's CSRF token in the header X-CSRFToken."
        raise ApiError(1102, text)


def remove_expired() -> None:
    """Forget the sessions that nobody can use any more."""
    import_module(settings.SESSION_ENGINE).SessionStore.clear_expired()
