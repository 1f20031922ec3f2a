"""The permission table of the roles as the API's contract states it.

Written down apart from apps/orgs/access.py on purpose: tests compare the two, and the API's behaviour, with this one.
"""

from __future__ import annotations

ROLES = ("admin", "developer", "analyst", "billing", "viewer")

_ROWS = """
traces:read         x x x . x
events:read         x x x . x
metrics:read        x x x x x
insights:read       x x x . x
alerts:read         x x x x x
dashboards:read     x x x x x
traces:content      x x x . .
traces:write        x x . . .
events:write        x x . . .
scores:write        x x x . .
metrics:query       x x x . .
costs:read          x x x x .
costs:manage        x . . x .
exports:create      x x x x .
exports:read        x x x x .
exports:cancel      x x x x .
exports:download    x x x x .
alerts:manage       x x x . .
dashboards:write    x x x . .
keys:manage         x . . . .
keys:manage_own     x x . . .
members:manage      x . . . .
org:manage          x . . . .
audit:read          x . . . .
data:delete         x . . . .
"""

TABLE: dict[str, frozenset[str]] = {
    fields[0]: frozenset(role for role, mark in zip(ROLES, fields[1:], strict=True) if mark == "x")
    for fields in (line.split() for line in _ROWS.strip().splitlines())
}

# What a route may ask for beside the table's permissions: nothing; any caller; any caller with an organization; a
# signed-in person, with an organization or without; a superuser.
PUBLIC, AUTHENTICATED, SIGNED_IN, ACCOUNT = "public", "authenticated", "signed_in", "account"
INSTALLATION = "installation:manage"
FURTHER = frozenset({PUBLIC, AUTHENTICATED, SIGNED_IN, ACCOUNT, INSTALLATION})


def permissions_of(role: str) -> frozenset[str]:
    return frozenset(permission for permission, roles in TABLE.items() if role in roles)
