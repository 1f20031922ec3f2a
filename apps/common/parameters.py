"""Query parameters: an unknown one is an error, so that a mistyped filter never silently widens an answer."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, datetime
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


_LOST_PLUS = re.compile(r" (\d\d:?\d\d)$")


def whole(text: str, name: str, *, least: int, most: int) -> int:
    """A whole number within bounds.

    Raises:
        ApiError: 1203 for what is none, 1202 for one out of bounds.
    """
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise ApiError(1203, f"{name} must be a whole number from {least} to {most}.", field=name)
    if not least <= int(text) <= most:
        raise ApiError(1202, f"{name} must be from {least} to {most}.", field=name)
    return int(text)


def boolean(text: str, name: str) -> bool:
    """true or false.

    Raises:
        ApiError: 1203.
    """
    if text.lower() not in ("true", "false"):
        raise ApiError(1203, f"{name} must be true or false.", field=name)
    return text.lower() == "true"


def moment(text: str, name: str) -> datetime:
    """An ISO 8601 time with a zone, as UTC.

    Raises:
        ApiError: 1203.
    """
    try:
        # An unescaped + in a query string arrives as a space.
        parsed = datetime.fromisoformat(_LOST_PLUS.sub(r"+\1", text.strip()))
        if parsed.tzinfo is not None:
            return parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ApiError(1203, f"{name} must be an ISO 8601 time with a zone, such as 2026-11-05T00:00:00Z.", field=name)


def plain_text(text: str, name: str, *, most: int = 254) -> str:
    """A text that a column can hold.

    Raises:
        ApiError: 1202 for an empty or too long one, or one with null characters.
    """
    if not 0 < len(text) <= most or "\x00" in text:
        raise ApiError(1202, f"{name} must be 1 to {most} characters, none of them null.", field=name)
    return text
