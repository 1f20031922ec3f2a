"""Refused spans: kept with their reason, bounded in number and size, driven again on request."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import orjson
from django.db import DatabaseError, InterfaceError, connection, transaction
from django.utils import timezone

from apps.ingest.clean import Cleaner, cut_bytes
from apps.ingest.models import DeadLetter
from apps.ingest.raw import Drop, Origin, RawEvent, RawSpan
from apps.ingest.work import ProjectSettings, Rules
from apps.traces.tombstones import buried

logger = logging.getLogger(__name__)

MAX_PAYLOAD: Final = 64_000
MAX_PER_BATCH: Final = 1_000


def keep(project: ProjectSettings, dropped: Sequence[tuple[RawSpan, Drop]], rules: Rules, *, source: str) -> int:
    """Store dead letters in a transaction of their own; how many were kept.

    At most MAX_PER_BATCH of a request. A failure is logged and no more: the good spans of the batch are durable by
    now, and the refusal itself is in the answer.
    """
    letters = [_letter(project, raw, drop, rules, source) for raw, drop in dropped[:MAX_PER_BATCH]]
    try:
        dead = buried(connection, {(project.id, letter.trace_id) for letter in letters})
        letters = [letter for letter in letters if (project.id, letter.trace_id) not in dead]
        with transaction.atomic():
            DeadLetter.objects.bulk_create(letters)
    except (DatabaseError, InterfaceError):
        logger.warning("%d dead letters of project %d could not be kept", len(letters), project.id, exc_info=True)
        return 0
    return len(letters)


def _letter(project: ProjectSettings, raw: RawSpan, drop: Drop, rules: Rules, source: str) -> DeadLetter:
    payload, truncated = encode_payload(raw, rules)
    cleaner = Cleaner()
    return DeadLetter(
        project_id=project.id,
        source=source,
        reason=drop.reason,
        message=cleaner.text(drop.message)[:1_000],
        trace_id=cleaner.text(raw.trace_id)[:256],
        span_id=cleaner.text(raw.span_id)[:256],
        payload=payload,
        truncated=truncated,
    )


def encode_payload(raw: RawSpan, rules: Rules) -> tuple[str, bool]:
    """A RawSpan as JSON text under the project's content rules; second, whether it had to be cut."""
    origin = raw.origin
    cleaner = Cleaner()
    content = rules.store_content
    events = [{"name": e.name, "time_ns": e.time_ns, "attributes": e.attributes} for e in raw.events or ()]
    text: dict[str, Any] = {
        "attributes": _numbers_only(raw.attributes) if not content else raw.attributes,
        "status_message": raw.status_message if content else "",
        "events": events if content else [],
        "links": (raw.links or []) if content else [],
        "resource": _numbers_only(origin.resource) if not content else origin.resource,
        "scope_attributes": origin.scope_attributes if content else {},
    }
    text = cleaner.value(text)
    if rules.redactor is not None:
        text = rules.redactor.value(text)
    span = {
        "trace_id": cleaner.text(raw.trace_id)[:1_000],
        "span_id": cleaner.text(raw.span_id)[:1_000],
        "parent_span_id": cleaner.text(raw.parent_span_id)[:1_000],
        "name": cleaner.text(raw.name)[:1_000],
        "start_ns": _storable(raw.start_ns),
        "end_ns": _storable(raw.end_ns),
        "status_code": raw.status_code,
        "flags": raw.flags,
        "problem": None if raw.problem is None else list(raw.problem),
        "strict_ids": origin.strict_ids,
        "scope_name": cleaner.text(origin.scope_name)[:1_000],
        "scope_version": cleaner.text(origin.scope_version)[:1_000],
        **text,
    }
    encoded = orjson.dumps(span).decode().replace("\\u0000", "\ufffd")
    cut = cut_bytes(encoded, MAX_PAYLOAD)
    return cut, cut is not encoded and len(cut) < len(encoded)


def _storable(number: int) -> int:
    return number if -(2**63) <= number < 2**63 else 0


def _numbers_only(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Without content only names of conventions' fields and numbers stay: enough to count and to price again."""
    return {
        key: value
        for key, value in attributes.items()
        if isinstance(value, bool | int | float) or (isinstance(value, str) and key in _PLAIN)
    }


_PLAIN: Final = frozenset(
    {
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.system",
        "gen_ai.request.model",
        "gen_ai.response.model",
        "openinference.span.kind",
        "llm.model_name",
        "llm.provider",
        "service.name",
        "deployment.environment.name",
        "deployment.environment",
    }
)


def decode_payload(payload: str) -> RawSpan:
    """The span that a payload holds.

    Raises:
        ValueError: it was cut.
    """
    span = orjson.loads(payload)
    origin = Origin(
        span["resource"],
        span["scope_name"],
        span["scope_version"],
        span["scope_attributes"],
        strict_ids=span["strict_ids"],
    )
    return RawSpan(
        origin,
        span["trace_id"],
        span["span_id"],
        span["parent_span_id"],
        span["name"],
        span["start_ns"],
        span["end_ns"],
        span["attributes"],
        [RawEvent(e["name"], e["time_ns"], e["attributes"]) for e in span["events"]] or None,
        span["status_code"],
        span["status_message"],
        span["flags"],
        problem=None if span["problem"] is None else Drop(*span["problem"]),
        links=span["links"] or None,
    )


def expire(before: datetime | None = None, *, retention_days: int = 90, limit: int = 10_000) -> int:
    """Delete dead letters older than the raw retention, a bounded number at a time; how many went."""
    edge = before or timezone.now() - timedelta(days=retention_days)
    old = list(DeadLetter.objects.filter(received_at__lt=edge).values_list("pk", flat=True)[:limit])
    return DeadLetter.objects.filter(pk__in=old).delete()[0]


def pending(ids: Iterable[int] | None = None) -> list[DeadLetter]:
    """Dead letters that can be driven again: whole, and not driven yet; all of them, or those of these ids."""
    letters = DeadLetter.objects.filter(truncated=False, redriven_at__isnull=True).order_by("project_id", "pk")
    return list(letters if ids is None else letters.filter(pk__in=list(ids)))


def delete_of_traces(cursor: Any, project_id: int, trace_ids: Sequence[str]) -> dict[str, int]:
    """Delete what was refused of traces that are deleted."""
    gone = DeadLetter.objects.filter(project_id=project_id, trace_id__in=[one[:256] for one in trace_ids]).delete()[0]
    return {"dead_letters": gone}


def delete_of_user(cursor: Any, project_id: int, user_id: str, floor: datetime) -> dict[str, int]:
    """Delete letters that hold the user's id as a text of its own, under whatever name a convention gives it.

    A letter in which the same text means something else goes too: it was refused, and a trace of the user would stay.
    """
    quoted = orjson.dumps(user_id).decode()
    letters = DeadLetter.objects.filter(project_id=project_id, payload__contains=quoted)
    return {"dead_letters": letters.delete()[0]}
