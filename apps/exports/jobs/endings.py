"""How an attempt changes its job: each change holds only where the attempt still has it.

The connection may be broken, or the database away for a moment: every change is tried again, and each may be made
twice, since the second time finds what the first one left.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final, TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import F, Func, Q, QuerySet, Value
from django.db.models.functions import Now
from psycopg import Error as PsycopgError

from apps.common.observe import telemetry
from apps.common.resilience import patiently
from apps.exports.failures import ExportFailed
from apps.exports.jobs import statements
from apps.exports.jobs.claim import Claimed
from apps.exports.jobs.limits import limits_of
from apps.exports.jobs.watch import Lost
from apps.exports.models import ExportJob
from apps.exports.produce import Produced

logger = logging.getLogger(__name__)

MOST_FAILURES: Final = 3
PAUSES: Final = (1, 4, 16)  # seconds until the next try, by failures so far
TRIES: Final = 9  # of a change: 25 s and more, as long as a server may take to start again
PASSING: Final = (OperationalError, InterfaceError, PsycopgError)
Status = ExportJob.Status
T = TypeVar("T")


def steadily(change: Callable[[], T]) -> T:
    """Make a change, on a new connection where the old one is broken."""

    def attempt() -> T:
        try:
            return change()
        except PASSING:
            if not connection.in_atomic_block:
                connection.close()
            raise

    return patiently(attempt, PASSING, tries=TRIES)


def _mine(claimed: Claimed) -> QuerySet[ExportJob]:
    return ExportJob.objects.filter(pk=claimed.id, attempt=claimed.attempt, status=Status.PROCESSING)


def reserve(claimed: Claimed, job: ExportJob, name: str, size: int) -> None:
    """Note under which name the file will be stored, before it is, so that it is found whatever happens next.

    Raises:
        Lost: another one has the job.
        ExportFailed: the organization's files would take more room than it has.
    """

    def change() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            statements.lock_organization(cursor, job.organization_id)
            used = statements.stored_bytes(cursor, job.organization_id, job.pk)
            limit = limits_of(job.organization_id).stored_bytes
            if used + size > limit:
                text = f"The file has {size} bytes; with {used} bytes of the organization's other files that is more"
                raise ExportFailed(f"{text} than the {limit} bytes that it may store.")
            added = Func(F("stored"), Value(name), function="array_append")
            noted = _mine(claimed).exclude(stored__contains=[name])
            noted.update(stored=added, file_size_bytes=size, updated_at=Now())
            if not _mine(claimed).exists():
                raise Lost("it was cancelled, or another one has it")

    steadily(change)


def complete(claimed: Claimed, name: str, produced: Produced) -> bool:
    """Offer the file; False where the job is no longer this attempt's, or nobody wants it any more."""
    expires = timedelta(days=settings.HUB.export_expiry_days)

    def change() -> bool:
        mine = _mine(claimed).filter(Q(cancel_requested=False) & Q(deadline_at__gt=Now()))
        changed = mine.update(
            status=Status.COMPLETED,
            file=name,
            file_name=produced.file_name,
            content_type=produced.content_type,
            file_size_bytes=produced.bytes,
            sha256=produced.sha256,
            row_count=produced.rows,
            rows_done=produced.rows,
            rows_total=produced.rows,
            manifest=produced.manifest,
            error="",
            completed_at=Now(),
            updated_at=Now(),
            expires_at=Now() + expires,
        )
        # An answer that was lost with its connection may have been a yes.
        return bool(changed) or ExportJob.objects.filter(pk=claimed.id, file=name, status=Status.COMPLETED).exists()

    completed = steadily(change)
    if completed:
        _count(claimed, Status.COMPLETED)
    return completed


def _count(claimed: Claimed, status: str) -> None:
    telemetry.export_jobs.labels(claimed.kind, claimed.format, status).inc()


def fail(claimed: Claimed, reason: str, **more: Any) -> bool:
    """End it for good."""
    failed = bool(steadily(lambda: _mine(claimed).update(status=Status.FAILED, **more, **_ended(reason))))
    if failed:
        _count(claimed, Status.FAILED)
    return failed


def _ended(reason: str) -> dict[str, Any]:
    return {
        "error": reason[:1000],
        "completed_at": Now(),
        "updated_at": Now(),
        "heartbeat_at": None,
        "file_size_bytes": None,
    }


def give_back(claimed: Claimed) -> bool:
    """Leave it to another worker, at once."""
    return bool(steadily(lambda: _mine(claimed).update(not_before=Now(), **_waiting())))


def _waiting() -> dict[str, Any]:
    return {"status": Status.PENDING, "heartbeat_at": None, "file_size_bytes": None, "updated_at": Now()}


def failed_once(claimed: Claimed, reason: str) -> float | None:
    """What failed may pass: give it back for later, or end it after the last try.

    Returns:
        The seconds until it may be tried again; None where it ended or is no longer this attempt's.
    """

    def change() -> float | None:
        job = _mine(claimed).first()
        if job is None:
            return None
        failures = job.failures + 1
        if failures >= MOST_FAILURES:
            fail(claimed, f"It was tried {failures} times. {reason}", failures=failures)
            return None
        pause = PAUSES[min(failures, len(PAUSES)) - 1]
        later = Now() + timedelta(seconds=pause)
        _mine(claimed).update(failures=failures, not_before=later, error=reason[:1000], **_waiting())
        return float(pause)

    return steadily(change)
