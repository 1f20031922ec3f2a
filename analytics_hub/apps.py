from __future__ import annotations

from django.apps import AppConfig


class AnalyticsHubConfig(AppConfig):
    name = "analytics_hub"

    def ready(self) -> None:
        # So that whoever sends a task by its name sends it to this broker, from whatever process.
        import celery_worker.app  # noqa: F401
