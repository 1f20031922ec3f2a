"""How the OpenAPI document says that an API key opens the API."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension

SECURITY: list[dict[str, list[str]]] = [{"bearer": []}, {"apiKey": []}]


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # registers itself untyped
    """Two ways to send the same key."""

    target_class = "apps.orgs.door.DoorAuthentication"
    name = ["bearer", "apiKey"]

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, Any]]:
        return [
            {"type": "http", "scheme": "bearer", "description": "An API key: `Authorization: Bearer ah_...`"},
            {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same key in its own header"},
        ]

    def get_security_requirement(self, auto_schema: Any) -> list[dict[str, list[str]]]:
        return SECURITY
