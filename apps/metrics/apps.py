from __future__ import annotations

from django.apps import AppConfig


class MetricsConfig(AppConfig):
    name = "apps.metrics"
    label = "metrics"

    def ready(self) -> None:
        from apps.common.observe import readiness, scrape
        from apps.metrics import probes, retention
        from apps.metrics.ledger import rollup_lag_seconds
        from apps.traces import deletion
        from apps.traces.upgrade import further_status

        readiness.register("rollups", probes.rollup_lag)
        scrape.register("rollup_lag_seconds", "How long the oldest write waits to be folded.", rollup_lag_seconds)
        further_status["usage_cells"] = probes.usage_cells
        deletion.OF_USERS.append(retention.forget_user)
        deletion.OF_SESSIONS.append(retention.forget_sessions)
