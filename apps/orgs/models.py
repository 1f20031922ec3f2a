"""Tenants: organizations, their projects, members and API keys."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models, transaction
from django.utils import timezone

SLUG = RegexValidator(r"^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$", "1 to 64 of a-z, 0-9 and inner hyphens")


class Role(models.TextChoices):
    """What a member or an API key may do; the permission table is in access.py."""

    ADMIN = "admin"
    DEVELOPER = "developer"
    ANALYST = "analyst"
    BILLING = "billing"
    VIEWER = "viewer"


class UserManager(BaseUserManager["User"]):
    """Users are found by e-mail address, whatever its case."""

    def create_user(self, email: str, password: str | None = None, **extra: object) -> User:
        user = self.model(email=self.normalize_email(email).lower(), **extra)
        user.set_password(password)
        user.save()
        return user

    def create_superuser(self, email: str, password: str | None = None, **extra: object) -> User:
        return self.create_user(email, password, is_staff=True, is_superuser=True, **extra)

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(email=(username or "").lower())


class User(AbstractBaseUser, PermissionsMixin):
    """A person; signs in with the e-mail address."""

    email = models.EmailField(unique=True)
    name = models.CharField(max_length=200, blank=True)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects = UserManager()

    class Meta:
        verbose_name, verbose_name_plural = "person", "people"

    def __str__(self) -> str:
        return self.email

    def save(self, *args: Any, **options: Any) -> None:
        """Save; a new password or the end of the account ends every sign-in over the API.

        (Django sets `_password` where a password was chosen, and not where an old hash was only made stronger.)
        """
        reason = "" if self.is_active else "deactivated"
        if getattr(self, "_password", None) is not None:
            reason = "password"
        with transaction.atomic():
            super().save(*args, **options)
            if reason:
                self.sign_ins.filter(revoked_at=None).update(revoked_at=timezone.now(), revoked_reason=reason)


class Organization(models.Model):
    """The tenant: nothing crosses its border."""

    slug = models.CharField(max_length=64, unique=True, validators=[SLUG])
    name = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.slug


class Project(models.Model):
    """Where spans land. Retentions that are null follow the installation's settings."""

    organization = models.ForeignKey(Organization, models.PROTECT, related_name="projects")
    slug = models.CharField(max_length=64, validators=[SLUG])
    name = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)
    raw_retention_days = models.PositiveIntegerField(null=True, blank=True)
    content_retention_days = models.PositiveIntegerField(null=True, blank=True)
    store_content = models.BooleanField(default=True)
    redact_patterns = models.JSONField(
        default=list, blank=True, help_text="Names of built-in patterns (email, phone, card, key) to redact"
    )
    redact_custom = models.JSONField(default=list, blank=True, help_text="Own regular expressions to redact")
    spans_per_minute = models.PositiveIntegerField(
        null=True, blank=True, help_text="Spans a minute that are taken; empty: as many as come"
    )

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "slug"], name="project_slug_in_organization")
        ]

    def __str__(self) -> str:
        # Never a query of its own: whoever wants the organization's name has fetched it.
        known = Project._meta.get_field("organization").is_cached(self)
        return f"{self.organization.slug if known else self.organization_id}/{self.slug}"


class Membership(models.Model):
    """A user's role in an organization, over all its projects or a chosen list."""

    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=Role.choices)
    all_projects = models.BooleanField(default=True)
    projects = models.ManyToManyField(Project, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "organization"], name="one_membership_per_organization")
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.organization}"


class ApiKey(models.Model):
    """A key of one organization and, where given, one project. Only the SHA-256 of its secret is stored.

    Its text is `ah_<public_id>_<secret>`. After a rotation the previous secret opens until `previous_until`.
    """

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="api_keys")
    project = models.ForeignKey(Project, models.CASCADE, null=True, blank=True, related_name="api_keys")
    name = models.CharField(max_length=200)
    public_id = models.CharField(max_length=32, unique=True)
    secret_sha256 = models.CharField(max_length=64)
    previous_sha256 = models.CharField(max_length=64, blank=True)
    previous_until = models.DateTimeField(null=True, blank=True)
    role = models.CharField(max_length=16, choices=Role.choices, blank=True)
    permissions = models.JSONField(default=list, blank=True)
    networks = models.JSONField(default=list, blank=True, help_text="CIDR networks that may use it; empty: any")
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    rotated_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = "API key"

    def __str__(self) -> str:
        return self.prefix

    @property
    def prefix(self) -> str:
        """What may be shown of the key."""
        return f"ah_{self.public_id}"


class Invitation(models.Model):
    """A link by which a person becomes a member. Only the SHA-256 of its token is stored."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="invitations")
    email = models.EmailField()
    role = models.CharField(max_length=16, choices=Role.choices)
    all_projects = models.BooleanField(default=True)
    projects = models.ManyToManyField(Project, blank=True)
    token_sha256 = models.CharField(max_length=64, unique=True)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    invited_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.email} to {self.organization_id}"


class SignIn(models.Model):
    """One sign-in over the API: a family of refresh tokens, of which only the newest is good.

    A token of the family that was already exchanged tells that somebody holds a copy: the whole family ends.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="sign_ins")
    current_jti = models.CharField(max_length=64)
    previous_jti = models.CharField(max_length=64, blank=True)
    rotated_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_reason = models.CharField(max_length=32, blank=True)
    address = models.GenericIPAddressField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = "API sign-in"
        indexes: ClassVar = [models.Index(fields=["-created_at"], name="sign_in_by_age")]


class RateLimit(models.Model):
    """An organization's own figure for one bucket; without a row the installation's holds (apps.orgs.tiers)."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="rate_limits")
    bucket = models.CharField(max_length=64)
    per_minute = models.PositiveIntegerField(validators=[MinValueValidator(1)])
    burst = models.PositiveIntegerField(validators=[MinValueValidator(1)])

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "bucket"], name="one_limit_per_bucket_and_organization")
        ]

    def __str__(self) -> str:
        return f"{self.bucket}: {self.per_minute}/min"


class AuditEntry(models.Model):
    """Who did what, or was denied it. The table refuses updates and deletions (a trigger of its migration).

    It holds no foreign keys: an entry outlives what it tells of.
    """

    class Outcome(models.TextChoices):
        DONE = "done"
        DENIED = "denied"

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(default=timezone.now)
    organization_id = models.IntegerField(null=True, blank=True)
    project_id = models.IntegerField(null=True, blank=True)
    outcome = models.CharField(max_length=8, choices=Outcome.choices)
    actor_kind = models.CharField(max_length=16)  # user, key, system, anonymous
    actor_id = models.IntegerField(null=True, blank=True)
    actor = models.CharField(max_length=254)
    action = models.CharField(max_length=64)
    object_type = models.CharField(max_length=32, blank=True)
    object_id = models.CharField(max_length=64, blank=True)
    object_name = models.CharField(max_length=254, blank=True)
    before = models.JSONField(null=True, blank=True)
    after = models.JSONField(null=True, blank=True)
    address = models.GenericIPAddressField(null=True, blank=True)
    request_id = models.CharField(max_length=128, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = "audit entry", "audit log"
        indexes: ClassVar = [models.Index(fields=["organization_id", "-at", "-id"], name="audit_by_organization")]

    def __str__(self) -> str:
        return f"{self.action} by {self.actor}"
