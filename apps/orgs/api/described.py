"""What the OpenAPI document says of signing in."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema_field
from rest_framework import serializers

from apps.common.reads import fields
from apps.orgs.models import Role

TAGS = ["account"]


@extend_schema_field({"type": "string", "examples": ["ada@acme.example"]})
class Address(serializers.CharField):
    """An e-mail address."""


@extend_schema_field({"type": "string", "maxLength": 4_096, "examples": ["correct horse battery"]})
class Password(serializers.CharField):
    """A password."""


@extend_schema_field({"type": "string", "examples": ["eyJhbGciOiJIUzI1NiJ9.eyJ0b2tlbl90eXBlIjoicmVmcmVzaCJ9.x"]})
class RefreshToken(serializers.CharField):
    """What `POST /api/v1/auth/token` gave."""


class Credentials(serializers.Serializer[Any]):
    email = Address()
    password = Password(max_length=4_096)


class RefreshTokenBody(serializers.Serializer[Any]):
    refresh_token = RefreshToken()


class TokenPair(serializers.Serializer[Any]):
    access_token = serializers.CharField()
    refresh_token = serializers.CharField(help_text="Good for one exchange")
    token_type = serializers.ChoiceField(["Bearer"])
    expires_in = serializers.IntegerField(help_text="Seconds that the access token is good for")
    refresh_expires_in = serializers.IntegerField()


class Named(serializers.Serializer[Any]):
    slug = serializers.CharField()
    name = serializers.CharField()


class NamedWithRole(Named):
    role = serializers.CharField(allow_null=True)


class RateLimitFigures(serializers.Serializer[Any]):
    bucket = serializers.CharField()
    per_minute = serializers.IntegerField()
    burst = serializers.IntegerField()


class MeMeta(serializers.Serializer[Any]):
    request_id = serializers.CharField()


class Me(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(["user", "key"])
    id = serializers.IntegerField()
    name = serializers.CharField(help_text="A person's e-mail address, a key's prefix")
    is_superuser = serializers.BooleanField()
    organization = Named(allow_null=True, help_text="Null where none was named, or the person has none")
    organizations = NamedWithRole(many=True, help_text="What X-Organization may name")
    role = serializers.ChoiceField(Role.choices, allow_null=True, help_text="Null for a key with a list of permissions")
    permissions = serializers.ListField(child=serializers.CharField())
    all_projects = serializers.BooleanField()
    projects = Named(many=True)
    rate_limits = RateLimitFigures(many=True)
    meta = MeMeta()


_PAIR = OpenApiExample(
    "Tokens",
    value={
        "access_token": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.x",
        "refresh_token": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.y",
        "token_type": "Bearer",
        "expires_in": 900,
        "refresh_expires_in": 604_800,
    },
    response_only=True,
)
TOKEN: dict[str, Any] = {
    "operation_id": "token_create",
    "summary": "Sign in with e-mail address and password",
    "tags": TAGS,
    "auth": [],
    "request": Credentials,
    "responses": {200: TokenPair},
    "extensions": {"x-errors": [401, 429]},
    "examples": [_PAIR],
    "description": "An access token for 15 minutes, sent as `Authorization: Bearer`, and a refresh token for 7 days. "
    "At most 10 requests a minute from one address.",
}
REFRESH: dict[str, Any] = {
    "operation_id": "token_refresh",
    "summary": "Exchange a refresh token for new tokens",
    "tags": TAGS,
    "auth": [],
    "request": RefreshTokenBody,
    "responses": {200: TokenPair},
    "extensions": {"x-errors": [401, 429]},
    "description": "A refresh token is good once. One that comes a second time tells that somebody holds a copy: every "
    "token of that sign-in ends, and the person signs in again.",
}
REVOKE: dict[str, Any] = {
    "operation_id": "token_revoke",
    "summary": "Sign out",
    "tags": TAGS,
    "auth": [],
    "request": RefreshTokenBody,
    "responses": {204: OpenApiResponse(description="Whatever the token was, it is no longer good.")},
    "extensions": {"x-errors": [429]},
    "description": "Ends the sign-in of a refresh token, its access tokens within 10 seconds.",
}
ME: dict[str, Any] = {
    "operation_id": "me",
    "summary": "Who am I?",
    "tags": TAGS,
    "parameters": [fields.PARAMETER],
    "responses": {200: Me},
    "description": "The caller with its organization, role, permissions, projects and rate limits. Answers a member of "
    "several organizations who names none, too: `organizations` lists what X-Organization may name.",
}
