"""`manage.py import_traces FILE --project organization/project`: backfill spans from a file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from apps.ingest import importing
from apps.ingest.files import FORMATS, format_of
from apps.ingest.importing import Progress
from apps.ingest.raw import UndecodableError
from apps.ingest.service import Rejection
from apps.orgs.models import Project
from apps.orgs.projects import ingest_project
from apps.traces.writer import WriteUnavailable

MAX_LISTED = 20


class Command(BaseCommand):
    """Backfill from JSONL (our JSON spans or OTLP JSON), CSV or Parquet; run it again to go on after a stop."""

    help = "Import spans from a JSONL, CSV or Parquet file. Interrupted, it goes on where it ended when run again."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--project", required=True, metavar="ORGANIZATION/PROJECT")
        parser.add_argument("--format", choices=sorted(FORMATS), help="default: by the file's name")
        parser.add_argument("--restart", action="store_true", help="forget how far an earlier run came")

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["file"]
        project = ingest_project(self._project_id(options["project"]))
        if not path.is_file():
            raise CommandError(f"{path}: {'not a file' if path.exists() else 'no such file'}")
        kind = options["format"] or format_of(path)
        if kind is None:
            raise CommandError(f"{path}: say which with --format {'|'.join(sorted(FORMATS))}")
        state = importing.state_path(settings.HUB.hub_data_dir, path, project.id)
        if options["restart"]:
            state.unlink(missing_ok=True)
        progress = importing.load_progress(state, path, project.id)
        try:
            reader = FORMATS[kind](path)
        except (UndecodableError, ValueError, OSError) as error:
            raise CommandError(f"{path}: not readable as {kind}: {error}") from None
        if progress.position:
            self.stderr.write(f"Going on after row {progress.rows} ({progress.accepted} spans are stored).")
        listed: list[Rejection] = []
        with tqdm(total=reader.total, initial=progress.position, unit=reader.unit, unit_scale=True) as bar:
            try:
                importing.run(
                    project,
                    reader,
                    progress,
                    save=lambda made: importing.save_progress(state, made),
                    advance=bar.update,
                    report=lambda rejection: listed.append(rejection) if len(listed) < MAX_LISTED else None,
                )
            except WriteUnavailable:
                raise CommandError("The database is away. Run the command again to go on where it ended.") from None
        self._summarise(progress, listed)
        if not progress.accepted:
            raise CommandError("Nothing in the file could be stored.")

    @staticmethod
    def _project_id(name: str) -> int:
        organization, _, slug = name.partition("/")
        found = Project.objects.filter(organization__slug=organization, slug=slug).values_list("pk", flat=True).first()
        if found is None:
            raise CommandError(f"There is no project {name}.")
        return found

    def _summarise(self, progress: Progress, listed: list[Rejection]) -> None:
        for rejection in listed:
            self.stderr.write(f"row {rejection.index}: {rejection.reason}: {rejection.message}")
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(progress.reasons.items()))
        self.stdout.write(
            f"{progress.rows} rows: {progress.accepted} spans stored, {progress.rejected} refused"
            + (f" ({reasons}; see manage.py dead_letters list)" if reasons else "")
            + "."
        )
