"""The work on a job: claimed, made in a folder of its own, proven, stored, and only then offered.

Whatever ends an attempt leaves the job in a state from which it goes on: completed with a file that is whole, failed
with a reason, pending for another worker, or at work without a heartbeat, which another worker notices.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import psycopg
from celery.exceptions import SoftTimeLimitExceeded
from django.db import InterfaceError, OperationalError, connection
from psycopg import errors

from apps.exports import storage
from apps.exports.failures import Cancelled, ExportFailed, Stopping
from apps.exports.jobs import endings, enqueue, folders, statements
from apps.exports.jobs.claim import Claimed, claim
from apps.exports.jobs.watch import Lost, Watch
from apps.exports.models import ExportJob
from apps.exports.produce import Produced, produce
from apps.exports.storage import NoRoom, StorageDown

logger = logging.getLogger(__name__)

DATABASE_AWAY = "The database was away, or cut the export off."
STORAGE_AWAY = "The storage of export files is away."
NO_ROOM = "There is no room left where export files are made."
NO_ROOM_STORED = "There is no room left where export files are stored."
NO_ROOM_SORTING = "The database has no room left for what the export reads."
FAULT = "The hub has a fault; its log says more."


def never() -> bool:
    return False


def run(job_id: UUID | str | None = None, stopping: Callable[[], bool] = never) -> UUID | None:
    """Work on the job whose turn it is: of its organization's, this one.

    Args:
        stopping: whether the process is asked to end; the job is then given back.

    Returns:
        Which job it was; None where there was none to do.
    """
    folders.clean()
    claimed = claim(None if job_id is None else UUID(str(job_id)))
    if claimed is None:
        return None
    try:
        with Watch(claimed, stopping) as watch:
            try:
                with folders.folder_of(claimed) as folder:
                    _make(claimed, folder, watch)
            # The outer loop of every export: whatever happens, the job must not hang.
            except Exception as error:  # noqa: BLE001
                _end(claimed, watch.reason or error)
    finally:
        _call_the_next()
    return claimed.id


def _call_the_next() -> None:
    """Others may have waited for this one to end: send for a worker."""
    try:
        with connection.cursor() as cursor:
            waiting = statements.due(cursor, 1)
    except endings.PASSING:
        logger.debug("what waits is left for the sweep", exc_info=True)
        if not connection.in_atomic_block:
            connection.close()
        return
    if waiting:
        enqueue.run_export(waiting[0])


def _make(claimed: Claimed, folder: Path, watch: Watch) -> None:
    job = ExportJob.objects.filter(pk=claimed.id, attempt=claimed.attempt).first()
    if job is None:
        raise Lost("it is gone")
    path = folder / "file"
    with path.open("wb") as out:
        with watch.cancelling():
            produced = produce(job.spec, out, job_id=str(job.pk), progress=watch.progress, scratch=folder)
        out.flush()
        os.fsync(out.fileno())
    if path.stat().st_size != produced.bytes:
        raise ExportFailed(f"The file has {path.stat().st_size} bytes where {produced.bytes} were written.")
    watch.check()
    _offer(claimed, job, path, produced, watch)


def _offer(claimed: Claimed, job: ExportJob, path: Path, produced: Produced, watch: Watch) -> None:
    """Store the file, then say so in one statement; what nobody came to have is removed again."""
    suffix = produced.file_name.partition(".")[2]
    name = f"{job.organization_id}/{claimed.id}-{claimed.attempt}.{suffix}"
    endings.reserve(claimed, job, name, produced.bytes)
    try:
        storage.keep(name, path)
        watch.check()
        if not endings.complete(claimed, name, produced):
            raise Lost("nobody wants it any more")
    except endings.PASSING:
        raise  # nobody knows whether it is offered: the sweep will
    except Exception:
        _remove(name)
        raise


def _remove(name: str) -> None:
    try:
        storage.remove(name)
    except StorageDown:
        logger.warning("the file %s is left for the sweep", name)


def _end(claimed: Claimed, error: Exception) -> None:
    """Put the job into the state that an error leaves."""
    if isinstance(error, Lost | Cancelled):
        logger.info("export %s: attempt %d ends, %s", claimed.id, claimed.attempt, error or "it was cancelled")
        return
    try:
        if isinstance(error, Stopping):
            if endings.give_back(claimed):
                enqueue.run_export(claimed.id)
        elif reason := _for_good(error):
            endings.fail(claimed, reason)
        else:
            logger.warning("export %s: attempt %d failed: %r", claimed.id, claimed.attempt, error)
            endings.failed_once(claimed, STORAGE_AWAY if isinstance(error, StorageDown) else DATABASE_AWAY)
    except endings.PASSING:
        # Without a heartbeat it is taken up again once the database is back.
        logger.warning("export %s: attempt %d could not be ended in order", claimed.id, claimed.attempt, exc_info=True)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it came of: libraries give errors of the disk other names."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _for_good(error: Exception) -> str:
    """Why it is of no use to try again; empty where it may be."""
    chain = list(_chain(error))
    if any(isinstance(one, errors.DiskFull) for one in chain):
        return NO_ROOM_SORTING
    if isinstance(error, ExportFailed):
        return str(error)
    if isinstance(error, NoRoom):
        return NO_ROOM_STORED
    if any(isinstance(one, OSError) and one.errno in storage.FULL for one in chain):
        return NO_ROOM
    if isinstance(error, SoftTimeLimitExceeded):
        return "It took longer than a task of the hub may."
    if isinstance(error, OperationalError | InterfaceError | psycopg.OperationalError | StorageDown):
        return ""
    logger.error("an export failed by a fault", exc_info=error)
    if isinstance(error, OSError):
        return f"The disk of the hub failed ({errno.errorcode.get(error.errno or 0, 'unknown')})."
    return FAULT
