"""The administration of tenants under /admin/: a face of the services, with no rules of its own.

Superusers change; staff look at what their Django permissions let them view.
"""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.models import Group

from apps.orgs.admin import (  # noqa: F401  # they register themselves
    audit,
    background,
    invitations,
    keys,
    limits,
    members,
    organizations,
    projects,
    sign_ins,
    users,
)

# Rights come from memberships and is_superuser; Django's groups would be a second, silent system.
if admin.site.is_registered(Group):
    admin.site.unregister(Group)
