"""Routes of the kernel: health, readiness."""

from __future__ import annotations

from django.urls import URLPattern, path

from apps.common import views

urlpatterns: list[URLPattern] = [
    path("health", views.health, name="health"),
    path("ready", views.ready, name="ready"),
]
