"""People."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters

from apps.common.errors import ApiError
from apps.orgs.admin.base import ReadOnlyInline, ServiceAdmin, ServiceForm
from apps.orgs.admin.members import projects_shown
from apps.orgs.audit import Actor, actor_of
from apps.orgs.models import Membership, User
from apps.orgs.pages.common import add_refusal
from apps.orgs.pages.forms import TwiceForm
from apps.orgs.services import user_create, user_password, user_update

_FLAGS = ("is_active", "is_staff", "is_superuser")
_OWN = "This is your own account: another superuser has to do that."


class MembershipInline(ReadOnlyInline):
    model = Membership
    shown_by = "organization"
    fields = readonly_fields = ("opened", "role", "reach")
    ordering = ("organization__slug",)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("user", "organization").prefetch_related("projects")

    @admin.display(description="projects")
    def reach(self, membership: Membership) -> str:
        return projects_shown(membership)


class NewUserForm(ServiceForm):
    """A person, with a password or without one."""

    password = forms.CharField(
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="Empty: the person cannot sign in until a password is set here or an invitation is sent.",
    )


@admin.register(User)
class UserAdmin(ServiceAdmin):
    object_type = "user"
    findable = True
    offers = frozenset({"add", "change"})
    list_display = ("email", "name", *_FLAGS, "last_login", "created_at")
    list_filter = _FLAGS
    search_fields = ("email", "name")
    ordering = ("email",)
    change_form_template = "admin/person.html"

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("email", "name", *_FLAGS, *(("last_login", "created_at") if obj else ("password",)))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("last_login", "created_at") if obj else ()

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        return (MembershipInline,) if obj else ()

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        return super().get_form(request, obj, change, **({} if change else {"form": NewUserForm}), **kwargs)

    def described(self, one: Any) -> str:
        return f"{one.email}: {one.name}" if one.name else str(one.email)

    def make(self, actor: Actor, data: dict[str, Any]) -> User:
        return user_create(actor=actor, **{**data, "password": data["password"] or None})

    def alter(self, actor: Actor, present: Any, data: dict[str, Any]) -> User:
        if actor.id == present.pk:
            for flag in _FLAGS:
                if data.get(flag) is False:
                    raise ApiError(1102, _OWN, field=flag)
        return user_update(actor=actor, user=present, **data)

    def get_urls(self) -> list[URLPattern]:
        own = path("<int:pk>/password/", self.admin_site.admin_view(self.password_view), name="orgs_user_password")
        return [own, *super().get_urls()]

    @method_decorator(sensitive_post_parameters("password", "again"))
    def password_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Set a person's password; they are signed out everywhere."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        user = get_object_or_404(User, pk=pk)
        form = TwiceForm(request.POST or None)
        if request.method == "POST" and form.is_valid() and _set(request, user, form):
            messages.success(request, f"{user.email} has a new password and is signed out everywhere.")
            return redirect("admin:orgs_user_change", user.pk)
        context = {"title": f"Set the password of {user.email}", "form": form, "person": user, "opts": self.opts}
        return render(request, "admin/password.html", {**self.admin_site.each_context(request), **context})


def _set(request: HttpRequest, user: User, form: TwiceForm) -> bool:
    try:
        user_password(actor=actor_of(request), user=user, password=form.cleaned_data["password"])
    except ApiError as error:
        add_refusal(form, error, {"password": "password"})
        return False
    return True
