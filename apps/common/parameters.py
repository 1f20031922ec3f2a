"""Query parameters: an unknown one is an error, so that a mistyped filter never silently widens an answer."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

from django.http import HttpRequest
from rest_framework.request import Request

from apps.common.errors import ApiError


def unknown_name(name: str, known: Collection[str], *, what: str = "parameter") -> ApiError:
    """Error 1202 for a name that is not known, naming the nearest one that is."""
    nearest = get_close_matches(name.lower(), list(known), n=1, cutoff=0.5)
    hint = f" Did you mean {nearest[0]}?" if nearest else ""
    message = f"Unknown {what} {name[:64]!r}.{hint}"
    return ApiError(1202, message, field=name[:64], details={"known": sorted(known)})


def check_parameters(request: HttpRequest | Request, known: Collection[str]) -> None:
    """Refuse query parameters that the view does not know.

    Raises:
        ApiError: 1202, naming the parameter and the nearest known one.
    """
    for name in request.GET:
        if name not in known:
            raise unknown_name(name, known)
