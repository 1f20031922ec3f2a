"""What the console keeps: views of the traces that people saved."""

from __future__ import annotations

from django.db import models

from apps.orgs.models import Organization, User


class SavedView(models.Model):
    """A list of traces under a name: its filters and order, as the address behind `/traces?` says them."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+")
    owner = models.ForeignKey(User, models.CASCADE, related_name="+")
    name = models.CharField(max_length=80)
    query = models.TextField(max_length=4_000)
    shared = models.BooleanField(default=False)  # with everybody in the organization
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "owner", "name"], name="saved_view_once_a_person"),
        ]

    def __str__(self) -> str:
        return self.name
