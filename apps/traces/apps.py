from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


def _prepare_storage(using: str, **_: Any) -> None:
    from django.db import connections

    from apps.traces import storage

    connection = connections[using]
    if "span" in connection.introspection.table_names():
        storage.prepare(connection=connection)


class TracesConfig(AppConfig):
    name = "apps.traces"
    label = "traces"

    def ready(self) -> None:
        # A database that has just been migrated can take spans at once.
        post_migrate.connect(_prepare_storage, sender=self)

        from apps.common.observe import readiness
        from apps.traces import probes

        readiness.register("storage", probes.storage_tier)
