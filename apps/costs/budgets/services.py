"""Changes of budgets, each with its entry in the audit log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import date
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction
from django.utils import timezone

from apps.common.edge.exceptions import from_problems
from apps.common.errors import ApiError
from apps.common.reads import caching
from apps.common.reads.reading import zone
from apps.common.valkey import CacheDown
from apps.costs.budgets.models import Budget, Period
from apps.costs.budgets.periods import period_of
from apps.costs.daily import day_of
from apps.orgs.audit import Actor, difference, record
from apps.orgs.models import Organization, Project
from apps.orgs.services import Authority
from apps.orgs.services.rules import cleaned, insert, locked, save

MOST_BUDGETS, MOST_VALUES, MOST_THRESHOLDS = 500, 100, 20
HIGHEST_THRESHOLD = Decimal(10)
EARLIEST, LATEST = date(2000, 1, 1), date(2999, 12, 31)
LISTS = ("providers", "model_names", "environments", "teams", "users")
FIELDS = ("name", "amount", "period", "timezone", *LISTS, "thresholds", "hard_stop", "starts_on", "active")


@transaction.atomic
def budget_create(
    *, actor: Actor, by: Authority, organization: Organization, projects: Sequence[Project] = (), **given: Any
) -> Budget:
    """Make a budget. Without `starts_on` it counts from the first day of the running period.

    Raises:
        ApiError: 1101 or 1102 for projects that the caller does not see, 12xx for bad fields, 1400 for a name that is
            taken.
    """
    by.within(all_projects=not projects, projects=projects)
    organization = locked(organization)
    if Budget.objects.filter(organization=organization).count() >= MOST_BUDGETS:
        raise ApiError(1205, f"An organization has at most {MOST_BUDGETS} budgets.")
    budget = Budget(organization=organization, project_ids=sorted(project.pk for project in projects), **given)
    if budget.starts_on is None:
        budget.starts_on = _first_day(budget)
    _check(budget)
    insert(budget, taken=_taken(budget.name))
    _record(actor, "budget.create", budget, after=described(budget))
    transaction.on_commit(lambda: _forget(budget))
    return budget


@transaction.atomic
def budget_update(
    *, actor: Actor, by: Authority, budget: Budget, projects: Sequence[Project] | None = None, **given: Any
) -> Budget:
    """Change what is given; the lists of the scope are replaced whole.

    Raises:
        ApiError: as `budget_create`; 1300 where it was deleted meanwhile.
    """
    if projects is not None:
        by.within(all_projects=not projects, projects=projects)
        given["project_ids"] = sorted(project.pk for project in projects)
    budget = _held(budget)
    before = described(budget)
    for name, value in given.items():
        setattr(budget, name, value)
    old, new = difference(before, described(budget))
    if new:
        _check(budget)
        save(cleaned(budget), [*new, "updated_at"], taken=_taken(budget.name))
        _record(actor, "budget.update", budget, before=old, after=new)
        transaction.on_commit(lambda: _forget(budget))
    return budget


@transaction.atomic
def budget_delete(*, actor: Actor, budget: Budget) -> None:
    """Delete a budget.

    Raises:
        ApiError: 1300 where it was deleted meanwhile.
    """
    budget = _held(budget)
    _record(actor, "budget.delete", budget, before=described(budget))
    transaction.on_commit(lambda: _forget(budget))
    budget.delete()


def described(budget: Budget) -> dict[str, Any]:
    """What a budget says, for the audit log."""
    return {name: getattr(budget, name) for name in (*FIELDS[:4], "project_ids", *FIELDS[4:])}


def _held(budget: Budget) -> Budget:
    found = Budget.objects.select_for_update().filter(pk=budget.pk).first()
    if found is None:
        raise ApiError(1300, "There is no such budget.")
    return found


def _first_day(budget: Budget) -> date:
    """Of the running period; where the period or the zone is no good, that is said later."""
    with suppress(ApiError):
        return period_of(budget.period, day_of(timezone.now(), ZoneInfo(zone(budget.timezone))))[0]
    return timezone.now().date()


def _check(budget: Budget) -> None:
    problems = [(field, message, "") for field, message in _problems(budget)]
    if problems:
        raise from_problems(problems)


def _problems(budget: Budget) -> Iterator[tuple[str, str]]:
    if budget.amount <= 0:
        yield "amount_usd", "amount_usd must be more than 0."
    try:
        zone(budget.timezone)
    except ApiError as error:
        yield "timezone", error.message
    if budget.period not in Period.values:
        yield "period", f"period must be one of {', '.join(Period.values)}."
    if not EARLIEST <= budget.starts_on <= LATEST:
        yield "starts_on", f"starts_on must be from {EARLIEST} to {LATEST}."
    for name in LISTS:
        values = getattr(budget, name)
        field = "models" if name == "model_names" else name
        if len(values) > MOST_VALUES:
            yield field, f"At most {MOST_VALUES} {field}."
        if not all(0 < len(value) <= 256 and "\x00" not in value for value in values):
            yield field, f"Each of {field} is 1 to 256 characters, none of them null."
    if len(budget.thresholds) > MOST_THRESHOLDS:
        yield "thresholds", f"At most {MOST_THRESHOLDS} thresholds."
    if not all(0 < part <= HIGHEST_THRESHOLD for part in budget.thresholds):
        yield "thresholds", f"Thresholds are parts of the amount, more than 0 and at most {HIGHEST_THRESHOLD}."
    if budget.users and budget.period == Period.QUARTER and budget.timezone != "UTC":
        yield "users", "Users by the hour are not kept for a whole quarter: with users, a quarter needs timezone UTC."


def _taken(name: str) -> ApiError:
    return ApiError(1400, f"There is a budget '{name}' already.", field="name")


def _forget(budget: Budget) -> None:
    """Drop what is kept of the organization's answers, so that a change is seen at once."""
    with suppress(CacheDown):
        caching.clear(budget.organization_id)


def _record(actor: Actor, action: str, budget: Budget, **states: Any) -> None:
    record(
        actor,
        action,
        organization_id=budget.organization_id,
        project_id=budget.project_ids[0] if len(budget.project_ids) == 1 else None,
        object_type="budget",
        object_id=budget.pk,
        object_name=budget.name,
        **states,
    )
