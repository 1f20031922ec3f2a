"""`/api/v1/budgets`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import QuerySet
from django.urls import URLPattern, path
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.parameters import check_parameters
from apps.common.reads import fields, paging
from apps.common.reads.schemas import names
from apps.costs.api import budgets_openapi as openapi
from apps.costs.budgets.models import Budget, Period
from apps.costs.budgets.services import (
    HIGHEST_THRESHOLD,
    MOST_THRESHOLDS,
    MOST_VALUES,
    budget_create,
    budget_delete,
    budget_update,
)
from apps.costs.budgets.state import base_of, history_of, limits_of, state, status
from apps.costs.daily import day_of, version_of_days
from apps.orgs.access import Principal
from apps.orgs.api.base import (
    MAX_PROJECTS,
    Body,
    Flag,
    Text,
    Texts,
    View,
    body,
    documented,
    nothing,
    projects_named,
    reachable,
)
from apps.orgs.models import Project
from apps.orgs.scopes import principal_of
from apps.orgs.views import Question, ReadView

TAG = "budgets"
# Name in requests and answers, column.
RENAMED = {"amount_usd": "amount", "models": "model_names"}


class Number(serializers.DecimalField):
    """A JSON number, exact; texts and truth values are none."""

    def to_internal_value(self, data: Any) -> Decimal:
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.fail("invalid")
        return super().to_internal_value(repr(data))


class Day(serializers.DateField):
    """A date such as 2026-11-05."""

    def to_internal_value(self, value: Any) -> Any:
        if not isinstance(value, str):
            self.fail("invalid", format="YYYY-MM-DD")
        return super().to_internal_value(value)


def _values(what: str) -> Texts:
    return Texts(MOST_VALUES, 256, required=False, help_text=f"Only these {what}; empty: all")


class BudgetChange(Body):
    """What can be set of a budget. A span counts if every list of the scope lets it through; an empty one lets all."""

    name = Text(max_length=200)
    amount_usd = Number(max_digits=24, decimal_places=12, help_text="Dollars a period")
    period = serializers.ChoiceField(Period.choices, help_text="By the calendar of timezone; a week begins on Monday")
    timezone = Text(max_length=64, required=False, help_text="IANA name; UTC if not given")
    projects = Texts(MAX_PROJECTS, 64, required=False, help_text="Slugs; empty: all of the organization")
    providers = _values("providers")
    models = _values("models")
    environments = _values("environments")
    teams = _values("teams")
    users = _values("users")
    thresholds = serializers.ListField(
        child=Number(max_digits=7, decimal_places=4),
        required=False,
        max_length=MOST_THRESHOLDS,
        help_text=f"Parts of the amount, up to {HIGHEST_THRESHOLD}: 0.5, 0.8, 1",
    )
    hard_stop = Flag(required=False, help_text="The status says hard_stop_reached once the amount is spent")
    starts_on = Day(required=False, help_text="The first day that counts; that of the running period if not given")
    active = Flag(required=False)


def in_reach(principal: Principal) -> QuerySet[Budget]:
    """The budgets that a caller sees: one limited to some projects, those of these projects alone."""
    rows = Budget.objects.filter(organization_id=principal.organization_id)
    if principal.all_projects:
        return rows
    return rows.filter(project_ids__len__gt=0, project_ids__contained_by=list(principal.project_ids.values()))


def shown(budget: Budget, slugs: Mapping[int, str]) -> dict[str, Any]:
    """A budget as answers have it; its thresholds are in its state too."""
    return {
        "id": budget.pk,
        "name": budget.name,
        "amount_usd": budget.amount,
        "period": budget.period,
        "timezone": budget.timezone,
        "projects": sorted(slugs.get(number, str(number)) for number in budget.project_ids),
        "providers": budget.providers,
        "models": budget.model_names,
        "environments": budget.environments,
        "teams": budget.teams,
        "users": budget.users,
        "thresholds": sorted(budget.thresholds),
        "hard_stop": budget.hard_stop,
        "starts_on": budget.starts_on,
        "active": budget.active,
        "created_at": budget.created_at,
        "updated_at": budget.updated_at,
    }


class _Budgets(View):
    def slugs(self, request: Request) -> dict[int, str]:
        return {number: slug for slug, number in self.principal(request).project_ids.items()}

    def given(self, request: Request, *, partial: bool = False) -> dict[str, Any]:
        """The body with the names of columns, projects as such."""
        found = body(request, BudgetChange, partial=partial)
        made = {RENAMED.get(name, name): value for name, value in found.items()}
        for name in ("providers", "model_names", "environments", "teams", "users"):
            if name in made:
                made[name] = list(dict.fromkeys(made[name]))
        if "thresholds" in made:
            made["thresholds"] = sorted(set(made["thresholds"]))
        if "projects" in made:
            slugs = made["projects"]
            made["projects"] = projects_named(self.principal(request), slugs) if slugs else []
        return made

    def changed(self, request: Request, budget: Budget, code: int) -> Response:
        """The budget that a change left, with the slugs of projects that may be newer than the caller's own list."""
        slugs = dict(Project.objects.filter(pk__in=budget.project_ids).values_list("pk", "slug"))
        return Response(shown(budget, slugs), status=code)


