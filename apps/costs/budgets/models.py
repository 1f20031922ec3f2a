"""What is stored of a budget."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MinValueValidator
from django.db import models

from apps.orgs.models import Organization

SMALLEST = Decimal("0.000001")


class Period(models.TextChoices):
    """A calendar period in the budget's time zone; a week begins on Monday."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"


class Budget(models.Model):
    """An amount for every calendar period, over the spans that every list of the scope lets through.

    An empty list lets everything through. `project_ids` are numbers without a foreign key: were a project to go, its
    budget must not widen to all the others.
    """

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="budgets")
    name = models.CharField(max_length=200)
    amount = models.DecimalField(max_digits=24, decimal_places=12, validators=[MinValueValidator(SMALLEST)])
    period = models.CharField(max_length=8, choices=Period.choices)
    timezone = models.CharField(max_length=64, default="UTC")
    project_ids = ArrayField(models.IntegerField(), default=list, blank=True)
    providers = ArrayField(models.CharField(max_length=256), default=list, blank=True)
    model_names = ArrayField(models.CharField(max_length=256), default=list, blank=True)
    environments = ArrayField(models.CharField(max_length=256), default=list, blank=True)
    teams = ArrayField(models.CharField(max_length=256), default=list, blank=True)
    users = ArrayField(models.CharField(max_length=256), default=list, blank=True)
    thresholds = ArrayField(
        models.DecimalField(max_digits=7, decimal_places=4), default=list, blank=True, help_text="Parts of the amount"
    )
    hard_stop = models.BooleanField(default=False, help_text="Clients are asked to stop once the amount is spent")
    starts_on = models.DateField(help_text="The first day that counts, in the budget's time zone")
    active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        app_label = "costs"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "name"], name="budget_name_in_organization")
        ]

    def __str__(self) -> str:
        return self.name
