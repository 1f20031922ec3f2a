"""Dead letters: spans that were refused, with the reason."""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class DeadLetter(models.Model):
    """A refused span as it was sent, redacted; it can be driven through ingest again."""

    id = models.BigAutoField(primary_key=True)
    project = models.ForeignKey("orgs.Project", models.CASCADE, related_name="+")
    received_at = models.DateTimeField(auto_now_add=True)
    source = models.CharField(max_length=32)
    reason = models.CharField(max_length=64)
    message = models.TextField()
    trace_id = models.CharField(max_length=256, blank=True)
    span_id = models.CharField(max_length=256, blank=True)
    payload = models.TextField(help_text="The span as JSON")
    truncated = models.BooleanField(default=False, help_text="The payload was cut and cannot be driven again")
    redriven_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["project", "-received_at"], name="dead_letter_by_project"),
            models.Index(fields=["received_at"], name="dead_letter_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.pk} {self.reason}"
