from __future__ import annotations

from django.apps import AppConfig


class CommonConfig(AppConfig):
    name = "apps.common"
    label = "common"

    def ready(self) -> None:
        from apps.common import described, probes, readiness

        readiness.register("database", probes.database)
        readiness.register("migrations", probes.migrations)
        readiness.register("cache", probes.cache_server)
        described.describe_all()
