"""`/api/v1/keys`."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.urls import URLPattern, path
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.reads import paging
from apps.orgs.access import KNOWN_PERMISSIONS
from apps.orgs.api.base import (
    LIST,
    ONE,
    Body,
    Moment,
    OneRole,
    Text,
    Texts,
    View,
    Whole,
    body,
    documented,
    example,
    made,
    many,
    nothing,
    one,
    projects_named,
    reachable,
)
from apps.orgs.models import ApiKey, Role
from apps.orgs.services import key_create, key_revoke, key_rotate, key_update
from apps.orgs.services.keys import GRACE_SECONDS, MAX_GRACE_SECONDS, MAX_NETWORKS, keys_in_reach

TAG = "keys"
OWN = "With `keys:manage_own` alone, the keys that the same person made."


class KeyRole(serializers.ChoiceField):
    """A key's role, null for one with a list of permissions."""

    def to_representation(self, value: Any) -> Any:
        return super().to_representation(value) or None


class KeyAnswer(serializers.Serializer[Any]):
    """An API key without its secret."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    prefix = serializers.CharField(help_text="The part of the key that may be shown")
    state = serializers.SerializerMethodField()
    role = KeyRole(Role.choices, allow_null=True, help_text="null for a key with a list of permissions")
    permissions = serializers.ListField(child=serializers.CharField(), help_text="Empty for a key with a role")
    project = serializers.CharField(
        source="project.slug", default=None, allow_null=True, help_text="null: all projects of the organization"
    )
    networks = serializers.ListField(child=serializers.CharField(), help_text="Empty: it may be used from anywhere")
    created_by = serializers.EmailField(source="created_by.email", default=None, allow_null=True)
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)
    last_used_at = serializers.DateTimeField(allow_null=True)
    rotated_at = serializers.DateTimeField(allow_null=True)
    previous_until = serializers.DateTimeField(
        allow_null=True, help_text="Until when the secret before the last rotation works too"
    )
    revoked_at = serializers.DateTimeField(allow_null=True)

    def get_state(self, row: ApiKey) -> str:
        """active, expired or revoked"""
        if row.revoked_at is not None:
            return "revoked"
        return "expired" if row.expires_at is not None and row.expires_at <= timezone.now() else "active"


class KeyMade(KeyAnswer):
    """An API key with its text, which is shown this once."""

    api_key = serializers.CharField(read_only=True)


@example(name="nightly import")
class KeyChange(Body):
    """What can be changed of a key."""

    name = Text(max_length=200)
    networks = Texts(MAX_NETWORKS, 64, required=False, help_text="CIDR networks that may use it; empty: any")
    expires_at = Moment(required=False, allow_null=True)


@example(name="nightly import", role="viewer")
class NewKey(KeyChange):
    """A key to make: with a role, or with a list of permissions."""

    role = OneRole(required=False)
    permissions = Texts(
        len(KNOWN_PERMISSIONS), 64, required=False, help_text=f"Of: {', '.join(sorted(KNOWN_PERMISSIONS))}"
    )
    project = Text(max_length=64, required=False, allow_null=True, help_text="A slug; none: all projects")


@example(grace_seconds=3600)
class Rotation(Body):
    """How long the present secret goes on working."""

    grace_seconds = Whole(min_value=0, max_value=MAX_GRACE_SECONDS, required=False, default=GRACE_SECONDS)


class KeysView(View):
    required_permission = {"GET": "keys:manage_own", "POST": "keys:manage_own"}

    @documented(
        "keys_list",
        "API keys",
        TAG,
        paging.answer_of("KeyPage", KeyAnswer),
        parameters=LIST,
        description=f"{OWN} Who sees a part of the projects sees the keys of that part alone.",
    )
    def get(self, request: Request) -> Response:
        rows = keys_in_reach(self.by(request), self.organization(request))
        return many(request, KeyAnswer, rows.select_related("project", "created_by"))

    @documented(
        "keys_create",
        "Make an API key",
        TAG,
        KeyMade,
        status=201,
        request=NewKey,
        errors=(404,),
        description="The answer holds the key's text, once. A key never does more than who makes it.",
    )
    def post(self, request: Request) -> Response:
        given = body(request, NewKey)
        slug = given.pop("project", None)
        project = projects_named(self.principal(request), [slug], "project")[0] if slug is not None else None
        organization = self.organization(request)
        key, text = key_create(**self.change(request), organization=organization, project=project, **given)
        return made(KeyAnswer, key, 201, api_key=text)


class _OneKey(View):
    def found(self, request: Request, number: int) -> ApiKey:
        organization = self.organization(request)
        reach = keys_in_reach(self.by(request), organization).select_related("project", "created_by")
        return reachable(number, ApiKey.objects.filter(organization=organization), reach, "key")


class KeyView(_OneKey):
    required_permission = {"GET": "keys:manage_own", "PATCH": "keys:manage_own", "DELETE": "keys:manage_own"}

    @documented("keys_read", "One API key", TAG, KeyAnswer, parameters=ONE, description=OWN)
    def get(self, request: Request, number: int) -> Response:
        return one(request, KeyAnswer, partial(self.found, request, number))

    @documented(
        "keys_update",
        "Change an API key's name, networks or expiry",
        TAG,
        KeyAnswer,
        request=KeyChange,
        errors=(409,),
        description=f"{OWN} A change holds everywhere within ten seconds.",
    )
    def patch(self, request: Request, number: int) -> Response:
        given = body(request, KeyChange, partial=True)
        key = self.found(request, number)
        if given:
            key = key_update(**self.change(request), key=key, **given)
        return made(KeyAnswer, key)

    @documented(
        "keys_revoke",
        "Revoke an API key",
        TAG,
        None,
        status=204,
        description=f"{OWN} It stops working everywhere within ten seconds.",
    )
    def delete(self, request: Request, number: int) -> Response:
        nothing(request)
        key_revoke(**self.change(request), key=self.found(request, number))
        return Response(status=204)


class RotateView(_OneKey):
    required_permission = {"POST": "keys:manage_own"}

    @documented(
        "keys_rotate",
        "Give an API key a new secret",
        TAG,
        KeyMade,
        request=Rotation,
        errors=(409,),
        description=f"{OWN} The answer holds the new text, once; the present one works for `grace_seconds` more. "
        "Needs every permission of the key.",
    )
    def post(self, request: Request, number: int) -> Response:
        given = body(request, Rotation)
        key, text = key_rotate(**self.change(request), key=self.found(request, number), **given)
        return made(KeyAnswer, key, api_key=text)


urlpatterns: list[URLPattern] = [
    path("api/v1/keys", KeysView.as_view(), name="keys"),
    path("api/v1/keys/<int:number>", KeyView.as_view(), name="key"),
    path("api/v1/keys/<int:number>/rotate", RotateView.as_view(), name="key-rotate"),
]
