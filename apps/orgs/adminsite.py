"""The admin site: people sign in and out on the hub's own pages."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, URLResolver, path, reverse

from apps.orgs.pages.common import safe_next
from apps.orgs.pages.sign_in import sign_out

# In the order of work.
_ORDER = (
    *("Organization", "Project", "User", "Membership", "Invitation"),
    *("ApiKey", "RateLimit", "SignIn", "AuditEntry"),
    *("ExportJob", "ExportSchedule", "ExportLimit", "RepriceJob"),
)


class HubAdminSite(AdminSite):
    """Analytics Hub's administration."""

    site_header = site_title = "Analytics Hub administration"
    index_title = "Administration"
    site_url = "/account"

    def login(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """To our sign-in page; whoever has signed in and is no staff is refused."""
        if self.has_permission(request):
            return redirect("admin:index")
        if request.user.is_authenticated:
            raise PermissionDenied
        after = safe_next(request) if "next" in request.GET else request.get_full_path()
        return redirect(f"{settings.LOGIN_URL}?{urlencode({'next': after})}")

    def logout(self, request: HttpRequest, extra_context: Any = None) -> Any:
        return sign_out(request)

    def password_change(self, request: HttpRequest, extra_context: Any = None) -> Any:
        return redirect("change-password")

    def get_urls(self) -> list[URLPattern | URLResolver]:
        from apps.orgs.admin.background import background_view

        def view(request: HttpRequest) -> HttpResponse:
            return background_view(request, self)

        return [path("background/", self.admin_view(view), name="background"), *super().get_urls()]

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        apps = super().get_app_list(request, app_label)
        for app in apps:
            app["models"].sort(key=lambda model: _ORDER.index(model["object_name"]))
        return [*apps, *([_operation()] if app_label is None and request.user.is_superuser else ())]


def _operation() -> dict[str, Any]:
    """What is no model, in the shape of an application."""
    address = reverse("admin:background")
    page: dict[str, Any] = {"name": "Background work", "object_name": "Background", "model": None}
    page |= {"admin_url": address, "add_url": None, "view_only": True, "perms": {"view": True}}
    app: dict[str, Any] = {"name": "Operation", "app_label": "operation", "app_url": address}
    return {**app, "has_module_perms": True, "models": [page]}
