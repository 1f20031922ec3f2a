"""Small helpers for plain Django views."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from django.http import HttpRequest, HttpResponse

from apps.common.errors import ApiError

View = Callable[..., HttpResponse]
V = TypeVar("V", bound=Callable[..., Any])


def open_to_all(view: V) -> V:
    """Declare that reading this takes no credentials: every route says what it needs (apps.orgs.door)."""
    view.required_permission = {"GET": "public"}  # type: ignore[attr-defined]
    return view


def method_not_allowed(request: HttpRequest, allowed: tuple[str, ...]) -> ApiError:
    """The error for a method that an address does not know."""
    headers = {"Allow": ", ".join(allowed)}
    return ApiError(1200, f"The method {request.method} is not offered here.", status=405, headers=headers)


def methods(*allowed: str) -> Callable[[View], View]:
    """Let only these methods reach a plain view; others get 405 in the error envelope."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
            if request.method not in allowed:
                raise method_not_allowed(request, allowed)
            return view(request, *args, **kwargs)

        return guarded

    return decorate
