"""Organizations' own limits of exports."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from apps.exports.jobs.own_limits import FIGURES, export_limit_remove, export_limit_set
from apps.exports.models import ExportLimit
from apps.orgs.admin.base import ServiceAdmin
from apps.orgs.audit import Actor


@admin.register(ExportLimit)
class ExportLimitAdmin(ServiceAdmin):
    object_type = "export_limit"
    offers = frozenset({"add", "change", "delete"})
    list_display = ("organization", *FIGURES)
    list_select_related = ("organization",)
    search_fields = ("organization__slug",)
    ordering = ("organization__slug",)
    autocomplete_fields = ("organization",)
    fields = ("organization", *FIGURES)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("organization",) if obj else ()

    def make(self, actor: Actor, data: dict[str, Any]) -> ExportLimit:
        return export_limit_set(actor=actor, **data)

    def alter(self, actor: Actor, present: Any, data: dict[str, Any]) -> ExportLimit:
        figures = {name: getattr(present, name) for name in FIGURES}
        return export_limit_set(actor=actor, organization=present.organization, **{**figures, **data})

    def end(self, actor: Actor, present: Any) -> None:
        export_limit_remove(actor=actor, limit=present)
