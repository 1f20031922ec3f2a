"""Taking up a job: one worker at a time, organizations in turn, and no snapshot beside a deletion."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from apps.exports.jobs import statements

WAIT_SECONDS: Final = 5.0
PAUSE_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Claimed:
    """A job, and the number by which its changes are this attempt's."""

    id: UUID
    attempt: int
    kind: str
    format: str


def claim(wanted: UUID | None = None) -> Claimed | None:
    """Take up the job whose turn it is; None where there is none.

    A message is only a hint that there is work: of all organizations with room to run, the one comes first that has
    least at work and whose last turn was longest ago.

    The claim is committed before the snapshot is taken. So a deletion of traces either sees the job at work and starts
    it anew, or has its lock already: then the job is left until the deletion is over, and does not contain the trace.

    Args:
        wanted: of its organization's jobs, this one.
    """
    passed: list[UUID] = []
    until = time.monotonic() + WAIT_SECONDS
    limit, seconds = settings.HUB.export_running_jobs, settings.HUB.export_deadline_seconds
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            found = statements.next_job(cursor, wanted, passed, limit)
            if found is None:
                return None
            deleting = not statements.no_deletions(cursor, sorted(found.project_ids))
            if not deleting:
                statements.lock_organization(cursor, found.organization_id)
                taken = statements.claim(cursor, found.id, limit, seconds)
                if taken is not None:
                    return Claimed(found.id, *taken)
        # Somebody was faster, or somebody deletes: that takes a moment.
        if not deleting or time.monotonic() > until:
            passed.append(found.id)
        else:
            time.sleep(PAUSE_SECONDS)
