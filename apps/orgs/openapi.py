"""How the OpenAPI document says what opens the API."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension

# Any one of these; `basic` opens only the Langfuse-shaped paths, which say so themselves.
SECURITY: list[dict[str, list[str]]] = [{"bearer": []}, {"apiKey": []}, {"session": []}]


class CredentialsScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # registers itself untyped
    """A key in two headers, a token, the console's cookie, and Basic for Langfuse's clients."""

    target_class = "apps.orgs.door.DoorAuthentication"
    name = ["bearer", "apiKey", "session", "basic"]

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, Any]]:
        return [
            {
                "type": "http",
                "scheme": "bearer",
                "description": "An API key (`ah_...`), or an access token from `POST /api/v1/auth/token`",
            },
            {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key in its own header"},
            {
                "type": "apiKey",
                "in": "cookie",
                "name": settings.SESSION_COOKIE_NAME,
                "description": "The console's session; changes need the header X-CSRFToken too",
            },
            {
                "type": "http",
                "scheme": "basic",
                "description": "An API key as public id and secret, below `/api/public/` only",
            },
        ]

    def get_security_requirement(self, auto_schema: Any) -> list[dict[str, list[str]]]:
        return SECURITY
