"""How many requests each role may make, and the dear endpoints' own buckets: figures as data.

`requests` is charged by every request; a dear endpoint names a further bucket. An organization's own figures
(`RateLimit` rows) take the place of the installation's.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping

from apps.common.rates.bucket import Bucket
from apps.orgs.models import Role

Figures = tuple[int, int]  # a minute, burst

ROLE_FIGURES: dict[str, Figures] = {
    Role.ADMIN: (100_000, 120_000),
    Role.DEVELOPER: (10_000, 12_000),
    Role.ANALYST: (5_000, 6_000),
    Role.BILLING: (1_000, 1_200),
    Role.VIEWER: (1_000, 1_200),
}
ENDPOINT_FIGURES: dict[str, Figures] = {
    "traces/search": (100, 100),
    "export": (10, 10),
    "models/compare": (50, 50),
}
SIGN_IN_FIGURES: Figures = (10, 10)  # per address, for auth/token
DENIAL_FIGURES: Figures = (10, 10)  # per address, for entries in the audit log about callers who are nobody
REFRESH_FIGURES: Figures = (120, 120)  # per address, for auth/token/refresh and revoke: many people may share one


def bucket_names() -> list[str]:
    """Every name that a `RateLimit` may have."""
    return [f"requests:{role}" for role in ROLE_FIGURES] + list(ENDPOINT_FIGURES)


def tier_of(permissions: frozenset[str], table: Mapping[str, frozenset[str]]) -> str:
    """The role whose figures hold for a key with a list of permissions: the smallest that has them all."""
    fitting = [role for role, held in table.items() if permissions <= held]
    return min(fitting or [Role.ADMIN], key=lambda role: (ROLE_FIGURES[role], role))


def buckets_for(
    organization_id: int, caller: str, role: str, own: Iterable[tuple[str, int, int]] = ()
) -> dict[str, Bucket]:
    """A caller's buckets by name: `requests`, and one for each dear endpoint.

    Args:
        caller: a name that is unique in the organization, such as `key:7`.
        own: the organization's figures, as (bucket name, a minute, burst).
    """
    figures = {name: (per_minute, burst) for name, per_minute, burst in own}
    requests = figures.get(f"requests:{role}") or ROLE_FIGURES.get(role) or ROLE_FIGURES[Role.VIEWER]
    named = {"requests": requests, **{name: figures.get(name) or one for name, one in ENDPOINT_FIGURES.items()}}
    # The braces are the hash tag: whatever one organization is charged for lies on one node of a cluster.
    return {
        name: Bucket(f"hub:limit:{{{organization_id}}}:{caller}:{name}", per_minute, burst, name)
        for name, (per_minute, burst) in named.items()
    }


def span_bucket(organization_id: int, project_id: int, per_minute: int) -> Bucket:
    """The bucket that a project's spans are charged to; it holds a minute's worth."""
    figure = max(1, per_minute)
    return Bucket(f"hub:limit:{{{organization_id}}}:project:{project_id}:spans", figure, figure, "spans")


def sign_in_bucket(address: str) -> Bucket:
    """How often passwords may be tried from an address, over the API and on the pages together."""
    return _address_bucket(address, "auth/token", SIGN_IN_FIGURES)


def refresh_bucket(address: str) -> Bucket:
    """How often refresh tokens may be shown from an address."""
    return _address_bucket(address, "auth/refresh", REFRESH_FIGURES)


def denial_bucket(address: str) -> Bucket:
    """How many denials of unknown callers from an address are written down: no request of theirs costs a token."""
    return _address_bucket(address, "audit/denied", DENIAL_FIGURES)


def _address_bucket(address: str, name: str, figures: Figures) -> Bucket:
    """An IPv6 address counts as its network of 64 bits, which is what one customer is given."""
    try:
        who = str(ipaddress.IPv6Network((ipaddress.IPv6Address(address), 64), strict=False).network_address)
    except ValueError:
        who = address
    return Bucket(f"hub:limit:{{address:{who}}}:{name}", *figures, name)
