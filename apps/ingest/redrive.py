"""Dead letters through ingest again."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from django.utils import timezone

from apps.ingest.dead_letters import decode_payload, pending
from apps.ingest.models import DeadLetter
from apps.ingest.service import ingest
from apps.orgs.projects import ingest_project


class Redriven(NamedTuple):
    """How many letters are spans now, and the reasons why the others are still none."""

    stored: int
    refused: dict[int, str]


def redrive(ids: Iterable[int] | None = None) -> Redriven:
    """Drive dead letters through ingest again: those with these ids, or all that are whole and not driven yet.

    A letter whose span is stored is marked; one that is refused again stays as it was. Doing it twice stores nothing
    twice, since a span is stored once under its identity.
    """
    stored = 0
    refused: dict[int, str] = {}
    for project_id, letters in groupby(pending(ids), key=attrgetter("project_id")):
        project = ingest_project(project_id)
        for letter in letters:
            receipt = ingest(project, [decode_payload(letter.payload)], source=None)
            if receipt.accepted:
                stored += 1
                DeadLetter.objects.filter(pk=letter.pk).update(redriven_at=timezone.now())
            else:
                refused[letter.pk] = receipt.rejected[0].reason
    return Redriven(stored, refused)
