"""Who belongs where, as what."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from apps.orgs.admin.base import ServiceAdmin
from apps.orgs.audit import Actor
from apps.orgs.models import Invitation, Membership
from apps.orgs.services import ANYTHING, member_add, member_remove, member_update


def projects_shown(one: Membership | Invitation) -> str:
    """The projects of a membership or an invitation, which have been fetched before."""
    return "all" if one.all_projects else ", ".join(sorted(project.slug for project in one.projects.all()))


def reach_of(data: dict[str, Any]) -> dict[str, Any]:
    """The projects as services take them: all, or those chosen."""
    return {"all_projects": data["all_projects"], "projects": list(data["projects"])}


@admin.register(Membership)
class MembershipAdmin(ServiceAdmin):
    object_type = "member"
    offers = frozenset({"add", "change", "delete"})
    list_display = ("user", "organization", "role", "reach", "created_at")
    list_select_related = ("user", "organization")
    list_filter = ("role", "all_projects")
    search_fields = ("user__email", "organization__slug")
    ordering = ("organization__slug", "user__email")
    autocomplete_fields = ("user", "organization", "projects")
    fields = ("user", "organization", "role", "all_projects", "projects")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).prefetch_related("projects")

    @admin.display(description="projects")
    def reach(self, membership: Membership) -> str:
        return projects_shown(membership)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("user", "organization") if obj else ()

    def make(self, actor: Actor, data: dict[str, Any]) -> Membership:
        named = {name: data[name] for name in ("user", "organization", "role")}
        return member_add(actor=actor, by=ANYTHING, **named, **reach_of(data))

    def alter(self, actor: Actor, present: Any, data: dict[str, Any]) -> Membership:
        return member_update(actor=actor, by=ANYTHING, membership=present, **_changes(present, data))

    def end(self, actor: Actor, present: Any) -> None:
        member_remove(actor=actor, by=ANYTHING, membership=present)


def _changes(present: Membership, data: dict[str, Any]) -> dict[str, Any]:
    changes = {"role": data["role"]} if "role" in data else {}
    if {"all_projects", "projects"} & set(data):
        known = {"all_projects": present.all_projects, "projects": present.projects.all()}
        changes |= reach_of({**known, **data})
    return changes
