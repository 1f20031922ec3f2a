"""Schedules: the same export again and again, in the name and with the rights of whoever set it up.

Whoever makes a schedule or changes it answers for it from then on, switching it off aside. At each run that caller is
looked up anew; where the rights are gone the schedule pauses and says why.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import orjson
from django.db import transaction
from django.utils import timezone

from apps.common.errors import ApiError
from apps.common.reads.reading import bad, choice, zone
from apps.exports import times
from apps.exports.asking import spec_of
from apps.exports.estimate import estimated_rows
from apps.exports.jobs import services
from apps.exports.models import ExportJob, ExportSchedule
from apps.exports.rights import principal_again
from apps.exports.spec import READS, ExportSpec, Kind
from apps.orgs.access import Principal, require_permission
from apps.orgs.audit import SYSTEM, Actor, difference, prefix_of, record
from apps.orgs.models import Organization
from apps.orgs.services.rules import locked

logger = logging.getLogger(__name__)
MOST: Final = 100  # of an organization
AT_ONCE: Final = 100  # runs that one beat starts
LATER: Final = timedelta(minutes=5)  # after which a run is tried again that had no room
FIELDS: Final = ("name", "cron", "timezone", "period", "body", "enabled")
LONGEST: Final = 65_536  # bytes of what is asked for
_TEXTS: Final = ("name", "cron", "timezone", "period")
_NULL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")  # the escape itself, not a backslash that "u0000" follows
_RANGE: Final = ("start_time", "end_time")


@transaction.atomic
def create(actor: Actor, principal: Principal, kind: Kind, given: Mapping[str, Any]) -> ExportSchedule:
    """Make a schedule of what `given` says by the names of `FIELDS`.

    Raises:
        ApiError: 1100 for rights that the caller lacks, 12xx for bad fields, 1400 for a name that is taken, 1501
            where the organization has as many as it may.
    """
    require_permission(principal, READS[kind])
    organization = locked(Organization.objects.get(pk=principal.organization_id))
    if ExportSchedule.objects.filter(organization=organization).count() >= MOST:
        text = f"An organization has at most {MOST} schedules; delete one."
        raise ApiError(1501, text, details={"limit": MOST}, headers={"Retry-After": "60"})
    now = timezone.now()
    schedule = ExportSchedule(organization=organization, kind=kind, created_at=now, updated_at=now)
    for name in FIELDS:
        if name in given:
            setattr(schedule, name, given[name])
    _answered_for(schedule, actor, principal)
    _checked(schedule, principal, now)
    schedule.save(force_insert=True)
    _record(actor, "export_schedule.create", schedule, after=described(schedule))
    return schedule


@transaction.atomic
def update(actor: Actor, principal: Principal, schedule: ExportSchedule, given: Mapping[str, Any]) -> ExportSchedule:
    """Change what is given. The caller answers for the schedule from now on, unless it only switches it off.

    Raises:
        ApiError: as `create`; 1300 where it was deleted meanwhile.
    """
    locked(schedule.organization)
    schedule = _held(schedule)
    before, now = described(schedule), timezone.now()
    for name in FIELDS:
        if name in given:
            setattr(schedule, name, given[name])
    old, new = difference(before, described(schedule))
    if not new:
        return schedule
    schedule.updated_at, schedule.paused_reason = now, ""
    if new == {"enabled": False}:
        schedule.next_run_at = None
    else:
        require_permission(principal, READS[_kind(schedule)])
        _answered_for(schedule, actor, principal)
        _checked(schedule, principal, now)
    schedule.save(force_update=True)
    _record(actor, "export_schedule.update", schedule, before=old, after=new)
    return schedule


@transaction.atomic
def pause(actor: Actor, schedule: ExportSchedule) -> None:
    """Switch a schedule off, whoever answers for it."""
    schedule = _held(schedule)
    if not schedule.enabled:
        return
    schedule.enabled, schedule.next_run_at, schedule.updated_at = False, None, timezone.now()
    schedule.save(update_fields=["enabled", "next_run_at", "updated_at"])
    _record(actor, "export_schedule.pause", schedule, before={"enabled": True}, after={"enabled": False})


@transaction.atomic
def delete(actor: Actor, schedule: ExportSchedule) -> None:
    """Delete a schedule; the exports that it made stay."""
    schedule = _held(schedule)
    _record(actor, "export_schedule.delete", schedule, before=described(schedule))
    schedule.delete()


def run_now(actor: Actor, principal: Principal, schedule: ExportSchedule) -> ExportJob:
    """The export of this moment, in the caller's own name; the schedule's next run stays.

    Raises:
        ApiError: for rights that the caller lacks, or where there is no room for an export; 1300 where the schedule was
            deleted meanwhile.
    """
    require_permission(principal, READS[_kind(schedule)])
    spec = spec_at(schedule, principal, timezone.now().replace(second=0, microsecond=0))
    rows = estimated_rows(spec)
    with transaction.atomic():
        return services.create(actor, principal, spec, _held(schedule), estimated_rows=rows)


def spec_at(schedule: ExportSchedule, principal: Principal, moment: datetime) -> ExportSpec:
    """What a run at that moment exports, for this caller."""
    start, end = times.range_of(schedule.period, schedule.timezone, moment)
    body = {**schedule.body, "start_time": start.isoformat(), "end_time": end.isoformat()}
    return spec_of(_kind(schedule), body, principal, moment)


def described(schedule: ExportSchedule) -> dict[str, Any]:
    """What a schedule says, for the audit log."""
    return {name: getattr(schedule, name) for name in FIELDS}


# -- runs -----------------------------------------------------------------------------------------------------------


def run_due(now: datetime | None = None) -> int:
    """Start what is due; how many exports were made. Two who do this at the same time start each run once.

    Runs that were missed are made up for by one, as of the last of them.
    """
    now = now or timezone.now()
    due = ExportSchedule.objects.filter(enabled=True, next_run_at__lte=now).order_by("next_run_at", "pk")
    made = 0
    for schedule in due.select_related("organization")[:AT_ONCE]:
        try:
            made += _run(schedule, now)
        except Exception:  # one that cannot be run must not keep the others from it
            logger.exception("schedule %s could not be run", schedule.pk)
            _claim(schedule, now + LATER)
    return made


@transaction.atomic
def _run(schedule: ExportSchedule, now: datetime) -> int:
    """One run, and when the next one is due, together or not at all."""
    assert schedule.next_run_at is not None
    moment = times.latest(schedule.cron, schedule.timezone, schedule.next_run_at, now)
    following = times.following(schedule.cron, schedule.timezone, now)
    if not _claim(schedule, following, last_run_at=now):
        return 0
    try:
        with transaction.atomic():
            actor, principal = owner(schedule)
            spec = spec_at(schedule, principal, moment)
            services.create(actor, principal, spec, schedule)
    except ApiError as error:
        if error.status == 429 or error.status >= 500:
            logger.warning("schedule %s has to wait: %s", schedule.pk, error.message)
            soon = now + LATER if following is None else min(now + LATER, following)
            ExportSchedule.objects.filter(pk=schedule.pk).update(next_run_at=soon)
        else:
            _pause(schedule, error, now)
        return 0
    ExportSchedule.objects.filter(pk=schedule.pk).update(project_ids=list(spec.project_ids), content=spec.content)
    return 1


def _claim(schedule: ExportSchedule, following: datetime | None, **more: Any) -> bool:
    """Take a run, if nobody else has, by setting when the next one is due."""
    mine = ExportSchedule.objects.filter(pk=schedule.pk, enabled=True, next_run_at=schedule.next_run_at)
    return bool(mine.update(next_run_at=following, **more))


def owner(schedule: ExportSchedule) -> tuple[Actor, Principal]:
    """Who answers for a schedule, as of now.

    Raises:
        ApiError: 1102 where the account, the membership or the key is gone.
    """
    principal = principal_again(
        schedule.organization_id, user_id=schedule.created_by_id, key_id=schedule.created_by_key_id
    )
    if principal.key_id is not None:
        return Actor("key", principal.key_id, prefix_of(principal.name), None, ""), principal
    return Actor("user", principal.user_id, principal.name, None, ""), principal


def _pause(schedule: ExportSchedule, error: ApiError, now: datetime) -> None:
    reason = f"Paused at its run: {error.message}"[:500]
    changes = {"enabled": False, "paused_reason": reason, "next_run_at": None, "updated_at": now}
    ExportSchedule.objects.filter(pk=schedule.pk).update(**changes)
    after = {"enabled": False, "reason": reason, "code": error.entry.code}
    _record(SYSTEM, "export_schedule.pause", schedule, before={"enabled": True}, after=after)


# -- what holds of every schedule -----------------------------------------------------------------------------------


def _kind(schedule: ExportSchedule) -> Kind:
    return schedule.kind  # type: ignore[return-value]  # the column holds one of them


def _answered_for(schedule: ExportSchedule, actor: Actor, principal: Principal) -> None:
    schedule.created_by_id = principal.user_id if principal.key_id is None else None
    schedule.created_by_key_id = principal.key_id
    schedule.author = actor.name[:254]


def _checked(schedule: ExportSchedule, principal: Principal, now: datetime) -> None:
    """Refuse what no run could do, by trying the one of this moment; then say when the first one is."""
    for name in _TEXTS:
        if not getattr(schedule, name).strip() or "\x00" in getattr(schedule, name):
            raise bad(name, f"{name} must not be empty, and must not hold a null character.")
    schedule.timezone = zone(schedule.timezone)
    choice(schedule.period, times.PERIODS, "period")
    times.check_cron(schedule.cron, now)
    _check_body(schedule.body)
    same = ExportSchedule.objects.filter(organization_id=schedule.organization_id, name=schedule.name)
    if same.exclude(pk=schedule.pk).exists():
        raise ApiError(1400, f"There is a schedule named {schedule.name[:64]!r} already.", field="name")
    try:
        spec = spec_at(schedule, principal, now)
    except ApiError as error:
        raise _inside(error) from None
    schedule.project_ids, schedule.content = list(spec.project_ids), spec.content
    schedule.next_run_at = times.following(schedule.cron, schedule.timezone, now) if schedule.enabled else None


def _check_body(body: Any) -> None:
    if not isinstance(body, Mapping):
        raise bad("export", "export must be a JSON object: what would be posted to export it.", 1203)
    for name in _RANGE:
        if name in body:
            raise bad(f"export.{name}", "A schedule has a period in the place of a range.")
    try:
        text = orjson.dumps(body)
    except TypeError:  # it reads deeper than it writes, and nothing that deep can be meant
        raise bad("export", "export nests too deep.", 1205) from None
    if len(text) > LONGEST:
        raise bad("export", f"export may be at most {LONGEST} bytes of JSON.", 1205)
    if _NULL.search(text):
        raise bad("export", "export must not hold a null character.")


def _inside(error: ApiError) -> ApiError:
    """An error about a field of the export, by the field's name in the schedule."""
    if error.entry.category == "VALIDATION" and error.field is not None:
        error.field = f"export.{error.field}"
    return error


def _held(schedule: ExportSchedule) -> ExportSchedule:
    found = ExportSchedule.objects.select_for_update(of=("self",)).filter(pk=schedule.pk).first()
    if found is None:
        raise ApiError(1300, "There is no such schedule.")
    return found


def _record(actor: Actor, action: str, schedule: ExportSchedule, **change: Any) -> None:
    record(
        actor,
        action,
        organization_id=schedule.organization_id,
        object_type="export_schedule",
        object_id=schedule.pk,
        object_name=schedule.name,
        **change,
    )
