"""What changes tenants, by subject. Every change is made here, for the API, Django's admin and commands alike.

A service is told who acts (`actor`, for the audit log) and, where something is handed on, what that caller holds
(`by`); it checks the rules, changes, and writes the audit entry in one transaction. Refusals are `ApiError`.
"""

from __future__ import annotations

from apps.orgs.services.authority import ANYTHING, Authority, authority_of
from apps.orgs.services.bootstrap import Bootstrapped, organization_bootstrap
from apps.orgs.services.invitations import (
    Preview,
    invitation_accept,
    invitation_create,
    invitation_preview,
    invitation_revoke,
)
from apps.orgs.services.keys import api_key_create, key_create, key_revoke, key_rotate, key_update
from apps.orgs.services.limits import limit_remove, limit_set
from apps.orgs.services.members import member_add, member_remove, member_update
from apps.orgs.services.organizations import organization_create, organization_update
from apps.orgs.services.projects import add_project_validator, project_create, project_update
from apps.orgs.services.users import saves_recorded, user_create, user_password, user_update

__all__ = [
    "ANYTHING",
    "Authority",
    "Bootstrapped",
    "Preview",
    "add_project_validator",
    "api_key_create",
    "authority_of",
    "invitation_accept",
    "invitation_create",
    "invitation_preview",
    "invitation_revoke",
    "key_create",
    "key_revoke",
    "key_rotate",
    "key_update",
    "limit_remove",
    "limit_set",
    "member_add",
    "member_remove",
    "member_update",
    "organization_bootstrap",
    "organization_create",
    "organization_update",
    "project_create",
    "project_update",
    "saves_recorded",
    "user_create",
    "user_password",
    "user_update",
]
