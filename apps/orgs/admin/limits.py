"""Organizations' own rate limits."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from apps.orgs.admin.base import ServiceAdmin, ServiceForm
from apps.orgs.audit import Actor
from apps.orgs.models import RateLimit
from apps.orgs.services import limit_remove, limit_set
from apps.orgs.tiers import bucket_names


class LimitForm(ServiceForm):
    """One of the buckets that there are."""

    bucket = forms.ChoiceField(choices=lambda: [(name, name) for name in bucket_names()])


@admin.register(RateLimit)
class RateLimitAdmin(ServiceAdmin):
    object_type = "limit"
    offers = frozenset({"add", "change", "delete"})
    list_display = ("bucket", "organization", "per_minute", "burst")
    list_select_related = ("organization",)
    list_filter = ("bucket",)
    search_fields = ("organization__slug", "bucket")
    ordering = ("organization__slug", "bucket")
    autocomplete_fields = ("organization",)
    fields = ("organization", "bucket", "per_minute", "burst")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("organization", "bucket") if obj else ()

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        return super().get_form(request, obj, change, **({} if change else {"form": LimitForm}), **kwargs)

    def make(self, actor: Actor, data: dict[str, Any]) -> RateLimit:
        return limit_set(actor=actor, **data)

    def alter(self, actor: Actor, present: Any, data: dict[str, Any]) -> RateLimit:
        figures = {"per_minute": present.per_minute, "burst": present.burst, **data}
        return limit_set(actor=actor, organization=present.organization, bucket=present.bucket, **figures)

    def end(self, actor: Actor, present: Any) -> None:
        limit_remove(actor=actor, limit=present)
