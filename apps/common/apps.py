from __future__ import annotations

from django.apps import AppConfig


class CommonConfig(AppConfig):
    name = "apps.common"
    label = "common"

    def ready(self) -> None:
        from django.db.backends.signals import connection_created

        from apps.common import deadline, described, probes, readiness, scrape

        readiness.register("database", probes.database)
        readiness.register("migrations", probes.migrations)
        readiness.register("cache", probes.cache_server)
        scrape.register("cache_size_bytes", "Memory that the cache server uses.", probes.cache_size)
        scrape.register("celery_queue_depth", "Tasks, by queue and state.", probes.queue_depth, ("queue", "state"))
        connection_created.connect(deadline.guard_connection, dispatch_uid="deadline")
        described.describe_all()
