from __future__ import annotations

from importlib import import_module

from django.apps import AppConfig

# Each registers what it reads and gives with apps.exports.asking and apps.exports.sources.
KINDS = ("apps.exports.sources.spans.reader", "apps.exports.sources.metrics", "apps.exports.sources.costs")


class ExportsConfig(AppConfig):
    name = "apps.exports"
    label = "exports"

    def ready(self) -> None:
        from apps.exports.jobs import erasure
        from apps.traces import deletion

        for module in KINDS:
            import_module(module)
        deletion.OF_SPANS.append(erasure.of_traces)
        deletion.OF_USERS.append(erasure.of_user)
        deletion.OF_SESSIONS.append(erasure.of_sessions)
        from apps.common.observe import scrape
        from apps.exports.waiting import oldest_waiting

        text = "How long the oldest export has waited that nobody works on."
        scrape.register("export_oldest_waiting_seconds", text, oldest_waiting)
