"""Who is asking and what they may see: the one door to tenants' data."""

from __future__ import annotations

from dataclasses import dataclass

from apps.orgs.models import Role

_READ = {"traces:read", "events:read", "metrics:read", "insights:read", "alerts:read", "dashboards:read"}
_EXPORTS = {"exports:create", "exports:read", "exports:cancel", "exports:download"}
_BUILD = {"traces:content", "metrics:query", "costs:read", "alerts:manage", "dashboards:write", *_EXPORTS}

PERMISSIONS: dict[str, frozenset[str]] = {
    Role.ADMIN: frozenset(
        _READ
        | _BUILD
        | {"traces:write", "events:write", "scores:write", "costs:manage", "keys:manage"}
        | {"members:manage", "org:manage", "audit:read", "data:delete"}
    ),
    Role.DEVELOPER: frozenset(_READ | _BUILD | {"traces:write", "events:write", "scores:write", "keys:manage_own"}),
    Role.ANALYST: frozenset(_READ | _BUILD | {"scores:write"}),
    Role.BILLING: frozenset(
        {"metrics:read", "dashboards:read", "alerts:read", "costs:read", "costs:manage"} | _EXPORTS
    ),
    Role.VIEWER: frozenset(_READ),
}


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller: one organization, the projects it may see, what it may do.

    `project_ids` maps slug to id for every visible project; `key_project_id` is set where the key belongs to
    one project, which is then where its spans land.
    """

    organization_id: int
    organization_slug: str
    project_ids: dict[str, int]
    permissions: frozenset[str]
    name: str
    key_id: int | None = None
    key_project_id: int | None = None
    user_id: int | None = None

    @property
    def is_authenticated(self) -> bool:
        """DRF asks its `request.user` this."""
        return True
