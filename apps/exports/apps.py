from __future__ import annotations

from importlib import import_module

from django.apps import AppConfig
from django.db.models.signals import post_delete

# Each registers what it reads and gives with apps.exports.asking and apps.exports.sources.
KINDS = ("apps.exports.sources.spans.reader", "apps.exports.sources.metrics", "apps.exports.sources.costs")


class ExportsConfig(AppConfig):
    name = "apps.exports"
    label = "exports"

    def ready(self) -> None:
        from apps.exports.jobs import erasure, sweep
        from apps.exports.models import ExportJob
        from apps.traces import deletion

        for module in KINDS:
            import_module(module)
        # With an organization its jobs go, and their files.
        post_delete.connect(lambda instance, **_: sweep.remove_later(instance.stored), sender=ExportJob, weak=False)
        deletion.OF_SPANS.append(erasure.of_traces)
        deletion.OF_USERS.append(erasure.of_user)
        deletion.OF_SESSIONS.append(erasure.of_sessions)
        from apps.common.observe import scrape
        from apps.exports.waiting import oldest_waiting

        text = "How long the oldest export has waited that nobody works on."
        scrape.register("export_oldest_waiting_seconds", text, oldest_waiting)
