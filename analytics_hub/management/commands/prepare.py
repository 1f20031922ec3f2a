"""`manage.py prepare`: everything the database needs before the hub serves."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, connection

from apps.traces import storage


class Command(BaseCommand):
    help = "Migrate the database and make the partitions or chunks of the days ahead. Safe to repeat."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            connection.ensure_connection()
        except OperationalError as error:
            raise CommandError(f"DATABASE_URL: the database cannot be used: {error}") from None
        call_command("migrate", interactive=False, verbosity=0)
        storage.prepare(datetime.now(UTC))
