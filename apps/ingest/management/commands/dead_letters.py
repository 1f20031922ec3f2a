"""`manage.py dead_letters list|redrive|expire`: the spans that were refused."""

from __future__ import annotations

import argparse
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db.models import Count

from apps.ingest import dead_letters, tally
from apps.ingest.models import DeadLetter
from apps.ingest.redrive import redrive
from apps.orgs.models import Project


class Command(BaseCommand):
    """Show refused spans and send them through ingest again."""

    help = "List refused spans, drive them through ingest again, or delete those past the raw retention."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        shown = actions.add_parser("list", help="the newest dead letters and the counts by reason")
        shown.add_argument("--project", metavar="ORGANIZATION/PROJECT")
        shown.add_argument("--limit", type=int, default=50)
        again = actions.add_parser("redrive", help="send them through ingest again")
        again.add_argument("ids", nargs="*", type=int, help="default: all that can be")
        actions.add_parser("expire", help="delete those older than the raw retention")

    def handle(self, *args: Any, **options: Any) -> None:
        action: str = options["action"]
        if action == "list":
            self._list(options["project"], options["limit"])
        elif action == "redrive":
            self._redrive(options["ids"])
        else:
            count = dead_letters.expire(retention_days=settings.HUB.raw_retention_days)
            self.stdout.write(f"{count} dead letters deleted.")

    def _list(self, project: str | None, limit: int) -> None:
        letters = DeadLetter.objects.select_related("project__organization").order_by("-pk")
        if limit < 0:
            raise CommandError("--limit: must not be negative")
        if project:
            organization, _, slug = project.partition("/")
            if not Project.objects.filter(organization__slug=organization, slug=slug).exists():
                raise CommandError(f"There is no project {project}.")
            letters = letters.filter(project__organization__slug=organization, project__slug=slug)
        for reason, count in letters.order_by().values_list("reason").annotate(count=Count("pk")):
            self.stdout.write(f"{count:>8} {reason}")
        for letter in letters[:limit]:
            place = f"{letter.project.organization.slug}/{letter.project.slug}"
            state = "redriven" if letter.redriven_at else "cut" if letter.truncated else "waiting"
            self.stdout.write(
                f"{letter.pk} {letter.received_at:%Y-%m-%dT%H:%M:%SZ} {place} {letter.source} {state} {letter.reason}:"
                f" {letter.message} (trace {letter.trace_id or '-'} span {letter.span_id or '-'})"
            )

    def _redrive(self, ids: list[int]) -> None:
        unknown = set(ids).difference(DeadLetter.objects.filter(pk__in=ids).values_list("pk", flat=True))
        if unknown:
            raise CommandError(f"There is no dead letter {', '.join(map(str, sorted(unknown)))}.")
        made = redrive(ids or None)
        tally.flush()
        self.stdout.write(f"{made.stored} stored, {len(made.refused)} refused again.")
        for pk, reason in sorted(made.refused.items()):
            self.stdout.write(f"{pk} {reason}")
