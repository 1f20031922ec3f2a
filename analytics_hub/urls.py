"""All routes: each app's `api.urlpatterns`, assembled here and nowhere else."""

from __future__ import annotations

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("apps.common.api")),
    path("", include("apps.orgs.pages.urls")),
    path("", include("apps.orgs.api")),
    path("admin/", admin.site.urls),
    path("", include("apps.ingest.api")),
    path("", include("apps.metrics.api")),
]

handler400 = "apps.common.handlers.bad_request"
handler403 = "apps.common.handlers.forbidden"
handler404 = "apps.common.handlers.not_found"
handler500 = "apps.common.handlers.server_error"
