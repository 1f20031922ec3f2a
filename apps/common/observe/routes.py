"""How a request's route is called in logs and metrics."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest

# For what no route has answered: an unknown path, a static file, a request turned away before.
UNKNOWN, STATIC, NONE = "(unknown)", "(static)", "(none)"


def route_of(request: HttpRequest, status: int = 0) -> str:
    """The pattern of the request's route, such as `/api/v1/keys/<int:key>`: a path may hold ids and secrets."""
    match = request.resolver_match
    if match is not None:
        return f"/{match.route}"
    if status == 404:
        return UNKNOWN
    return STATIC if request.path.startswith(settings.STATIC_URL) else NONE
