"""Show the DDL that the rollup declarations ask for, or check that the migrations hold it."""

from __future__ import annotations

import difflib
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.metrics import schema


class Command(BaseCommand):
    help = "Prints the SQL of the declared rollups; --check fails when the migrations' frozen SQL is not that."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="compare with the frozen SQL instead of printing")
        parser.add_argument("--write", action="store_true", help="write the SQL files (before a first release only)")

    def handle(self, *args: Any, **options: Any) -> None:
        drift = ""
        for name, text in schema.frozen_files().items():
            path = schema.FROZEN / name
            if options["write"]:
                path.write_text(text, encoding="utf-8")
            elif options["check"]:
                frozen = path.read_text(encoding="utf-8") if path.exists() else ""
                drift += "".join(
                    difflib.unified_diff(frozen.splitlines(True), text.splitlines(True), f"frozen/{name}", "declared")
                )
            else:
                self.stdout.write(text)
        if drift:
            raise CommandError(f"The declared rollups and the migrations' SQL differ; add a migration.\n{drift}")
