"""Repricing jobs. The old values of the spans that they changed lie in the table `reprice_change`."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from apps.orgs.models import Organization


class RepriceJob(models.Model):
    """One repricing: counted first, then perhaps applied, then perhaps undone; each may go on where it was cut off."""

    class State(models.TextChoices):
        COUNTING = "counting"
        COUNTED = "counted"
        APPLYING = "applying"
        APPLIED = "applied"
        UNDOING = "undoing"
        UNDONE = "undone"
        FAILED = "failed"

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="reprice_jobs")
    state = models.CharField(max_length=10, choices=State.choices, default=State.COUNTING)
    start_time = models.DateTimeField()
    end_time = models.DateTimeField()
    project_ids = ArrayField(models.IntegerField())
    providers = ArrayField(models.CharField(max_length=256), default=list)
    model_names = ArrayField(models.CharField(max_length=256), default=list)
    include_client_costs = models.BooleanField(default=False)
    apply_at_once = models.BooleanField(default=False)
    believed_at = models.DateTimeField(help_text="The price book is read as it was believed then")
    price_list = models.CharField(max_length=64, help_text="The bundled price list")
    position: models.JSONField[Any, Any] = models.JSONField(null=True, help_text="Behind which span to go on")
    counted = models.JSONField(default=dict)
    applied = models.JSONField(default=dict)
    undone = models.JSONField(default=dict)
    author = models.CharField(max_length=254)
    error = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField()
    counted_at = models.DateTimeField(null=True)
    applied_at = models.DateTimeField(null=True)
    undone_at = models.DateTimeField(null=True)

    ACTIVE: ClassVar = (State.COUNTING, State.APPLYING, State.UNDOING)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["organization"],
                condition=Q(state__in=["counting", "applying", "undoing"]),
                name="reprice_one_at_a_time",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["organization", "-id"], name="reprice_by_organization")]

    def __str__(self) -> str:
        return f"reprice {self.pk} ({self.state})"
