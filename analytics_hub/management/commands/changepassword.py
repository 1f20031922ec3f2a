"""Django's `manage.py changepassword`, which also writes the audit log and takes an address in any case."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.management.commands import changepassword
from django.core.management.base import CommandError

from apps.orgs.audit import SYSTEM
from apps.orgs.services import saves_recorded


class Command(changepassword.Command):
    help = "Change a person's password. It ends their sessions and their tokens."

    def handle(self, *args: Any, **options: Any) -> str | None:
        if not options["username"]:
            raise CommandError("Name the person, such as: manage.py changepassword ada@acme.example")
        options["username"] = options["username"].lower()
        with saves_recorded(actor=SYSTEM, action="user.password"):
            return super().handle(*args, **options)
