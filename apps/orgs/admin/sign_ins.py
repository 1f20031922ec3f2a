"""Sign-ins over the API: who holds tokens, and how to end them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from apps.orgs import tokens
from apps.orgs.admin.base import ServiceAdmin
from apps.orgs.admin.deeds import each
from apps.orgs.audit import actor_of
from apps.orgs.authentication import forget_keys
from apps.orgs.models import SignIn


@admin.register(SignIn)
class SignInAdmin(ServiceAdmin):
    object_type = "sign_in"
    list_display = ("id", "user", "state", "address", "created_at", "rotated_at", "expires_at", "revoked_reason")
    list_select_related = ("user",)
    list_filter = (("revoked_at", admin.EmptyFieldListFilter), "created_at")
    search_fields = ("=user__email", "=address")
    ordering = ("-created_at",)
    actions = ("revoke",)
    fields = readonly_fields = (
        *("id", "user", "state", "address", "created_at", "rotated_at", "expires_at"),
        *("revoked_at", "revoked_reason"),
    )

    @admin.display
    def state(self, sign_in: SignIn) -> str:
        if sign_in.revoked_at:
            return "ended"
        return "expired" if sign_in.expires_at <= timezone.now() else "open"

    @admin.action(description="End the chosen sign-ins", permissions=["superuser"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        each(request, queryset, lambda one: tokens.end(one, actor_of(request)), "Ended; tokens stop within ten seconds")
        forget_keys()
