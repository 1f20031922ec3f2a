"""Django's `manage.py createsuperuser`, which also writes the audit log."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.management.commands import createsuperuser

from apps.orgs.audit import SYSTEM
from apps.orgs.services import saves_recorded


class Command(createsuperuser.Command):
    help = "Make a person who runs the installation: everything in the administration is open to them."

    def handle(self, *args: Any, **options: Any) -> str | None:
        with saves_recorded(actor=SYSTEM, action="user.create"):
            return super().handle(*args, **options)
