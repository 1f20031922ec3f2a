"""`manage.py up`: the whole hub in the foreground."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from analytics_hub.env import Env
from analytics_hub.launch.account import LaunchError
from analytics_hub.launch.hub import Hub


class Command(BaseCommand):
    help = (
        "Start everything in the foreground: PostgreSQL and Valkey (unless DATABASE_URL and REDIS_URL name servers), "
        "migrations, web, background worker and scheduler. Ctrl-C ends all of it."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, help="where the hub listens (API_PORT)")
        parser.add_argument("--data-dir", help="where its data is kept (HUB_DATA_DIR)")
        parser.add_argument("--demo", action="store_true", help="also fill it with demo data")

    def handle(self, *args: Any, **options: Any) -> None:
        env: Env = settings.HUB
        port = options["port"] if options["port"] is not None else env.api_port
        if not 1 <= port <= 65535:
            raise CommandError("--port: must be from 1 to 65535")
        try:
            Hub(env, port, demo=options["demo"]).run()
        except LaunchError as error:
            raise CommandError(str(error)) from None
