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


class IngestCount(models.Model):
    """Spans of a project that arrived in five minutes: accepted (without a reason), or refused for one."""

    id = models.BigAutoField(primary_key=True)
    project = models.ForeignKey("orgs.Project", models.CASCADE, related_name="+", db_index=False)
    bucket = models.DateTimeField()
    reason = models.CharField(max_length=64, blank=True)
    spans = models.BigIntegerField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "bucket", "reason"], name="ingest_count_once"),
        ]
        indexes: ClassVar = [models.Index(fields=["bucket"], name="ingest_count_by_age")]

    def __str__(self) -> str:
        return f"{self.bucket:%Y-%m-%d %H:%M} {self.reason or 'accepted'}: {self.spans}"
