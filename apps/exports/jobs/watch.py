"""The thread beside a job's work: says that it lives, and ends it where it must not go on.

It has a database connection of its own, since the work's is inside a snapshot. What it finds is raised in the work
where it next reports progress, and a statement that is running is cancelled, so that nobody waits for it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from django.db import DatabaseError, InterfaceError, connection, transaction
from psycopg import Error as PsycopgError

from apps.exports.failures import Cancelled, ExportFailed, Stopping
from apps.exports.jobs import statements
from apps.exports.jobs.claim import Claimed

logger = logging.getLogger(__name__)

BEAT_SECONDS: Final = 2.0
LOOK_SECONDS: Final = 0.5  # at whether the process is asked to end
LOCK_SECONDS: Final = 5


class Lost(Exception):
    """The job is no longer this attempt's: another one has it, or it is gone."""


class OverTime(ExportFailed):
    """The deadline has passed."""


class Watch:
    """Use as a context manager around the work; nothing is watched inside a transaction, as in tests.

    Args:
        stopping: whether the process is asked to end.
    """

    def __init__(self, claimed: Claimed, stopping: Callable[[], bool]) -> None:
        self._claimed, self._stopping = claimed, stopping
        self.reason: Exception | None = None
        self._done, self._total = 0, None  # type: int, int | None
        self._over = threading.Event()
        self._guarded: psycopg.Connection[Any] | None = None
        self._guarding = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=f"export {claimed.id}", daemon=True)

    def __enter__(self) -> Watch:
        if not connection.in_atomic_block:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()

    def progress(self, done: int, total: int | None = None) -> None:
        """Note how far it is.

        Raises:
            Cancelled, Stopping, Lost, OverTime: it must not go on.
        """
        self._done, self._total = done, total
        if self._stopping():
            self._find(Stopping())
        self.check()

    def check(self) -> None:
        if self.reason is not None:
            raise self.reason

    @contextmanager
    def cancelling(self) -> Iterator[None]:
        """Statements of this thread's connection are cancelled, within this block, once there is a reason."""
        self.check()
        connection.ensure_connection()
        with self._guarding:
            self._guarded = connection.connection
        try:
            yield
        finally:
            with self._guarding:
                self._guarded = None

    def _find(self, reason: Exception) -> None:
        if self.reason is None:
            self.reason = reason

    def _run(self) -> None:
        heard = time.monotonic()
        try:
            while not self._over.is_set():
                if self._beat():
                    heard = time.monotonic()
                elif time.monotonic() - heard > statements.SILENCE_SECONDS:
                    self._find(Lost("nobody has heard of it for too long"))
                self._wait()
                if self.reason is not None:
                    self._interrupt()
                    return
        finally:
            connection.close()

    def _wait(self) -> None:
        """Until the next beat, or until there is a reason to end."""
        until = time.monotonic() + BEAT_SECONDS
        while self.reason is None and time.monotonic() < until and not self._over.wait(LOOK_SECONDS):
            if self._stopping():
                self._find(Stopping())

    def _beat(self) -> bool:
        """Whether the database heard of it."""
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{LOCK_SECONDS}s"])
                found = statements.beat(cursor, self._claimed.id, self._claimed.attempt, self._done, self._total)
        except (DatabaseError, InterfaceError, PsycopgError) as error:
            logger.warning("the heartbeat of export %s failed: %s", self._claimed.id, type(error).__name__)
            connection.close()
            return False
        if found is None:
            self._find(Lost("it was cancelled, or another one has it"))
        elif found[0]:
            self._find(Cancelled())
        elif found[1]:
            self._find(OverTime("It took longer than an export may."))
        return True

    def _interrupt(self) -> None:
        """Cancel what the work is waiting for, again and again: it may be between two statements just now."""
        while not self._over.is_set():
            with self._guarding:
                guarded = self._guarded
                if guarded is not None and not guarded.closed:
                    try:
                        guarded.cancel_safe(timeout=2)
                    except PsycopgError:
                        logger.debug("a statement could not be cancelled", exc_info=True)
            self._over.wait(LOOK_SECONDS)
