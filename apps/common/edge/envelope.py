"""The one shape of an error answer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest, HttpResponse

from apps.common import jsontext
from apps.common.errors import ApiError
from apps.common.ids import request_id


def body(error: ApiError, request_id_text: str) -> dict[str, Any]:
    """The error envelope as data."""
    entry = error.entry
    return {
        "error": {
            "code": entry.code,
            "error_code": entry.name,
            "category": entry.category,
            "message": error.message,
            "details": error.details,
            "field": error.field,
        },
        "meta": {
            "timestamp": datetime.now(UTC),
            "request_id": request_id_text,
            "documentation_url": f"/docs/errors/{entry.code}",
        },
    }


def response(error: ApiError, request: HttpRequest) -> HttpResponse:
    """The error envelope as an HTTP answer."""
    return HttpResponse(
        jsontext.dumps(body(error, request_id(request))),
        status=error.status,
        content_type="application/json",
        headers=dict(error.headers),
    )
