"""Dead letters as people look for them: by project, reason, state and time, the newest first."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final, NamedTuple

from django.db.models import Q

from apps.ingest.models import DeadLetter

# Why spans are refused, and what their sender can do.
REASONS: Final[dict[str, str]] = {
    "malformed": "A field of the span has a type that it cannot have.",
    "invalid_trace_id": "The trace id is missing, has the wrong length, is all zero, or is longer than 256 characters.",
    "invalid_span_id": "The span id is missing, has the wrong length, is all zero, or is longer than 256 characters.",
    "invalid_parent_span_id": "The parent's id is no span id.",
    "missing_timestamp": "Neither start nor end can be read.",
    "older_than_retention": "The span began before the time for which this project keeps raw spans.",
    "in_the_future": "The span begins more than 24 hours ahead: the sender's clock is wrong.",
    "unstorable": "The database refuses a value of the span; the log has the details.",
}
STATES: Final[dict[str, str]] = {
    "waiting": "can be driven in again",
    "redriven": "is a span now",
    "cut": "was longer than what is kept, so it cannot be driven in again",
}
MOST_PROJECTS: Final = 200  # that one list looks through


class Place(NamedTuple):
    """Where a list goes on: behind this letter."""

    received_at: datetime
    id: int


def state_of(letter: DeadLetter) -> str:
    """What can be done with it: one of STATES."""
    return "redriven" if letter.redriven_at else "cut" if letter.truncated else "waiting"


def letters(
    projects: Collection[int],
    start: datetime,
    end: datetime,
    *,
    reason: str = "",
    state: str = "",
    trace_id: str = "",
    after: Place | None = None,
    limit: int,
) -> list[DeadLetter]:
    """The newest letters of these projects that came in [start, end), without their payload.

    Each project is read by its own index, so that another tenant's letters cost nothing.
    """
    numbers = _numbers(projects, _condition(start, end, reason, state, trace_id, after), limit)
    rows = DeadLetter.objects.filter(project_id__in=projects, pk__in=numbers).select_related("project").defer("payload")
    return sorted(rows, key=lambda one: (one.received_at, one.pk), reverse=True)


def _numbers(projects: Collection[int], wanted: Q, limit: int) -> list[int]:
    parts = [_of(project, wanted)[:limit] for project in sorted(projects)[:MOST_PROJECTS]]
    if len(parts) < 2:
        return [number for part in parts for _, number in part]
    return [number for _, number in parts[0].union(*parts[1:], all=True).order_by("-received_at", "-pk")[:limit]]


def _of(project: int, wanted: Q) -> Any:
    rows = DeadLetter.objects.filter(wanted, project_id=project).order_by("-received_at", "-pk")
    return rows.values_list("received_at", "pk")


def _condition(start: datetime, end: datetime, reason: str, state: str, trace_id: str, after: Place | None) -> Q:
    wanted = Q(received_at__gte=start, received_at__lt=end)
    if reason:
        wanted &= Q(reason=reason)
    if trace_id:
        wanted &= Q(trace_id=trace_id)
    if state == "redriven":
        wanted &= Q(redriven_at__isnull=False)
    elif state:
        wanted &= Q(redriven_at__isnull=True, truncated=state == "cut")
    if after is not None:
        wanted &= Q(received_at__lt=after.received_at) | Q(received_at=after.received_at, pk__lt=after.id)
    return wanted


def letter(projects: Collection[int], number: int) -> DeadLetter | None:
    """One letter with its payload, if it is of these projects."""
    return DeadLetter.objects.select_related("project").filter(project_id__in=projects, pk=number).first()


def visible(projects: Collection[int], numbers: Collection[int]) -> set[int]:
    """Which of these letters are of these projects."""
    return set(DeadLetter.objects.filter(project_id__in=projects, pk__in=numbers).values_list("pk", flat=True))


def newest_reason(project: int, since: datetime) -> str:
    """Why the last span since then was refused; empty where none was."""
    rows = DeadLetter.objects.filter(project_id=project, received_at__gte=since).order_by("-received_at")
    return rows.values_list("reason", flat=True).first() or ""


def newest_waiting(
    projects: Collection[int], start: datetime, end: datetime, *, reason: str, state: str, trace_id: str, limit: int
) -> list[int]:
    """Numbers of those that can be driven in again and that these filters leave."""
    if state not in ("", "waiting"):
        return []
    return _numbers(projects, _condition(start, end, reason, "waiting", trace_id, None), limit)
