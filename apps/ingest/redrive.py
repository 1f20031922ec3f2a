"""Dead letters through ingest again."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from operator import attrgetter
from typing import Final, NamedTuple

from django.utils import timezone

from apps.ingest.dead_letters import decode_payload, pending
from apps.ingest.models import DeadLetter
from apps.ingest.service import ingest
from apps.orgs.audit import Actor, record
from apps.orgs.models import Project
from apps.orgs.projects import ingest_project

# At the wish of a person who waits for the answer: so many, so long, and so many payloads in memory.
MOST_BY_HAND: Final = 2_000
SECONDS_BY_HAND: Final = 15.0
_AT_ONCE: Final = 50


class Redriven(NamedTuple):
    """How many letters are spans now, and the reasons why the others are still none."""

    stored: int
    refused: dict[int, str]


class ByHand(NamedTuple):
    """The same, and how many letters were not reached in the time there was."""

    stored: int
    refused: dict[int, str]
    left: int


def redrive(ids: Iterable[int] | None = None) -> Redriven:
    """Drive dead letters through ingest again: those with these ids, or all that are whole and not driven yet.

    A letter whose span is stored is marked; one that is refused again stays as it was. Doing it twice stores nothing
    twice, since a span is stored once under its identity.
    """
    stored: Counter[int] = Counter()
    refused: dict[int, str] = {}
    _drive(pending(ids), stored, refused)
    return Redriven(stored.total(), refused)


def redrive_by(actor: Actor, ids: Iterable[int], *, seconds: float = SECONDS_BY_HAND) -> ByHand:
    """`redrive` for a person: bounded in number, time and memory, with an entry in the audit log for each project.

    The caller has made sure that the actor may write to the letters' projects.
    """
    end = time.monotonic() + seconds
    stored: Counter[int] = Counter()
    refused: dict[int, str] = {}
    left = 0
    for chunk in _chunks(islice(ids, MOST_BY_HAND)):
        if time.monotonic() > end:
            left += len(chunk)
        else:
            _drive(pending(chunk), stored, refused)
    for project in Project.objects.filter(pk__in=stored):
        record(
            actor,
            "dead_letter.redrive",
            organization_id=project.organization_id,
            project_id=project.pk,
            object_type="project",
            object_id=project.pk,
            object_name=project.slug,
            after={"stored": stored[project.pk]},
        )
    return ByHand(stored.total(), refused, left)


def _chunks(ids: Iterator[int]) -> Iterator[list[int]]:
    while chunk := list(islice(ids, _AT_ONCE)):
        yield chunk


def _drive(letters: Iterable[DeadLetter], stored: Counter[int], refused: dict[int, str]) -> None:
    for project_id, of_project in groupby(letters, key=attrgetter("project_id")):
        project = ingest_project(project_id)
        for letter in of_project:
            receipt = ingest(project, [decode_payload(letter.payload)], source=None)
            if receipt.accepted:
                stored[project_id] += 1
                DeadLetter.objects.filter(pk=letter.pk).update(redriven_at=timezone.now())
            else:
                refused[letter.pk] = receipt.rejected[0].reason
