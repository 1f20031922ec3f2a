"""The console's Django application."""

from __future__ import annotations

from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    name = "apps.console"
    label = "console"
    verbose_name = "Console"

    def ready(self) -> None:
        from apps.console.page import around_account
        from apps.orgs.pages.common import add_frame

        add_frame(around_account)
