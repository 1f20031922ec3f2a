from __future__ import annotations

from django.apps import AppConfig


class ExportsConfig(AppConfig):
    name = "apps.exports"
    label = "exports"

    def ready(self) -> None:
        from apps.exports.sources.spans import reader  # noqa: F401 - it registers what it offers
