"""`manage.py hub_cache clear [--organization slug]`: drop kept answers."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.common.reads import caching
from apps.common.valkey import CacheDown
from apps.orgs.models import Organization


class Command(BaseCommand):
    help = "Drop the kept answers of one organization or of all; they are computed anew when somebody asks."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=("clear",))
        parser.add_argument("--organization", metavar="SLUG", help="only this organization's")

    def handle(self, *args: Any, **options: Any) -> None:
        number = None
        if options["organization"] is not None:
            found = Organization.objects.filter(slug=options["organization"]).values_list("pk", flat=True).first()
            if found is None:
                raise CommandError(f"There is no organization '{options['organization']}'.")
            number = found
        try:
            gone = caching.clear(number)
        except CacheDown as error:
            raise CommandError(f"The cache server cannot be asked: {error}") from None
        self.stdout.write(f"{gone} entries dropped")
