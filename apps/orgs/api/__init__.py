"""Routes of tenants: signing in, organizations, projects, members, invitations, keys, the audit log."""

from __future__ import annotations

from django.urls import URLPattern

from apps.orgs.api import audit, invitations, keys, members, organizations, projects, sign_in

urlpatterns: list[URLPattern] = [
    *sign_in.urlpatterns,
    *organizations.urlpatterns,
    *projects.urlpatterns,
    *members.urlpatterns,
    *invitations.urlpatterns,
    *keys.urlpatterns,
    *audit.urlpatterns,
]
