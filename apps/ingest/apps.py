from __future__ import annotations

from django.apps import AppConfig


class IngestConfig(AppConfig):
    name = "apps.ingest"
    label = "ingest"

    def ready(self) -> None:
        from apps.common.edge import errorpages
        from apps.common.observe import pulse
        from apps.ingest import dead_letters, described, otlp_http, tally
        from apps.ingest.api import OTLP_PATHS
        from apps.ingest.redaction import project_problems
        from apps.orgs.services import add_project_validator
        from apps.traces import deletion

        add_project_validator(project_problems)
        for path in OTLP_PATHS:
            errorpages.present_by(f"/{path}", otlp_http.present)
        described.describe_all()
        pulse.ALSO.append(tally.flush)
        deletion.OF_TRACES.append(dead_letters.delete_of_traces)
        deletion.OF_USERS.append(dead_letters.delete_of_user)
