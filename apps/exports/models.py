"""Export jobs, their schedules, and what an organization may keep of them."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from apps.exports.spec import COMPRESSIONS, FORMATS, KINDS, ExportSpec
from apps.orgs.models import ApiKey, Organization, User


class ExportSchedule(models.Model):
    """The same export again and again. `body` is what its creator would post, with a period in the place of a range."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="export_schedules")
    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=10, choices=[(name, name) for name in KINDS])
    cron = models.CharField(max_length=100)
    timezone = models.CharField(max_length=64, default="UTC")
    period = models.CharField(max_length=32)
    body: models.JSONField[Any, Any] = models.JSONField(default=dict)
    project_ids = ArrayField(models.IntegerField())
    content = models.BooleanField(default=False)
    enabled = models.BooleanField(default=True)
    paused_reason = models.CharField(max_length=500, blank=True)
    next_run_at = models.DateTimeField(null=True, db_index=True)
    last_run_at = models.DateTimeField(null=True)
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    created_by_key = models.ForeignKey(ApiKey, models.SET_NULL, null=True, related_name="+")
    author = models.CharField(max_length=254)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "name"], name="export_schedule_name"),
        ]

    def __str__(self) -> str:
        return self.name


class ExportJob(models.Model):
    """One export, from the asking to the expiry of its file.

    `attempt` counts the takings-up and fences them: whoever works on it changes it only where its own number still
    stands. `stored` are the names that were ever written to the storage for it; `file` is the one that is offered.
    """

    class Status(models.TextChoices):
        PENDING = "pending"
        PROCESSING = "processing"
        COMPLETED = "completed"
        FAILED = "failed"
        CANCELLED = "cancelled"
        EXPIRED = "expired"

    ACTIVE: ClassVar = (Status.PENDING, Status.PROCESSING)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="export_jobs")
    schedule = models.ForeignKey(ExportSchedule, models.SET_NULL, null=True, related_name="jobs")
    kind = models.CharField(max_length=10, choices=[(name, name) for name in KINDS])
    format = models.CharField(max_length=10, choices=[(name, name) for name in FORMATS])
    compression = models.CharField(max_length=10, choices=[(name, name) for name in COMPRESSIONS])
    asked: models.JSONField[Any, Any] = models.JSONField(help_text="The ExportSpec")
    project_ids = ArrayField(models.IntegerField())
    start_time = models.DateTimeField()
    end_time = models.DateTimeField()
    content = models.BooleanField(default=False)
    estimated_rows = models.BigIntegerField(null=True)

    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PENDING)
    attempt = models.IntegerField(default=0)
    failures = models.IntegerField(default=0, help_text="Tries that ended in an error that may pass")
    lost = models.IntegerField(default=0, help_text="Takings-up from a worker that had gone silent")
    not_before = models.DateTimeField(help_text="It is not taken up before")
    heartbeat_at = models.DateTimeField(null=True)
    deadline_at = models.DateTimeField(null=True)
    cancel_requested = models.BooleanField(default=False)
    rows_done = models.BigIntegerField(default=0)
    rows_total = models.BigIntegerField(null=True)

    row_count = models.BigIntegerField(null=True)
    file_size_bytes = models.BigIntegerField(null=True)
    sha256 = models.CharField(max_length=64, blank=True)
    file = models.CharField(max_length=300, blank=True, help_text="Its name in the storage")
    file_name = models.CharField(max_length=200, blank=True, help_text="As it is downloaded")
    content_type = models.CharField(max_length=100, blank=True)
    stored = ArrayField(models.CharField(max_length=300), default=list)
    manifest: models.JSONField[Any, Any] = models.JSONField(null=True)
    error = models.CharField(max_length=1000, blank=True)

    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    created_by_key = models.ForeignKey(ApiKey, models.SET_NULL, null=True, related_name="+")
    author = models.CharField(max_length=254)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    completed_at = models.DateTimeField(null=True, help_text="When it ended, however it did")
    expires_at = models.DateTimeField(null=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["organization", "-created_at"], name="export_by_organization"),
            models.Index(fields=["-created_at"], name="export_by_age"),
            models.Index(
                fields=["not_before"], name="export_active", condition=Q(status__in=["pending", "processing"])
            ),
            models.Index(fields=["expires_at"], name="export_expiring", condition=Q(status="completed")),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk} ({self.status})"

    @property
    def spec(self) -> ExportSpec:
        return ExportSpec.from_json(self.asked)


class ExportLimit(models.Model):
    """An organization's own figures in the place of the installation's."""

    organization = models.OneToOneField(Organization, models.CASCADE, related_name="export_limit")
    active_jobs = models.PositiveIntegerField(help_text="Jobs that are not over yet")
    running_jobs = models.PositiveIntegerField(help_text="Of them, worked on at once")
    stored_bytes = models.BigIntegerField(help_text="Of files that have not expired")

    def __str__(self) -> str:
        return f"limits of {self.organization_id}"
