"""Routes of the kernel: health, readiness, documentation."""

from __future__ import annotations

from django.urls import URLPattern, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularSwaggerView

from apps.common import docs, views

urlpatterns: list[URLPattern] = [
    path("", RedirectView.as_view(url="/api/docs/"), name="root"),
    path("health", views.health, name="health"),
    path("ready", views.ready, name="ready"),
    path("docs/errors/", docs.error_index, name="error-index"),
    path("docs/errors/<int:code>", docs.error_page, name="error-page"),
    path("api/schema/", docs.SchemaView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerView.as_view(url_name="schema"), name="api-docs"),
    path("docs/errors", RedirectView.as_view(url="/docs/errors/")),
    path("api/schema", RedirectView.as_view(url="/api/schema/")),
    path("api/docs", RedirectView.as_view(url="/api/docs/")),
]
