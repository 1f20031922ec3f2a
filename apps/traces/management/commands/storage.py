"""`manage.py storage status|upgrade`: what the spans are kept in, and the way up to TimescaleDB."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.traces import upgrade


class Command(BaseCommand):
    help = "Show the storage tier and the tables' sizes, or move plain tables to TimescaleDB hypertables."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=["status", "upgrade"])
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        parser.add_argument("--force", action="store_true", help="upgrade although the hub is running")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        if action == "upgrade":
            self._upgrade(options["json"], options["force"])
        status = upgrade.status()
        if options["json"]:
            self.stdout.write(json.dumps(status))
            return
        self.stdout.write(
            f"tier: {status['tier']}, PostgreSQL {status['postgresql']}, "
            f"TimescaleDB {status['timescaledb'] or 'not installed'}"
        )
        for table, facts in status["tables"].items():
            parts = (
                f", {facts['partitions']} days {facts['first_day']} to {facts['last_day']}"
                if "partitions" in facts
                else ""
            )
            self.stdout.write(f"{table}: {facts['bytes'] / 1e6:.1f} MB, about {facts['rows_estimate']} rows{parts}")
        for name in upgrade.further_status:
            self.stdout.write(f"{name.replace('_', ' ')}: {status[name]}")
        if status["upgrade_unfinished"]:
            self.stdout.write("an upgrade was cut short: run `manage.py storage upgrade` again")

    def _upgrade(self, quiet: bool, force: bool) -> None:
        try:
            moved = upgrade.upgrade(self.stderr.write if quiet else self.stdout.write, force=force)
        except upgrade.UpgradeRefused as refusal:
            raise CommandError(str(refusal)) from None
        if not quiet:
            self.stdout.write(f"{moved} partitions moved")
