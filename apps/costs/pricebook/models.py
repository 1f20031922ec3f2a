"""The price book: entries, and every state that each of them ever had."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from apps.orgs.models import Organization


class PriceEntry(models.Model):
    """A price that an organization set for some models; what it says stands in its versions."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="price_entries")
    created_at = models.DateTimeField()

    class Meta:
        verbose_name = "price"

    def __str__(self) -> str:
        return f"price {self.pk}"


class PriceVersion(models.Model):
    """What an entry said from `recorded_at` until `superseded_at`; rows are never overwritten.

    Two times are kept apart: for which calls the price holds (`effective_from`, `effective_to`), and when it was
    believed (`recorded_at`, `superseded_at`), so that a past bill can be explained by what was believed then.
    """

    class Match(models.TextChoices):
        EXACT = "exact"
        PREFIX = "prefix"
        REGEX = "regex"

    entry = models.ForeignKey(PriceEntry, on_delete=models.CASCADE, related_name="versions")
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="price_versions")
    number = models.IntegerField(help_text="Counts from 1 within the entry")
    provider = models.CharField(max_length=256, null=True)  # None: any
    match = models.CharField(max_length=8, choices=Match.choices)
    model = models.CharField(max_length=256)
    service_tier = models.CharField(max_length=16, null=True)  # None: any
    effective_from = models.DateTimeField(null=True, help_text="None: from the beginning of time")
    effective_to = models.DateTimeField(null=True, help_text="None: until further notice")
    prices = models.JSONField(help_text="Dollars as texts, by kind")
    tiers = models.JSONField(default=list, help_text="Prices of larger prompts: above, prices")
    source = models.CharField(max_length=500, blank=True)
    note = models.CharField(max_length=1000, blank=True)
    author = models.CharField(max_length=254)
    recorded_at = models.DateTimeField()
    superseded_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["entry", "number"], name="price_version_number"),
            models.UniqueConstraint(fields=["entry"], condition=Q(superseded_at=None), name="price_version_one_holds"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["organization"], condition=Q(superseded_at=None), name="price_version_holding"),
        ]

    def __str__(self) -> str:
        return self.price_version_id

    @property
    def price_version_id(self) -> str:
        """What a span that was priced with this state names."""
        return f"override:{self.entry_id}.{self.number}"
