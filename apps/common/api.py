"""Routes of the kernel: health, readiness, documentation."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpResponseBase
from django.urls import URLPattern, path
from django.views.generic import RedirectView

from apps.common import docs, views
from apps.common.http import open_to_all


def _leads_to(url: str) -> Callable[..., HttpResponseBase]:
    return open_to_all(RedirectView.as_view(url=url, http_method_names=["get", "head"]))


urlpatterns: list[URLPattern] = [
    path("health", views.health, name="health"),
    path("ready", views.ready, name="ready"),
    path("metrics", views.metrics, name="prometheus"),
    path("docs/errors/", docs.error_index, name="error-index"),
    path("docs/errors/<int:code>", docs.error_page, name="error-page"),
    path("api/schema/", open_to_all(docs.SchemaView.as_view()), name="schema"),
    path("api/docs/", docs.swagger, name="api-docs"),
    path("docs/errors", _leads_to("/docs/errors/")),
    path("api/schema", _leads_to("/api/schema/")),
    path("api/docs", _leads_to("/api/docs/")),
]
