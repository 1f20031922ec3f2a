"""Tenants: organizations, their projects, members and API keys."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.core.validators import RegexValidator
from django.db import models

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

    def __str__(self) -> str:
        return self.email


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

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "slug"], name="project_slug_in_organization")
        ]

    def __str__(self) -> str:
        return f"{self.organization_id}/{self.slug}"


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


class ApiKey(models.Model):
    """A key of one organization and, where given, one project. Only the SHA-256 of its secret is stored."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="api_keys")
    project = models.ForeignKey(Project, models.CASCADE, null=True, blank=True, related_name="api_keys")
    name = models.CharField(max_length=200)
    public_id = models.CharField(max_length=32, unique=True)
    secret_sha256 = models.CharField(max_length=64)
    role = models.CharField(max_length=16, choices=Role.choices, blank=True)
    permissions = models.JSONField(default=list, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"ah_{self.public_id}_..."
