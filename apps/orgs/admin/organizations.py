"""Organizations, with what belongs to them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest

from apps.orgs.admin.base import ReadOnlyInline, ServiceAdmin
from apps.orgs.admin.members import projects_shown
from apps.orgs.audit import Actor
from apps.orgs.models import Membership, Organization, Project, RateLimit
from apps.orgs.services import ANYTHING, organization_create, organization_update


class ProjectInline(ReadOnlyInline):
    model = Project
    shown_by = "slug"
    fields = readonly_fields = ("opened", "name", "store_content", "spans_per_minute")
    ordering = ("slug",)


class MembershipInline(ReadOnlyInline):
    model = Membership
    shown_by = "user"
    fields = readonly_fields = ("opened", "role", "reach")
    ordering = ("user__email",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("user", "organization").prefetch_related("projects")

    @admin.display(description="projects")
    def reach(self, membership: Membership) -> str:
        return projects_shown(membership)


class LimitInline(ReadOnlyInline):
    model = RateLimit
    shown_by = "bucket"
    fields = readonly_fields = ("opened", "per_minute", "burst")
    ordering = ("bucket",)


def _number_of(related: type[Any]) -> Coalesce:
    """How many rows of a table belong to the organization, counted on its own: two joins would multiply."""
    rows = related.objects.filter(organization=OuterRef("pk")).order_by().values("organization")
    return Coalesce(Subquery(rows.annotate(number=Count("pk")).values("number")), 0)


@admin.register(Organization)
class OrganizationAdmin(ServiceAdmin):
    object_type = "organization"
    findable = True
    offers = frozenset({"add", "change"})
    list_display = ("slug", "name", "number_of_projects", "number_of_members", "created_at")
    search_fields = ("slug", "name")
    ordering = ("slug",)
    change_form_template = "admin/organization.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        counts = {"projects_count": _number_of(Project), "members_count": _number_of(Membership)}
        found: QuerySet[Any] = super().get_queryset(request).annotate(**counts)
        return found

    @admin.display(description="projects", ordering="projects_count")
    def number_of_projects(self, organization: Any) -> int:
        return int(organization.projects_count)

    @admin.display(description="members", ordering="members_count")
    def number_of_members(self, organization: Any) -> int:
        return int(organization.members_count)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("slug", "name", "created_at") if obj else ("slug", "name")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("slug", "created_at") if obj else ()

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        return (ProjectInline, MembershipInline, LimitInline) if obj else ()

    def described(self, one: Any) -> str:
        return f"{one.slug}: {one.name}"

    def make(self, actor: Actor, data: dict[str, Any]) -> Organization:
        return organization_create(actor=actor, slug=data["slug"], name=data["name"])

    def alter(self, actor: Actor, present: Any, data: dict[str, Any]) -> Organization:
        return organization_update(actor=actor, by=ANYTHING, organization=present, name=data.get("name", present.name))
