"""From a key or a person to the Principal: one organization, the projects in sight, the permissions, the limits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from ipaddress import ip_network

from apps.common.edge.address import Networks
from apps.common.errors import ApiError
from apps.common.rates.bucket import Bucket
from apps.orgs.access import ADMINISTRATION, PERMISSIONS, Principal, scope_of
from apps.orgs.models import ApiKey, Membership, Project, RateLimit, Role, User
from apps.orgs.tiers import buckets_for, tier_of

ORGANIZATION_HEADER = "X-Organization"


def key_principal(key: ApiKey) -> Principal:
    """What a key opens. Its organization must have been fetched with it.

    Keys outlive their makers' memberships, since applications send with them; the power to administer does not, or
    who has been removed or demoted could go on making keys with a key.
    """
    projects = Project.objects.filter(organization_id=key.organization_id)
    if key.project_id is not None:
        projects = projects.filter(pk=key.project_id)
    permissions = frozenset(key.permissions) if key.permissions else PERMISSIONS.get(key.role, frozenset())
    if key.created_by_id is not None and permissions & ADMINISTRATION:
        permissions -= ADMINISTRATION - _makers(key.created_by_id, key.organization_id)
    project_ids = dict(projects.values_list("slug", "pk"))
    tier = key.role or tier_of(permissions, PERMISSIONS)
    return Principal(
        organization_id=key.organization_id,
        organization_slug=key.organization.slug,
        project_ids=project_ids,
        all_projects=key.project_id is None,
        permissions=permissions,
        name=f"key:{key.public_id}",
        key_id=key.pk,
        key_project_id=key.project_id,
        role="" if key.permissions else key.role,
        networks=_networks(key.networks),
        buckets=_buckets(key.organization_id, f"key:{key.pk}", tier),
        scope=scope_of(key.organization_id, project_ids, permissions),
        credential=key_credential(key.secret_sha256),
    )


def key_credential(secret_sha256: str) -> str:
    """What stands for a key's secret where its holder may see it: of a hash of random 256 bits nothing leads back."""
    return hashlib.sha256(f"credential {secret_sha256}".encode()).hexdigest()[:12]


def _makers(user_id: int, organization_id: int) -> frozenset[str]:
    """What the person who made a key may do by now."""
    maker = User.objects.filter(pk=user_id, is_active=True)
    if maker.filter(is_superuser=True).exists():
        return ADMINISTRATION
    role = maker.filter(memberships__organization_id=organization_id).values_list("memberships__role", flat=True)
    return PERMISSIONS.get(role.first() or "", frozenset())


def _networks(texts: Iterable[object]) -> Networks | None:
    """A key's networks, None where it names none. One that cannot be read lets nobody in."""
    named = [str(text) for text in texts]
    if not named:
        return None
    found = []
    for text in named:
        try:
            found.append(ip_network(text.strip(), strict=False))
        except ValueError:
            continue
    return tuple(found)


def user_principal(user: User, named: str, remembered: str = "") -> Principal:
    """What a person may do in the organization that the request names.

    Args:
        named: the slug of the header X-Organization, empty where it is absent.
        remembered: the slug that the session remembers; without effect where it is no longer one of the person's.

    Returns:
        A principal without an organization where there is none, or where one of several must be named.

    Raises:
        ApiError: 1300 for a named organization of which the person is no member.
    """
    memberships = {row.organization.slug: row for row in user.memberships.select_related("organization").order_by("pk")}
    if named and named not in memberships:
        details = {"organization": named[:64]}
        raise ApiError(1300, "You are a member of no such organization.", field=ORGANIZATION_HEADER, details=details)
    chosen = memberships.get(named or remembered)
    if chosen is None and len(memberships) == 1:
        (chosen,) = memberships.values()
    return _member(user, chosen) if chosen is not None else _nobodys(user, tuple(memberships))


def _member(user: User, membership: Membership) -> Principal:
    organization = membership.organization
    projects = Project.objects.filter(organization=organization)
    if not membership.all_projects:
        projects = projects.filter(membership=membership)
    permissions = PERMISSIONS.get(membership.role, frozenset())
    project_ids = dict(projects.values_list("slug", "pk"))
    return Principal(
        organization_id=organization.pk,
        organization_slug=organization.slug,
        project_ids=project_ids,
        all_projects=membership.all_projects,
        permissions=permissions,
        name=user.email,
        user_id=user.pk,
        role=membership.role,
        is_superuser=user.is_superuser,
        buckets=_buckets(organization.pk, f"user:{user.pk}", membership.role),
        scope=scope_of(organization.pk, project_ids, permissions),
        credential=user.get_session_auth_hash()[:12],
    )


def _nobodys(user: User, organizations: tuple[str, ...]) -> Principal:
    return Principal(
        organization_id=0,
        organization_slug="",
        project_ids={},
        permissions=frozenset(),
        name=user.email,
        user_id=user.pk,
        is_superuser=user.is_superuser,
        organizations=organizations,
        buckets=buckets_for(0, f"user:{user.pk}", Role.VIEWER),
        scope=scope_of(0, {}, frozenset()),
    )


def _buckets(organization_id: int, caller: str, tier: str) -> dict[str, Bucket]:
    own = RateLimit.objects.filter(organization_id=organization_id)
    return buckets_for(organization_id, caller, tier, own.values_list("bucket", "per_minute", "burst"))
