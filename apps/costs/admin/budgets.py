"""Budgets under /admin/: made, changed, deleted by the services that the API uses."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest

from apps.common.errors import ApiError
from apps.common.jsontext import decimal_text
from apps.costs.budgets.models import Budget
from apps.costs.budgets.services import FIELDS, LISTS, budget_create, budget_delete, budget_update
from apps.orgs.admin.audit import OrganizationFilter
from apps.orgs.admin.base import Lines, ServiceAdmin, ServiceForm
from apps.orgs.audit import Actor
from apps.orgs.models import Organization, Project
from apps.orgs.services import ANYTHING


class Parts(Lines):
    """Decimals, one a line."""

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(decimal_text(Decimal(part)) for part in value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        try:
            return sorted({Decimal(line) for line in super().to_python(value)})
        except InvalidOperation:
            raise ValidationError("One number a line, such as 0.8.") from None


def _names(what: str) -> Lines:
    return Lines(required=False, strip=False, help_text=f"Only these {what}, one a line; empty: all.")


class BudgetForm(ServiceForm):
    """A budget's scope stands as texts, one a line."""

    called = {"amount_usd": "amount", "models": "model_names"}

    projects = Lines(required=False, help_text="Slugs of the organization's projects, one a line; empty: all.")
    providers = _names("providers")
    model_names = _names("models")
    environments = _names("environments")
    teams = _names("teams")
    users = _names("users")
    thresholds = Parts(required=False, help_text="Parts of the amount, one a line: 0.5, 0.8, 1.")
    amount = forms.DecimalField(max_digits=24, decimal_places=12, help_text="Dollars a period.")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.instance.pk is not None:
            chosen = Project.objects.filter(pk__in=self.instance.project_ids).order_by("slug")
            self.initial["projects"] = list(chosen.values_list("slug", flat=True))
            self.initial["amount"] = decimal_text(self.instance.amount)
        elif "starts_on" in self.fields:
            self.fields["starts_on"].required = False
            self.fields["starts_on"].help_text = "Empty: the first day of the running period."


def _projects(organization: Organization, slugs: list[str]) -> list[Project]:
    found = list(Project.objects.filter(organization=organization, slug__in=slugs))
    unknown = sorted({*slugs} - {project.slug for project in found})
    if unknown:
        raise ApiError(1300, f"The organization has no project {', '.join(unknown)[:200]}.", field="projects")
    return found


@admin.register(Budget)
class BudgetAdmin(ServiceAdmin):
    form = BudgetForm
    object_type = "budget"
    findable = True
    offers = frozenset({"add", "change", "delete"})
    list_display = ("name", "organization", "sum", "period", "timezone", "scope", "hard_stop", "starts_on", "active")
    list_select_related = ("organization",)
    list_filter = ("active", "period", "hard_stop", OrganizationFilter)
    search_fields = ("name", "organization__slug")
    ordering = ("organization__slug", "name")
    autocomplete_fields = ("organization",)
    sheet = ("pk", "organization", *FIELDS[:4], "project_ids", *FIELDS[4:], "created_at", "updated_at")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        named = ("organization", "name", "amount", "period", "timezone", "starts_on")
        return (
            (None, {"fields": (*named, "thresholds", "hard_stop", "active")}),
            ("What counts", {"fields": ("projects", *LISTS)}),
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("organization",) if obj else ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("organization")

    @admin.display(description="amount", ordering="amount")
    def sum(self, budget: Budget) -> str:
        return f"${budget.amount.normalize():,f}"

    @admin.display
    def scope(self, budget: Budget) -> str:
        lists = {"projects": budget.project_ids, **{name: getattr(budget, name) for name in LISTS}}
        return ", ".join(f"{len(values)} {name.replace('_', ' ')}" for name, values in lists.items() if values) or "all"

    def described(self, one: Budget) -> str:
        return f"{one.name}, of {one.organization}"

    def make(self, actor: Actor, data: dict[str, Any]) -> Budget:
        given = {**data, "projects": _projects(data["organization"], data["projects"])}
        return budget_create(actor=actor, by=ANYTHING, **given)

    def alter(self, actor: Actor, present: Any, data: dict[str, Any]) -> Budget:
        given = dict(data)
        if "projects" in data:
            given["projects"] = _projects(present.organization, data["projects"])
        return budget_update(actor=actor, by=ANYTHING, budget=present, **given)

    def end(self, actor: Actor, present: Any) -> None:
        budget_delete(actor=actor, budget=present)
