from __future__ import annotations

from django.apps import AppConfig


class MetricsConfig(AppConfig):
    name = "apps.metrics"
    label = "metrics"

    def ready(self) -> None:
        from apps.common import readiness
        from apps.metrics import probes
        from apps.traces.upgrade import further_status

        readiness.register("rollups", probes.rollup_lag)
        further_status["usage_cells"] = probes.usage_cells
