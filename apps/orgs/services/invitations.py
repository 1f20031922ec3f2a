"""Sign-up by invitation: a link that makes whoever holds it, and proves the address's password, a member once."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from apps.common.errors import ApiError
from apps.orgs.audit import Actor, record
from apps.orgs.models import Invitation, Membership, Organization, Project, User
from apps.orgs.services.authority import ANYTHING, Authority, in_reach, role_permissions
from apps.orgs.services.members import check_reach, member_add
from apps.orgs.services.rules import email_of, insert, locked
from apps.orgs.services.users import user_create

DAYS, MAX_DAYS = 7, 90
MAX_TOKEN = 200


@dataclass(frozen=True, slots=True)
class Preview:
    """What the page behind a link shows; `known` says that the address has an account, whose password is asked."""

    organization_id: int
    organization_slug: str
    organization_name: str
    email: str
    role: str
    projects: tuple[str, ...] | None  # None: all
    expires_at: datetime
    known: bool


@transaction.atomic
def invitation_create(
    *,
    actor: Actor,
    by: Authority,
    organization: Organization,
    email: str,
    role: str,
    all_projects: bool = True,
    projects: Collection[Project] = (),
    expires_in_days: int = DAYS,
) -> tuple[Invitation, str]:
    """Invite a person; the token of the link is returned here only. An earlier open invitation of theirs ends.

    Raises:
        ApiError: 1100, 1101 and 1102 for more than the caller has, 12xx for bad fields, 1400 for a member.
    """
    if not 1 <= expires_in_days <= MAX_DAYS:
        raise ApiError(1202, f"expires_in_days is 1 to {MAX_DAYS}.", field="expires_in_days")
    email = email_of(email)
    organization = locked(organization)
    by.grants(role_permissions(role), field="role")
    check_reach(organization, all_projects=all_projects, projects=projects)
    by.within(all_projects=all_projects, projects=projects)
    if Membership.objects.filter(organization=organization, user__email=email).exists():
        raise ApiError(1400, f"{email} is a member already.", field="email")
    token = secrets.token_urlsafe(32)
    invitation = Invitation(
        organization=organization,
        email=email,
        role=role,
        all_projects=all_projects,
        token_sha256=_hash(token),
        expires_at=timezone.now() + timedelta(days=expires_in_days),
        invited_by=by.person(),
    )
    insert(invitation, taken=ApiError(1402, "Try again."))
    invitation.projects.set(projects)
    for earlier in invitations_in_reach(by, organization).filter(_open(), email=email).exclude(pk=invitation.pk):
        _revoke(actor, earlier)
    _record(actor, "invitation.create", invitation, after=described(invitation))
    return invitation, token


@transaction.atomic
def invitation_revoke(*, actor: Actor, by: Authority, invitation: Invitation) -> Invitation:
    """End an open invitation; a second time changes nothing.

    Raises:
        ApiError: 1102 for one out of the caller's reach, 1402 for one that was accepted.
    """
    present = Invitation.objects.select_for_update(of=("self",)).filter(pk=invitation.pk).first()
    if present is None:
        raise ApiError(1300, "There is no such invitation.")
    if not invitations_in_reach(by, present.organization).filter(pk=present.pk).exists():
        raise ApiError(1102, "The invitation is for projects that you do not see.")
    if present.accepted_at is not None:
        raise ApiError(1402, "The invitation was accepted already. Remove the member instead.")
    if present.revoked_at is None:
        _revoke(actor, present)
    return present


def invitation_preview(token: str) -> Preview:
    """What a link offers.

    Raises:
        ApiError: 1300 for one that is unknown, used, revoked or out of date.
    """
    invitation = _usable(Invitation.objects.select_related("organization"), token)
    slugs = tuple(sorted(project.slug for project in invitation.projects.all()))
    return Preview(
        organization_id=invitation.organization_id,
        organization_slug=invitation.organization.slug,
        organization_name=invitation.organization.name,
        email=invitation.email,
        role=invitation.role,
        projects=None if invitation.all_projects else slugs,
        expires_at=invitation.expires_at,
        known=User.objects.filter(email=invitation.email).exists(),
    )


@transaction.atomic
def invitation_accept(
    *, actor: Actor, token: str, password: str = "", name: str = "", signed_in: User | None = None
) -> Membership:
    """Make whoever holds the link a member, once.

    A new person gets an account with this name and password. Whose address has an account proves its password:
    the link may have been read by others.

    Args:
        signed_in: who has signed in already, and so need not prove the password of the same address again.

    Raises:
        ApiError: 1300 for a link that is not good (any longer), 1001 for a wrong password, 12xx for a bad name or
            password, 1400 for a member.
    """
    # The same lock as every change of members; then the row, so that a link is used once.
    found = _usable(Invitation.objects.select_related("organization"), token)
    locked(found.organization)
    invitation = _usable(Invitation.objects.select_for_update(of=("self",)).select_related("organization"), token)
    if signed_in is not None and signed_in.is_active and signed_in.email == invitation.email:
        user = signed_in
    else:
        user = _person(actor, invitation.email, password, name)
    if actor.kind == "anonymous":
        actor = replace(actor, kind="user", id=user.pk, name=user.email)
    membership = member_add(
        actor=actor,
        by=ANYTHING,
        organization=invitation.organization,
        user=user,
        role=invitation.role,
        all_projects=invitation.all_projects,
        projects=list(invitation.projects.all()),
    )
    invitation.accepted_at = timezone.now()
    invitation.save(update_fields=["accepted_at"])
    _record(actor, "invitation.accept", invitation, after={"member": membership.pk, **described(invitation)})
    return membership


def invitations_in_reach(by: Authority, organization: Organization) -> QuerySet[Invitation]:
    """The invitations that the caller may see and touch: those for no project outside its own."""
    return in_reach(by, Invitation.objects.filter(organization=organization), organization)


def described(invitation: Invitation) -> dict[str, Any]:
    """An invitation without its token, for the audit log."""
    slugs = [] if invitation.all_projects else sorted(project.slug for project in invitation.projects.all())
    return {
        "email": invitation.email,
        "role": invitation.role,
        "all_projects": invitation.all_projects,
        "projects": slugs,
        "expires_at": invitation.expires_at,
    }


def _person(actor: Actor, email: str, password: str, name: str) -> User:
    user = User.objects.filter(email=email).first()
    if user is None:
        return user_create(actor=actor, email=email, password=password, name=name)
    if not user.check_password(password) or not user.is_active:
        raise ApiError(1001, "The password is not that of the account with this e-mail address.", field="password")
    return user


def _usable(invitations: QuerySet[Invitation], token: str) -> Invitation:
    found = None
    if 0 < len(token) <= MAX_TOKEN:
        found = invitations.filter(token_sha256=_hash(token)).first()
    if found is None:
        raise ApiError(1300, "There is no such invitation.", field="token")
    if found.accepted_at is not None:
        raise ApiError(1300, "The invitation has been used.", field="token")
    if found.revoked_at is not None:
        raise ApiError(1300, "The invitation has been revoked.", field="token")
    if found.expires_at <= timezone.now():
        raise ApiError(1300, "The invitation has expired. Ask for another one.", field="token")
    return found


def _open() -> Q:
    return Q(accepted_at=None, revoked_at=None)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _revoke(actor: Actor, invitation: Invitation) -> None:
    invitation.revoked_at = timezone.now()
    invitation.save(update_fields=["revoked_at"])
    _record(actor, "invitation.revoke", invitation, before=described(invitation))


def _record(actor: Actor, action: str, invitation: Invitation, **states: Any) -> None:
    record(
        actor,
        action,
        organization_id=invitation.organization_id,
        object_type="invitation",
        object_id=str(invitation.pk),
        object_name=invitation.email,
        **states,
    )
