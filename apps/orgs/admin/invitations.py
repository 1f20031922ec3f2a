"""Invitations: made here, shown once, revoked."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone

from apps.orgs.admin.base import ServiceAdmin, ServiceForm, shown_once
from apps.orgs.admin.deeds import each
from apps.orgs.admin.members import projects_shown, reach_of
from apps.orgs.audit import Actor, actor_of
from apps.orgs.models import Invitation
from apps.orgs.services import ANYTHING, invitation_create, invitation_revoke


class InvitationForm(ServiceForm):
    """Whom, to what, for how long."""

    expires_in_days = forms.IntegerField(initial=7, min_value=1, label="Open for days")


@admin.register(Invitation)
class InvitationAdmin(ServiceAdmin):
    object_type = "invitation"
    offers = frozenset({"add"})
    form = InvitationForm
    list_display = ("email", "organization", "role", "reach", "state", "expires_at", "invited_by")
    list_select_related = ("organization", "invited_by")
    list_filter = ("role",)
    search_fields = ("email", "organization__slug")
    ordering = ("-created_at",)
    autocomplete_fields = ("organization", "projects")
    actions = ("revoke",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).prefetch_related("projects")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return ("organization", "email", "role", "all_projects", "projects", "expires_in_days")
        return ("organization", "email", "role", "reach", "state", "created_at", "expires_at", "invited_by")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.get_fields(request, obj) if obj else ()

    @admin.display(description="projects")
    def reach(self, invitation: Invitation) -> str:
        return projects_shown(invitation)

    @admin.display
    def state(self, invitation: Invitation) -> str:
        if invitation.accepted_at:
            return "accepted"
        if invitation.revoked_at:
            return "revoked"
        return "expired" if invitation.expires_at <= timezone.now() else "open"

    def make(self, actor: Actor, data: dict[str, Any]) -> Invitation:
        named = {name: data[name] for name in ("organization", "email", "role", "expires_in_days")}
        invitation, token = invitation_create(actor=actor, by=ANYTHING, **named, **reach_of(data))
        data["token"] = token  # for the page that follows, and nowhere else
        return invitation

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        obj.link = request.build_absolute_uri(reverse("invitation", args=[form.cleaned_data["token"]]))

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        back = reverse("admin:orgs_invitation_changelist")
        title = f"The link for {obj.email}: send it to them, it is shown this once"
        return shown_once(request, self.admin_site, title, [(obj.email, obj.link)], back)

    @admin.action(description="Revoke the chosen invitations", permissions=["superuser"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        def act(one: Invitation) -> None:
            invitation_revoke(actor=actor_of(request), by=ANYTHING, invitation=one)

        each(request, queryset, act, "Revoked")
