"""The id that a request carries through logs, answers and error reports."""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar

from django.http import HttpRequest

_WELL_FORMED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
current: ContextVar[str] = ContextVar("request_id", default="")


def request_id_for(offered: str) -> str:
    """The caller's id where it is well-formed, else a new one."""
    if offered and _WELL_FORMED.fullmatch(offered):
        return offered
    return f"req_{secrets.token_hex(12)}"


def request_id(request: HttpRequest) -> str:
    """The id of a request, given one now if it did not pass the middleware."""
    found: str | None = getattr(request, "request_id", None)
    if found is None:
        found = request_id_for(request.META.get("HTTP_X_REQUEST_ID", ""))
        request.request_id = found  # type: ignore[attr-defined]
    return found
