"""Who may see an export, and what somebody who is not asking just now may do by now."""

from __future__ import annotations

from django.db.models import Q, QuerySet
from django.utils import timezone

from apps.common.errors import ApiError
from apps.exports.models import ExportJob, ExportSchedule
from apps.exports.spec import CONTENT, READS, Kind
from apps.orgs.access import Principal, require_permission
from apps.orgs.models import ApiKey, Organization, User
from apps.orgs.principals import key_credential, key_principal, user_principal

GONE = "Whoever this was made by may no longer do it."


def kinds_of(principal: Principal) -> list[Kind]:
    """The kinds of exports that a caller sees: those whose data it may read."""
    return [kind for kind, permission in READS.items() if permission in principal.permissions]


def jobs_of(principal: Principal) -> QuerySet[ExportJob]:
    """The exports that a caller sees: of its organization, of projects that it sees, of data that it may read."""
    rows = ExportJob.objects.filter(organization_id=principal.organization_id, kind__in=kinds_of(principal))
    return rows if principal.all_projects else rows.filter(_within(principal))


def schedules_of(principal: Principal) -> QuerySet[ExportSchedule]:
    """The schedules that a caller sees, by the same rule."""
    rows = ExportSchedule.objects.filter(organization_id=principal.organization_id, kind__in=kinds_of(principal))
    return rows if principal.all_projects else rows.filter(_within(principal))


def _within(principal: Principal) -> Q:
    return Q(project_ids__contained_by=sorted(principal.project_ids.values()))


def require_content(principal: Principal, job: ExportJob) -> None:
    """Let only those have a file with texts in it who may read them now.

    Raises:
        ApiError: 1100.
    """
    if job.content:
        require_permission(principal, CONTENT)


def principal_again(organization_id: int, *, user_id: int | None, key_id: int | None) -> Principal:
    """A person or a key as it is now, in that organization; nothing that was found out before counts.

    Raises:
        ApiError: 1102 where the account has ended, the membership is gone, the key was revoked or has expired.
    """
    if key_id is not None:
        return _key(organization_id, key_id)
    organization = Organization.objects.filter(pk=organization_id).first()
    user = User.objects.filter(pk=user_id, is_active=True).first() if user_id is not None else None
    if organization is None or user is None:
        raise ApiError(1102, GONE)
    try:
        return user_principal(user, organization.slug)
    except ApiError:
        raise ApiError(1102, GONE) from None


def holds(principal: Principal, credential: str) -> bool:
    """Whether the password or secret that somebody once showed opens yet: it is the one now, or in its grace."""
    if credential == principal.credential:
        return True
    if principal.key_id is None:
        return False
    graced = ApiKey.objects.filter(pk=principal.key_id, previous_until__gt=timezone.now()).exclude(previous_sha256="")
    return any(key_credential(known) == credential for known in graced.values_list("previous_sha256", flat=True))


def _key(organization_id: int, key_id: int) -> Principal:
    living = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
    keys = ApiKey.objects.select_related("organization").filter(living, organization_id=organization_id)
    key = keys.filter(pk=key_id, revoked_at=None).first()
    if key is None:
        raise ApiError(1102, GONE)
    return key_principal(key)
