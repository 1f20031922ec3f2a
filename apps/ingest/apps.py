from __future__ import annotations

from django.apps import AppConfig


class IngestConfig(AppConfig):
    name = "apps.ingest"
    label = "ingest"

    def ready(self) -> None:
        from apps.ingest import described
        from apps.ingest.redaction import project_problems
        from apps.orgs.services import add_project_validator

        add_project_validator(project_problems)
        described.describe_all()
