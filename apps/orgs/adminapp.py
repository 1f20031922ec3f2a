"""Django's admin application, with the hub's own site."""

from __future__ import annotations

from django.contrib.admin.apps import AdminConfig


class HubAdminConfig(AdminConfig):
    """In INSTALLED_APPS in the place of django.contrib.admin.

    The site lies outside of the package apps.orgs.admin, which registers with it as soon as it is imported.
    """

    default_site = "apps.orgs.adminsite.HubAdminSite"
