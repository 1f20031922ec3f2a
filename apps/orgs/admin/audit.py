"""The audit log, to be read."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.utils.html import format_html

from apps.orgs.admin.base import ServiceAdmin
from apps.orgs.models import AuditEntry, Organization

# Named here: asking the table for its distinct actions would read all of it.
ACTIONS = (
    *("organization.create", "organization.update", "project.create", "project.update"),
    *("member.add", "member.update", "member.remove"),
    *("invitation.create", "invitation.revoke", "invitation.accept"),
    *("key.create", "key.update", "key.rotate", "key.revoke", "limit.set", "limit.remove"),
    *("price.create", "price.update", "price.end", "reprice.apply", "reprice.undo"),
    *("budget.create", "budget.update", "budget.delete"),
    *("user.create", "user.update", "user.password"),
    *("session.sign_in", "session.sign_out", "session.refused"),
    *("token.issue", "token.refused", "token.revoke", "token.reuse", "access.denied"),
    *("trace.delete", "user_data.delete"),
    *(f"export_schedule.{what}" for what in ("create", "update", "delete", "pause")),
    *("list.download", "dead_letter.redrive"),
    *("export.create", "export.cancel", "export.delete", "export.command", "export.download"),
)
MOST_ORGANIZATIONS = 200


class ActionFilter(admin.SimpleListFilter):
    title = parameter_name = "action"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(action, action) for action in ACTIONS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(action=self.value()) if self.value() else queryset


class OrganizationFilter(admin.SimpleListFilter):
    title = parameter_name = "organization"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        found = Organization.objects.order_by("slug").values_list("pk", "slug")[:MOST_ORGANIZATIONS]
        return [(str(number), slug) for number, slug in found]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = self.value()
        return queryset.filter(organization_id=int(chosen)) if chosen and chosen.isdecimal() else queryset


class ObjectFilter(admin.SimpleListFilter):
    """One object's history: `?object=member:7`, the address behind an object's History button."""

    title = parameter_name = "object"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        chosen = request.GET.get("object", "")
        return [(chosen, chosen)] if chosen else []

    def has_output(self) -> bool:
        return True

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        kind, _, number = (self.value() or "").partition(":")
        return queryset.filter(object_type=kind, object_id=number) if number else queryset


@admin.register(AuditEntry)
class AuditEntryAdmin(ServiceAdmin):
    """Nothing is offered but looking, whatever the address; the table itself refuses changes too."""

    object_type = "audit"
    list_display = ("at", "done", "actor", "what", "organization", "address")
    list_display_links = ("at",)
    list_filter = ("outcome", "at", ActionFilter, OrganizationFilter, ObjectFilter)
    search_fields = ("=actor", "=object_name", "=object_id", "=request_id")
    search_help_text = "Whole values: an actor, an object's name or id, a request id."
    sortable_by = ()
    sheet = (
        *("at", "outcome", "action", "actor_kind", "actor", "actor_id", "organization", "project_id", "object_type"),
        *("object_id", "object_name", "before", "after", "address", "request_id"),
    )
    fields = readonly_fields = (
        *("at", "outcome", "action", "actor_kind", "actor", "actor_id", "organization", "project_id"),
        *("object_type", "object_id", "object_name", "change_before", "change_after", "address", "request_id"),
    )

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """Newest first, in the order of an index: by organization there is one over time."""
        return ("-at", "-id") if request.GET.get("organization") else ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        slug = Organization.objects.filter(pk=OuterRef("organization_id")).values("slug")[:1]
        found: QuerySet[Any] = super().get_queryset(request).annotate(organization_slug=Subquery(slug))
        return found

    @admin.display(description="action")
    def done(self, entry: AuditEntry) -> str:
        return entry.action if entry.outcome == AuditEntry.Outcome.DONE else f"{entry.action} ({entry.outcome})"

    @admin.display
    def organization(self, entry: Any) -> str:
        return entry.organization_slug or (f"({entry.organization_id})" if entry.organization_id else "-")

    @admin.display(description="object")
    def what(self, entry: AuditEntry) -> str:
        return f"{entry.object_type} {entry.object_name or entry.object_id}".strip()

    @admin.display(description="before")
    def change_before(self, entry: AuditEntry) -> str:
        return _shown(entry.before)

    @admin.display(description="after")
    def change_after(self, entry: AuditEntry) -> str:
        return _shown(entry.after)


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return format_html("<pre>{}</pre>", json.dumps(value, indent=2, ensure_ascii=False))
