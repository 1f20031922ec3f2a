"""The work of a repricing: slice by slice, each in a transaction of its own that also notes how far it came.

A process that is killed leaves whole slices behind, and whoever comes next goes on behind the last one. A slice holds
the spans of one project and one day, and so few of them that a writer who meets their locks waits for a moment.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import OperationalError, connection, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone
from psycopg import errors

from apps.common.reads import caching
from apps.common.valkey import CacheDown
from apps.costs.pricebook.overrides import OrganizationPrices, believed, compile_book_of
from apps.costs.pricebook.services import last_change
from apps.costs.repricing import statements
from apps.costs.repricing.figures import Figures
from apps.costs.repricing.models import RepriceJob
from apps.costs.repricing.outcome import Stored, differs, outcome, priced
from apps.costs.repricing.statements import Change, Position
from apps.metrics.ledger import rollup_lag_seconds
from apps.traces import storage
from apps.traces.schema import DAY, day_of, midnight

logger = logging.getLogger(__name__)

SLICE = 5_000
STATEMENT_SECONDS = 60.0
ATTEMPTS = 3
# Spans priced with an older book may still be on their way: for the ten seconds for which a process knows no newer one,
# and as long as a request may take.
SETTLES = timedelta(seconds=40)
FOLD_BEHIND_SECONDS = 60.0
State = RepriceJob.State
_TRANSIENT = (errors.DeadlockDetected, errors.SerializationFailure, errors.LockNotAvailable)


class _Overtaken(Exception):
    """Somebody changed the job meanwhile: the slice is taken back."""


class _Next:
    """What a slice leaves: the columns of the job to change."""

    def __init__(self, **columns: Any) -> None:
        self.columns = columns


def run(job_id: int, *, seconds: float) -> None:
    """Work on a job until it is done, somebody else is at it, or the time is over."""
    until, attempts = time.monotonic() + seconds, 0
    worker = _Worker()
    while time.monotonic() < until:
        try:
            if not worker.slice(job_id):
                return
            attempts = 0
        except _Overtaken:
            continue
        except OperationalError as error:
            attempts += 1
            if not isinstance(error.__cause__, _TRANSIENT) or attempts >= ATTEMPTS or connection.in_atomic_block:
                raise


def run_all(seconds: float = 50.0) -> None:
    """Go on with every job that is under way: what runs every few seconds."""
    until = time.monotonic() + seconds
    for pk in list(RepriceJob.objects.filter(state__in=RepriceJob.ACTIVE).order_by("pk").values_list("pk", flat=True)):
        try:
            run(pk, seconds=until - time.monotonic())
        except Exception as error:
            logger.exception("repricing %d failed", pk)
            if not isinstance(error, OperationalError):  # the database will be back; a fault of ours stays one
                fail(pk, error)


def fail(job_id: int, error: Exception) -> None:
    """End a job that cannot go on. What it changed can be undone."""
    RepriceJob.objects.filter(pk=job_id, state__in=RepriceJob.ACTIVE).update(
        state=State.FAILED, error=f"{type(error).__name__}: the hub's log says more"[:500]
    )


class _Worker:
    """What a process keeps between slices: the job's prices and the edges of retention."""

    def __init__(self) -> None:
        self._books: dict[int, OrganizationPrices | None] = {}
        self._floors: Mapping[int, datetime] | None = None
        self._floor = datetime.min.replace(tzinfo=UTC)

    def slice(self, job_id: int) -> bool:
        """One slice; False where there is nothing to do now."""
        with transaction.atomic(), connection.cursor() as cursor:
            statements.begin(cursor, STATEMENT_SECONDS)
            if not statements.claim(cursor, job_id):
                return False
            job = RepriceJob.objects.filter(pk=job_id).first()
            if job is None or job.state not in RepriceJob.ACTIVE:
                return False
            if job.state == State.APPLYING and not settled(job):
                return False
            if job.state in (State.APPLYING, State.UNDOING) and rollup_lag_seconds() > FOLD_BEHIND_SECONDS:
                return False  # questions about what is not folded read spans: let the refresh catch up
            made = self._undo(cursor, job) if job.state == State.UNDOING else self._reprice(cursor, job)
            self._note(job, made)
            return True

    @staticmethod
    def _note(job: RepriceJob, made: _Next) -> None:
        """How far it came; refused where the job was told something else meanwhile."""
        same = RepriceJob.objects.filter(pk=job.pk, state=job.state)
        if not same.update(**made.columns):
            raise _Overtaken
        if made.columns.get("state") in (State.APPLIED, State.UNDONE):
            transaction.on_commit(lambda: _forget(job.organization_id))

    def _reprice(self, cursor: CursorWrapper, job: RepriceJob) -> _Next:
        counting = job.state == State.COUNTING
        figures = Figures(job.counted if counting else job.applied)
        behind = self._next_position(cursor, job)
        if behind is None:
            return self._finished(job, figures)
        end = min(job.end_time, midnight(day_of(behind.start_time) + DAY))
        spans = statements.read(cursor, behind, end, job.providers, job.model_names, SLICE)
        changes = self._priced(job, behind.project_id, spans, figures)
        if changes and not counting:
            written = statements.write_costs(cursor, [new for _, new in changes])
            statements.remember(cursor, job.pk, [old for old, _ in changes if old.key in written])
        at = Position(behind.project_id, end, "", "")
        if len(spans) == SLICE:
            at = Position(behind.project_id, spans[-1].start_time, spans[-1].trace_id, spans[-1].span_id)
        return _Next(**{"counted" if counting else "applied": figures.kept()}, position=_stored(at))

    def _priced(
        self, job: RepriceJob, project_id: int, spans: Sequence[Stored], figures: Figures
    ) -> list[tuple[Change, Change]]:
        """The spans whose cost changes: before and after."""
        prices, changes = self._book(job), []
        for span in spans:
            new = outcome(span.costs, priced(span, prices), include_client_costs=job.include_client_costs)
            changed = differs(span.costs, new)
            figures.add(span.provider, span.model, span.costs, new, changed)
            if changed:
                key = (project_id, span.start_time, span.trace_id, span.span_id, span.ingested_at)
                changes.append((Change(*key, span.costs), Change(*key, new)))
        return changes

    def _finished(self, job: RepriceJob, figures: Figures) -> _Next:
        now = timezone.now()
        if job.state == State.APPLYING:
            return _Next(state=State.APPLIED, applied=figures.kept(), applied_at=now, position=None)
        state = State.APPLYING if job.apply_at_once else State.COUNTED
        return _Next(state=state, counted=figures.kept(), counted_at=now, position=None)

    def _next_position(self, cursor: CursorWrapper, job: RepriceJob) -> Position | None:
        """Where the next slice begins; None behind the last project. Days without spans are passed over."""
        stored = job.position
        at = None
        if stored is not None:
            at = Position(stored[0], datetime.fromisoformat(stored[1]), stored[2], stored[3])
        for project in sorted(job.project_ids):
            if at is not None and project < at.project_id:
                continue
            floor = self._raw_from(project)
            if at is not None and project == at.project_id and at.start_time >= floor:
                if at.trace_id and at.start_time < job.end_time:
                    return at
                begin = at.start_time
            else:
                begin = max(job.start_time, floor)
            found = statements.first_start(cursor, project, begin, job.end_time) if begin < job.end_time else None
            if found is not None:
                return Position(project, found, "", "")
        return None

    def _undo(self, cursor: CursorWrapper, job: RepriceJob) -> _Next:
        done = {"restored": 0, "left": 0, **job.undone}
        changes = statements.remembered(cursor, job.pk, job.project_ids, SLICE)
        if not changes:
            return _Next(state=State.UNDONE, undone=done, undone_at=timezone.now(), position=None)
        restored = len(statements.write_costs(cursor, changes))
        statements.forget(cursor, job.pk, job.project_ids, changes[-1])
        left = len(changes) - restored
        return _Next(undone={"restored": done["restored"] + restored, "left": done["left"] + left})

    def _book(self, job: RepriceJob) -> OrganizationPrices | None:
        if job.pk not in self._books:
            self._books[job.pk] = compile_book_of(believed(job.organization_id, job.believed_at))
        return self._books[job.pk]

    def _raw_from(self, project: int) -> datetime:
        if self._floors is None:
            self._floor, self._floors = raw_floors(timezone.now())
        return max(self._floor, self._floors.get(project, self._floor))


def _forget(organization_id: int) -> None:
    """Drop the organization's kept answers, so that what a repricing changed is seen as soon as it says it is done."""
    with suppress(CacheDown):
        caching.clear(organization_id)


def raw_floors(now: datetime) -> tuple[datetime, dict[int, datetime]]:
    """From when on raw spans are kept: for all projects, and for those that keep them for a shorter time."""
    return storage.raw_floor(now), storage.project_floors("span", now)


def settled(job: RepriceJob) -> bool:
    """Whether every process prices by the newest book by now."""
    changed = last_change(job.organization_id)
    return changed is None or timezone.now() - changed >= SETTLES


def _stored(at: Position) -> list[Any]:
    return [at.project_id, at.start_time.isoformat(), at.trace_id, at.span_id]
