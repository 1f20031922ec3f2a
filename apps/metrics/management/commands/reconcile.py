"""Recompute a range from raw spans and report every difference with what is stored."""

from __future__ import annotations

import dataclasses
import json
import sys
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.metrics.reconcile import Reconciliation, examine
from apps.orgs.models import Project


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(f"{text!r} is not an ISO 8601 time") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class Command(BaseCommand):
    help = "Compares all cells and trace rows of a range with the raw spans; exit code 1 when any differ."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--start", required=True, help="ISO 8601; UTC unless it says otherwise")
        parser.add_argument("--end", required=True, help="ISO 8601, not included")
        parser.add_argument("--repair", action="store_true", help="redo what differs, then report what is left")
        parser.add_argument("--organization", help="only this organization's projects (slug)")
        parser.add_argument("--project", help="only this project (slug), with --organization")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        start, end = _moment(options["start"]), _moment(options["end"])
        if start >= end:
            raise CommandError("--start must be before --end")
        projects = self._projects(options["organization"], options["project"])
        found = examine(start, end, repair=options["repair"], projects=projects)
        if options["json"]:
            self.stdout.write(json.dumps(self._as_json(found), default=str))
        else:
            self._print(found)
        if found.differences:
            sys.exit(1)

    def _projects(self, organization: str | None, project: str | None) -> list[int] | None:
        if organization is None:
            if project is not None:
                raise CommandError("--project needs --organization")
            return None
        of = Project.objects.filter(organization__slug=organization)
        found = list((of.filter(slug=project) if project else of).values_list("pk", flat=True))
        if not found:
            raise CommandError("no such project")
        return found

    def _as_json(self, found: Reconciliation) -> dict[str, Any]:
        return {
            "compared": found.compared,
            "pending": found.pending,
            "unverifiable": found.unverifiable,
            "repaired": found.repaired,
            "differences": [dataclasses.asdict(difference) for difference in found.differences],
        }

    def _print(self, found: Reconciliation) -> None:
        for d in found.differences:
            key = " ".join(f"{name}={value}" for name, value in d.key.items())
            self.stdout.write(
                f"{d.rollup} {d.bucket.isoformat()} project={d.project_id} {key} "
                f"{d.component}: stored {d.stored}, expected {d.expected}"
            )
        if found.repaired:
            self.stdout.write(f"{found.repaired} differences repaired")
        self.stdout.write(
            f"{len(found.differences)} differences in {found.compared} buckets compared; "
            f"{found.pending} pending, {found.unverifiable} unverifiable"
        )
