"""All routes: each app's `api.urlpatterns`, assembled here and nowhere else."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from django.urls import URLPattern, URLResolver, include, path

_APPS = ("common", "orgs", "ingest", "traces", "metrics", "costs")

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include(import_module(f"apps.{app}.api"))) for app in _APPS if find_spec(f"apps.{app}.api")
]

handler400 = "apps.common.handlers.bad_request"
handler403 = "apps.common.handlers.forbidden"
handler404 = "apps.common.handlers.not_found"
handler500 = "apps.common.handlers.server_error"
