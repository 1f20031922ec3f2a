"""All routes: each app's `api.urlpatterns`, assembled here and nowhere else."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver

urlpatterns: list[URLPattern | URLResolver] = []
