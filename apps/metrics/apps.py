from __future__ import annotations

from django.apps import AppConfig


class MetricsConfig(AppConfig):
    name = "apps.metrics"
    label = "metrics"

    def ready(self) -> None:
        from apps.common import readiness
        from apps.metrics import probes

        readiness.register("rollups", probes.rollup_lag)
