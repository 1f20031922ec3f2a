"""Write the tables of docs/metrics.md, or check them."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.metrics.docs import PAGE, page


class Command(BaseCommand):
    help = "Writes the tables of docs/metrics.md from the catalogue; --check only compares."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="fail where the page is not up to date")

    def handle(self, *args: Any, **options: Any) -> None:
        text = PAGE.read_text(encoding="utf-8")
        made = page(text)
        if not options["check"]:
            PAGE.write_text(made, encoding="utf-8")
        elif made != text:
            raise CommandError("docs/metrics.md is not up to date: run manage.py metrics_docs")
