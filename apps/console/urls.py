"""The console's addresses."""

from __future__ import annotations

from django.urls import path

from apps.console.pages import choices, overview

urlpatterns = [
    path("overview", overview.overview, name="overview"),
    path("choices/<str:name>", choices.choices, name="console-choices"),
]
