"""What puts everything right that a killed process, a lost message or a server that was away left behind."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import islice
from typing import Any, Final
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F, Func, IntegerField, Q, QuerySet
from django.db.models.functions import Now

from apps.common.observe import telemetry
from apps.exports import storage
from apps.exports.jobs import enqueue, folders, statements
from apps.exports.jobs.endings import PASSING
from apps.exports.models import ExportJob
from apps.exports.storage import StorageDown

logger = logging.getLogger(__name__)

MOST: Final = 200  # jobs of one kind in one sweep
Status = ExportJob.Status
_NAME: Final = re.compile(r"[0-9]+/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-[0-9]+\..*")
OVER_TIME = "It took longer than an export may."
LOST = "The processes that worked on it ended {} times without a word."


def sweep() -> None:
    """Every few seconds, on any worker; two at once do no harm."""
    steps: tuple[Callable[[], Any], ...] = (end_overdue, end_lost, expire, discard_leftovers, folders.clean, call)
    for step in steps:
        try:
            step()
        except PASSING:
            if not connection.in_atomic_block:
                connection.close()
            raise  # the others need the database too
        except Exception:
            # The other steps are worth doing; this one is tried again in a moment.
            logger.exception("the sweep of exports failed at %s", getattr(step, "__name__", step))


def end_overdue() -> int:
    """Fail what is past its deadline, at work or not."""
    over = ExportJob.objects.filter(status__in=ExportJob.ACTIVE, deadline_at__lte=Now())
    return _fail(over, OVER_TIME)


def end_lost() -> int:
    """Fail what has cost too many processes their lives."""
    lost = ExportJob.objects.filter(status__in=ExportJob.ACTIVE, lost__gte=statements.MOST_LOST)
    return _fail(lost, LOST.format(statements.MOST_LOST))


def _fail(jobs: QuerySet[ExportJob], reason: str) -> int:
    failed = 0
    for job in jobs.order_by("created_at")[:MOST]:
        # As it was read: somebody may have completed it meanwhile.
        same = ExportJob.objects.filter(pk=job.pk, status=job.status, attempt=job.attempt)
        if same.update(
            status=Status.FAILED,
            error=reason,
            heartbeat_at=None,
            file_size_bytes=None,
            completed_at=Now(),
            updated_at=Now(),
        ):
            failed += 1
            telemetry.export_jobs.labels(job.kind, job.format, Status.FAILED).inc()
    return failed


def expire() -> int:
    """Take back what has been offered long enough; its file goes with the leftovers."""
    old = ExportJob.objects.filter(status=Status.COMPLETED, expires_at__lte=Now())
    return old.update(status=Status.EXPIRED, file="", updated_at=Now())


def discard_leftovers() -> None:
    """Remove the files of attempts that are not offered."""
    count = Func(F("stored"), function="cardinality", output_field=IntegerField())
    rows = ExportJob.objects.exclude(stored=[]).annotate(names=count)
    left = rows.filter(~Q(status=Status.COMPLETED) | Q(names__gt=1))
    discard(list(left.order_by("updated_at").values_list("pk", flat=True)[:MOST]))


def discard(job_ids: Collection[UUID]) -> None:
    """Remove what was stored for these jobs, but for what is offered and what is being stored now."""
    for job in ExportJob.objects.filter(pk__in=job_ids):
        gone = [name for name in _leftovers(job) if _removed(name)]
        if gone:
            _forget(job, gone)


def _leftovers(job: ExportJob) -> Sequence[str]:
    wanted = {job.file}
    if job.status == Status.PROCESSING:
        wanted |= {name for name in job.stored if f"{job.pk}-{job.attempt}." in name}
    return [name for name in job.stored if name not in wanted]


def _removed(name: str) -> bool:
    try:
        storage.remove(name)
    except StorageDown:
        logger.warning("the file %s of an export could not be removed; that is tried again", name)
        return False
    return True


def _forget(job: ExportJob, gone: Sequence[str]) -> None:
    kept = [name for name in job.stored if name not in gone]
    # Somebody who added a name meanwhile is not overwritten; the next sweep sees both.
    ExportJob.objects.filter(pk=job.pk, stored=job.stored).update(stored=kept)


def remove_later(names: Sequence[str]) -> None:
    """Remove files once the transaction is committed; what cannot be removed then is found by `sweep_files`."""
    transaction.on_commit(lambda: [_removed(name) for name in names], robust=True)


def sweep_files() -> int:
    """Now and then: remove files that no job knows. How many.

    A job notes a name before anything is stored under it. So what is found in the storage and then in no job was left
    by a job that is gone, or by a process that woke after its job had been cleaned up.
    """
    removed = 0
    for some in _batched(name for name in storage.names() if _NAME.fullmatch(name)):
        owners = {name: UUID(match[1]) for name in some if (match := _NAME.fullmatch(name))}
        rows = ExportJob.objects.filter(pk__in=set(owners.values())).values_list("stored", flat=True)
        known = {name for stored in rows for name in stored}
        for name in some:
            if name not in known and _removed(name):
                logger.info("removed the file %s, which belonged to no export", name)
                removed += 1
    return removed


def _batched(names: Iterator[str]) -> Iterator[list[str]]:
    while some := list(islice(names, MOST)):
        yield some


def call() -> int:
    """Send for workers for whatever waits: messages may have been lost, and retries come due."""
    with connection.cursor() as cursor:
        due = statements.due(cursor, MOST)
    # Any message will do for any job. While workers are busy, no more are added than there are jobs.
    missing = max(0, len(due) - enqueue.waiting()) if due else 0
    return sum(enqueue.run_export(job_id) for job_id in due[:missing])
