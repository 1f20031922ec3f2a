"""Who is asking and what they may see: the one door to tenants' data."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from django.core.exceptions import ValidationError

from apps.common.edge.address import Networks
from apps.common.errors import ApiError
from apps.common.rates.bucket import Bucket
from apps.orgs.models import SLUG, Project, Role

# Beside the table's permissions, what a route may ask for.
PUBLIC = "public"  # nobody has to sign in
AUTHENTICATED = "authenticated"  # any key, and any person, with or without an organization
SIGNED_IN = "signed_in"  # any principal of an organization
ACCOUNT = "account"  # a signed-in person, with or without an organization
INSTALLATION = "installation:manage"  # superusers, who run the installation

_READ = {"traces:read", "events:read", "metrics:read", "insights:read", "alerts:read", "dashboards:read"}
_EXPORTS = {"exports:create", "exports:read", "exports:cancel", "exports:download"}
_BUILD = {"traces:content", "metrics:query", "costs:read", "alerts:manage", "dashboards:write", *_EXPORTS}
_OWN_KEYS = {"keys:manage_own"}

# The permission table of the roles, as data. `keys:manage_own` is the table's "own keys".
PERMISSIONS: dict[str, frozenset[str]] = {
    Role.ADMIN: frozenset(
        _READ
        | _BUILD
        | _OWN_KEYS
        | {"traces:write", "events:write", "scores:write", "costs:manage", "keys:manage"}
        | {"members:manage", "org:manage", "audit:read", "data:delete"}
    ),
    Role.DEVELOPER: frozenset(_READ | _BUILD | _OWN_KEYS | {"traces:write", "events:write", "scores:write"}),
    Role.ANALYST: frozenset(_READ | _BUILD | {"scores:write"}),
    Role.BILLING: frozenset(
        {"metrics:read", "dashboards:read", "alerts:read", "costs:read", "costs:manage"} | _EXPORTS
    ),
    Role.VIEWER: frozenset(_READ),
}
# What a key keeps only as long as the person who made it holds it too.
ADMINISTRATION: frozenset[str] = frozenset(
    {"keys:manage", "keys:manage_own", "members:manage", "org:manage", "audit:read", "data:delete"}
)
KNOWN_PERMISSIONS: frozenset[str] = frozenset().union(*PERMISSIONS.values())


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller: one organization, the projects it may see, what it may do.

    `project_ids` maps slug to id for every visible project, as of up to ten seconds ago; `all_projects` says that
    the caller sees every project of the organization; `key_project_id` is set where the key belongs to one project,
    which is then where its spans land. `organization_id` is 0 for a person without an organization, who holds no
    permission but, as a superuser, `INSTALLATION`; `organizations` then lists those of which one must be named.
    `networks` are a key's, None where it may come from anywhere. `role` is empty for a key with a list of permissions.
    `buckets` are its rate limits, by name (apps.orgs.tiers). `credential` stands for the password or secret behind it:
    it changes with that and tells nothing about it.
    """

    organization_id: int
    organization_slug: str
    project_ids: dict[str, int]
    permissions: frozenset[str]
    name: str
    all_projects: bool = False
    key_id: int | None = None
    key_project_id: int | None = None
    user_id: int | None = None
    role: str = ""
    is_superuser: bool = False
    organizations: tuple[str, ...] = ()
    networks: Networks | None = None
    buckets: Mapping[str, Bucket] = field(default_factory=dict)
    scope: str = ""
    credential: str = ""

    @property
    def is_authenticated(self) -> bool:
        """DRF asks its `request.user` this."""
        return True

    @property
    def kind(self) -> str:
        return "user" if self.key_id is None else "key"


def scope_of(organization_id: int, project_ids: Mapping[str, int], permissions: frozenset[str]) -> str:
    """What two callers must have in common to be given the same cached answer: tenant, projects, permissions."""
    parts = (organization_id, sorted(project_ids.items()), sorted(permissions))
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


# Who manages all keys manages their own.
_IMPLIED_BY = {"keys:manage_own": "keys:manage"}
# What the names beside the table's permissions ask of a caller, and how a refusal says it.
_STANDING: dict[str, tuple[Callable[[Principal], bool], str]] = {
    PUBLIC: (lambda _: True, ""),
    AUTHENTICATED: (lambda _: True, ""),
    SIGNED_IN: (lambda caller: caller.organization_id != 0, "You are a member of no organization."),
    ACCOUNT: (lambda caller: caller.user_id is not None, "This is for people who sign in; a key has no account."),
    INSTALLATION: (lambda caller: caller.is_superuser, "This is for those who run the installation."),
}


def require_permission(principal: Principal, permission: str) -> None:
    """Let only those pass who hold the permission.

    Raises:
        ApiError: 1100, naming the permission; 1201 where a member of several organizations has named none.
    """
    fulfilled, message = _STANDING.get(permission, (None, ""))
    held = principal.permissions
    if fulfilled(principal) if fulfilled else permission in held or _IMPLIED_BY.get(permission) in held:
        return
    if principal.organizations and permission not in (ACCOUNT, INSTALLATION):
        text = "You are a member of several organizations: name one by its slug in the header X-Organization."
        raise ApiError(1201, text, field="X-Organization", details={"organizations": list(principal.organizations)})
    details = {"required_permission": permission}
    raise ApiError(1100, message or f"This needs the permission {permission}.", details=details)


def scope_projects(principal: Principal, slugs: Sequence[str] | None) -> tuple[int, ...]:
    """The ids of the named projects, or of all that the caller may see.

    Raises:
        ApiError: 1101 for a project of the caller's organization that it may not see, 1300 for one that does not
            exist there (another organization's projects do not exist for the caller).
    """
    if not slugs:
        return tuple(sorted(principal.project_ids.values()))
    return tuple(sorted({visible_project(principal, slug) for slug in slugs}))


def visible_project(principal: Principal, slug: str) -> int:
    """The id of one project by slug. Raises as `scope_projects` does."""
    known = principal.project_ids.get(slug)
    if known is not None:
        return known
    try:
        SLUG(slug)
    except ValidationError:
        # It names nothing, and may hold what no database takes.
        message = "A project is named by its slug: 1 to 64 of a-z, 0-9 and inner hyphens."
        raise ApiError(1300, message, field="project") from None
    # Not in the principal as it was cached: unknown, hidden, or made a moment ago.
    found = Project.objects.filter(organization_id=principal.organization_id, slug=slug).values_list("pk", flat=True)
    project_id = found.first()
    if project_id is None:
        raise ApiError(1300, f"There is no project '{slug}'.", field="project", details={"project": slug[:64]})
    if not principal.all_projects:
        raise ApiError(
            1101,
            f"The project is outside your {'key' if principal.key_id else 'membership'}.",
            field="project",
            details={"project": slug[:64]},
        )
    return project_id