class BudgetsView(_Budgets):
    required_permission = {"GET": "costs:read", "POST": "costs:manage"}

    @extend_schema(**openapi.LIST)
    def get(self, request: Request) -> Response:
        check_parameters(request, {fields.NAME, *paging.NAMES})
        chosen = fields.requested(request, LIST_NAMES)
        page = paging.paginate(request, in_reach(self.principal(request)))
        slugs = self.slugs(request)
        rows = [shown(budget, slugs) for budget in page.rows]
        return Response(fields.keep(chosen, {"data": rows, "pagination": page.pagination}))

    @extend_schema(**openapi.changing("budgets_create", "Make a budget", BudgetChange, 201))
    def post(self, request: Request) -> Response:
        given = self.given(request)
        budget = budget_create(**self.change(request), organization=self.organization(request), **given)
        return self.changed(request, budget, 201)


def _found(principal: Principal, number: int) -> Budget:
    rows = Budget.objects.filter(organization_id=principal.organization_id)
    return reachable(number, rows, in_reach(principal), "budget")


class _State(ReadView):
    """What a budget's reads share: its state depends on its definition, the day in its zone, and the data."""

    area, ttl = "costs", "cache_ttl_costs"

    def question(self, request: Request, **arguments: Any) -> Question:
        check_parameters(request, {fields.NAME})
        principal = principal_of(request)
        budget = _found(principal, arguments["number"])
        today = day_of(datetime.now(UTC), ZoneInfo(budget.timezone))
        limits = limits_of(budget, today)
        base = base_of(budget, principal.project_ids, limits.span)
        slugs = {number: slug for slug, number in principal.project_ids.items()}
        known = shown(budget, slugs)

        def whole() -> Mapping[str, Any]:
            report = state(base, limits)
            return {"metadata": report.metadata(base), **known, "state": report.blocks}

        def brief() -> Mapping[str, Any]:
            report = status(base, limits)
            return {"metadata": report.metadata(base), "id": budget.pk, "active": budget.active, **report.blocks}

        if self.with_forecast:
            return Question((base, limits, known), whole, NAMES, lambda: version_of_days(history_of(base, today)))
        return Question((base, limits, budget.active), brief, STATUS_NAMES, lambda: version_of_days(base))

    with_forecast = True


@extend_schema_view(get=extend_schema(**openapi.ONE))
class BudgetView(_State, _Budgets):
    """`GET /api/v1/budgets/{number}` is a cached read; a change drops what is kept."""

    required_permission = {"GET": "costs:read", "PATCH": "costs:manage", "DELETE": "costs:manage"}

    @extend_schema(**openapi.changing("budgets_update", "Change a budget", BudgetChange, 200))
    def patch(self, request: Request, number: int) -> Response:
        given = self.given(request, partial=True)
        budget = _found(self.principal(request), number)
        if given:
            budget = budget_update(**self.change(request), budget=budget, **given)
        return self.changed(request, budget, 200)

    @documented("budgets_delete", "Delete a budget", TAG, None, status=204)
    def delete(self, request: Request, number: int) -> Response:
        nothing(request)
        budget_delete(actor=self.actor(request), budget=_found(self.principal(request), number))
        return Response(status=204)


@extend_schema_view(get=extend_schema(**openapi.STATUS))
class StatusView(_State):
    """`GET /api/v1/budgets/{number}/status`, for clients that poll."""

    required_permission = "costs:read"
    with_forecast = False


LIST_NAMES = names(openapi.LIST)
NAMES = names(openapi.ONE)
STATUS_NAMES = names(openapi.STATUS)
urlpatterns: list[URLPattern] = [
    path("api/v1/budgets", BudgetsView.as_view(), name="budgets"),
    path("api/v1/budgets/<int:number>", BudgetView.as_view(), name="budget"),
    path("api/v1/budgets/<int:number>/status", StatusView.as_view(), name="budget-status"),
]
