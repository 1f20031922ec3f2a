"""API keys: made, rotated, revoked. A key's text is shown once."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone

from apps.common.errors import ApiError
from apps.orgs.access import KNOWN_PERMISSIONS
from apps.orgs.admin.base import Lines, ServiceAdmin, ServiceForm, shown_once
from apps.orgs.admin.deeds import each
from apps.orgs.audit import Actor, actor_of
from apps.orgs.models import ApiKey
from apps.orgs.services import ANYTHING, key_create, key_revoke, key_rotate, key_update

_STATED = ("prefix", "state", "created_at", "created_by", "last_used_at", "rotated_at", "previous_until", "revoked_at")


class KeyForm(ServiceForm):
    """A role or a list of permissions, and from where it may be used."""

    networks = Lines(required=False, help_text="One CIDR network a line; empty: from anywhere.")


class NewKeyForm(KeyForm):
    permissions = forms.MultipleChoiceField(
        required=False,
        choices=[(name, name) for name in sorted(KNOWN_PERMISSIONS)],
        widget=forms.CheckboxSelectMultiple,
        help_text="In the place of a role.",
    )


@admin.register(ApiKey)
class ApiKeyAdmin(ServiceAdmin):
    object_type = "key"
    findable = True
    offers = frozenset({"add", "change"})
    list_display = ("prefix", "name", "organization", "place", "rights", "state", "last_used_at", "expires_at")
    list_filter = ("role", ("revoked_at", admin.EmptyFieldListFilter), "expires_at")
    search_fields = ("public_id", "name", "organization__slug")
    search_help_text = "A prefix (ah_...), a name, or an organization's slug."
    sheet = (
        *("prefix", "name", "organization", "place", "rights", "networks", "state", "created_at", "created_by"),
        *("last_used_at", "rotated_at", "expires_at", "revoked_at"),
    )
    ordering = ("-created_at",)
    autocomplete_fields = ("organization", "project")
    actions = ("rotate", "revoke")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("organization", "project__organization", "created_by")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """A prefix as it is shown, and a key's whole text, which is cut to its prefix."""
        if search_term.strip().startswith("ah_"):
            return queryset.filter(public_id__startswith=search_term.strip().split("_")[1]), False
        return super().get_search_results(request, queryset, search_term)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        own = ("organization", "project", "name", "role", "permissions", "networks", "expires_at")
        return (*own, *_STATED) if obj else own

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("organization", "project", "role", "permissions", *_STATED) if obj else ()

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        return super().get_form(request, obj, change, form=KeyForm if change else NewKeyForm, **kwargs)

    @admin.display(description="role or permissions")
    def rights(self, key: ApiKey) -> str:
        return key.role or ", ".join(key.permissions)

    @admin.display(description="project")
    def place(self, key: ApiKey) -> str:
        return key.project.slug if key.project else "all"

    @admin.display
    def state(self, key: ApiKey) -> str:
        if key.revoked_at:
            return "revoked"
        return "expired" if key.expires_at and key.expires_at <= timezone.now() else "active"

    def described(self, one: Any) -> str:
        return f"{one.prefix}: {one.name}, of {one.organization}"

    def make(self, actor: Actor, data: dict[str, Any]) -> ApiKey:
        named = {name: value for name, value in data.items() if name != "text"}
        key, data["text"] = key_create(actor=actor, by=ANYTHING, **named)
        return key

    def alter(self, actor: Actor, present: Any, data: dict[str, Any]) -> ApiKey:
        return key_update(actor=actor, by=ANYTHING, key=present, **data)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        obj.text = form.cleaned_data.get("text")

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        return self._texts(request, [(obj.name, obj.text)])

    def _texts(self, request: HttpRequest, texts: list[tuple[str, str]]) -> HttpResponse:
        back = reverse("admin:orgs_apikey_changelist")
        return shown_once(request, self.admin_site, "Copy the key now: it is shown this once", texts, back)

    @admin.action(description="Rotate the chosen keys (the old ones work for another day)", permissions=["superuser"])
    def rotate(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        texts = []
        for one in queryset:
            try:
                key, text = key_rotate(actor=actor_of(request), by=ANYTHING, key=one)
            except ApiError as error:
                messages.error(request, f"{one._meta.verbose_name} {one}: {error.message}")
            else:
                texts.append((key.name, text))
        return self._texts(request, texts) if texts else None

    @admin.action(description="Revoke the chosen keys", permissions=["superuser"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        def act(one: ApiKey) -> None:
            key_revoke(actor=actor_of(request), by=ANYTHING, key=one)

        each(request, queryset, act, "Revoked; they stop working within ten seconds")
