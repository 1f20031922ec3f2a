"""Routes of tenants: signing in, and who one is."""

from __future__ import annotations

from django.urls import URLPattern

from apps.orgs.api import sign_in

urlpatterns: list[URLPattern] = [*sign_in.urlpatterns]
