"""Fold what writers marked into traces and cells, now."""

from __future__ import annotations

import dataclasses
import json
import time
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from apps.metrics.refresh import refresh, refresh_live


class Command(BaseCommand):
    help = "Refreshes the rollups every ROLLUP_REFRESH_SECONDS, as Celery beat does; --once folds everything and ends."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="fold all marks there are, print what was done, end")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["once"]:
            report = refresh(limit=timedelta(days=1))
            self.stdout.write(json.dumps(dataclasses.asdict(report)))
            return
        while True:
            report = refresh_live()
            self.stdout.write(json.dumps(dataclasses.asdict(report)))
            time.sleep(settings.HUB.rollup_refresh_seconds)
