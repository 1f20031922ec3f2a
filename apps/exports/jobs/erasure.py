"""Deleted traces and users leave exports too: a file that may hold them goes, work that may have read them begins anew.

Called inside the deleting transaction, which from here to its end keeps jobs of the project from being claimed. A job
takes its snapshot after its claim is committed. So whoever could read what is being deleted is at work already, and is
seen here; whoever is claimed later reads the state after the deletion.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from apps.exports.jobs import enqueue, statements
from apps.exports.jobs.statements import Touched
from apps.exports.jobs.sweep import discard
from apps.traces.deletion import Placed

REASON: Final = "It held data that has been deleted since."
AHEAD: Final = timedelta(days=4)  # no span may start later
Counts = dict[str, int]


def of_traces(cursor: Any, project_id: int, traces: Sequence[Placed], floor: datetime) -> Counts:
    """Exports of spans whose range touches these traces, but for those that name other traces, users or sessions."""
    statements.share_deletion(cursor, project_id)
    ahead = timezone.now() + AHEAD
    # The row of a trace that began before what is kept says nothing of the spans that came since.
    spans = [(one.first, one.last if one.first >= floor else max(one.last, ahead)) for one in traces]
    found = statements.touched(cursor, project_id, spans)
    ids = {one.trace_id for one in traces}
    found = [job for job in found if _names(job.question, "trace_id", ids)]
    if any(name in job.question for job in found for name in ("user_id", "session_id")):
        users, sessions = statements.names_in(cursor, project_id, sorted(ids), spans)
        users |= {one.user_id for one in traces if one.user_id}
        sessions |= {one.session_id for one in traces if one.session_id}
        found = [
            job
            for job in found
            if _names(job.question, "user_id", users) and _names(job.question, "session_id", sessions)
        ]
    return _take_back(cursor, found)


def _names(question: Mapping[str, Any], name: str, values: Iterable[str]) -> bool:
    """Whether a question may be about one of these: it names one, or none at all."""
    named = question.get(name)
    return not isinstance(named, list) or not set(named).isdisjoint(values)


def of_user(cursor: Any, project_id: int, user_id: str, _: datetime) -> Counts:
    """Figures by user, and exports of spans that were asked for by this user's name."""
    statements.share_deletion(cursor, project_id)
    return _take_back(cursor, statements.personal(cursor, project_id, "user_id", [user_id]))


def of_sessions(cursor: Any, project_id: int, session_ids: Sequence[str], _: datetime) -> Counts:
    """Figures by session, and exports of spans that were asked for by one of these names."""
    statements.share_deletion(cursor, project_id)
    return _take_back(cursor, statements.personal(cursor, project_id, "session_id", session_ids))


def _take_back(cursor: Any, jobs: Sequence[Touched]) -> Counts:
    """Within the transaction no file is offered any more; the files themselves go as soon as it is committed."""
    if not jobs:
        return {}
    working: list[UUID] = [job.id for job in jobs if job.status == "processing"]
    offered: list[UUID] = [job.id for job in jobs if job.status == "completed"]
    statements.begin_anew(cursor, working)
    statements.take_back(cursor, offered, REASON)
    transaction.on_commit(partial(_after, working, offered), robust=True)
    return {"exports": len(offered)} if offered else {}


def _after(working: Sequence[UUID], offered: Sequence[UUID]) -> None:
    for job_id in working:
        enqueue.run_export(job_id)
    discard([*working, *offered])
