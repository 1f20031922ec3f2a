"""Projects and what holds in them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from apps.orgs.admin.base import Lines, ServiceAdmin, ServiceForm
from apps.orgs.audit import Actor
from apps.orgs.models import Project
from apps.orgs.services import ANYTHING, project_create, project_update

_SETTINGS = ("raw_retention_days", "content_retention_days", "store_content", "redact_patterns", "redact_custom")


class ProjectForm(ServiceForm):
    """A project's settings; what the API takes as lists stands here one a line."""

    redact_patterns = Lines(required=False, help_text="Of email, phone, card, key: what to redact, one a line.")
    redact_custom = Lines(required=False, strip=False, help_text="One regular expression a line.")


@admin.register(Project)
class ProjectAdmin(ServiceAdmin):
    form = ProjectForm
    object_type = "project"
    findable = True
    offers = frozenset({"add", "change"})
    list_display = ("slug", "organization", "name", "store_content", "spans_per_minute", "created_at")
    list_filter = ("store_content",)
    search_fields = ("slug", "name", "organization__slug")
    ordering = ("organization__slug", "slug")
    autocomplete_fields = ("organization",)
    change_form_template = "admin/project.html"
    fields = ("organization", "slug", "name", *_SETTINGS, "spans_per_minute")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("organization")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("organization", "slug") if obj else ()

    def described(self, one: Any) -> str:
        return f"{one}: {one.name}"

    def make(self, actor: Actor, data: dict[str, Any]) -> Project:
        return project_create(actor=actor, by=ANYTHING, **data)

    def alter(self, actor: Actor, present: Any, data: dict[str, Any]) -> Project:
        return project_update(actor=actor, by=ANYTHING, project=present, **data)
