from __future__ import annotations

from django.apps import AppConfig


class CostsConfig(AppConfig):
    name = "apps.costs"
    label = "costs"

    def ready(self) -> None:
        from apps.costs.repricing import statements
        from apps.traces import deletion

        deletion.OF_TRACES.append(statements.forget_traces)
