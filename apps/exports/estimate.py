"""About how many rows an export will have, cheaply: from the planner's statistics and from cells."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from django.db import DatabaseError
from django.utils import timezone

from apps.common.errors import ApiError
from apps.common.reads.snapshot import snapshot
from apps.exports.asking import spec_of
from apps.exports.sources import source_of
from apps.exports.sources.base import Cursor
from apps.exports.sources.questions import QuestionSource
from apps.exports.spec import MAX_ROWS, READS, ExportSpec, Kind
from apps.metrics.finish import TooManyRows
from apps.metrics.runner import attempt_in
from apps.metrics.spec import MetricRef, QuerySpec
from apps.metrics.statement import MAX_GROUPS_FETCHED
from apps.orgs.access import Principal, require_permission

# Whoever asks for an export waits for its estimate: better none than a late one.
_LIMIT: Final = b"SET LOCAL statement_timeout = 1500"
_REQUESTS: Final = (MetricRef("request_count", "sum", "requests"),)
# What a span says itself: the planner knows how common each value is.
_OWN: Final = ("provider", "model", "kind", "status", "name", "trace_id")


def estimated_rows(spec: ExportSpec) -> int | None:
    """About how many rows there will be, or None where that takes too long to say.

    Of spans: those in the range that meet the filters on what spans say themselves; other filters only make it less.
    Of metrics and costs: the groups there are by the buckets there are, and never more than there are requests.
    """
    try:
        with snapshot() as cursor:
            cursor.execute(_LIMIT)
            found = _spans(cursor, spec) if spec.kind == "traces" else _rows(cursor, spec)
    except (DatabaseError, ApiError, TooManyRows):
        return None
    return min(found, MAX_ROWS if spec.limit is None else spec.limit)


def expected(kind: Kind, body: Any, principal: Principal) -> int | None:
    """The same for a body that has not been posted yet.

    Raises:
        ApiError: all that posting it would be refused for, but for the room that the organization has.
    """
    require_permission(principal, READS[kind])
    return estimated_rows(spec_of(kind, body, principal, timezone.now()))


def _spans(cursor: Cursor, spec: ExportSpec) -> int:
    """By the planner's statistics: nothing is read."""
    given: dict[str, Any] = {"projects": list(spec.project_ids), "start": spec.start, "end": spec.end}
    where = "s.project_id = ANY(%(projects)s::integer[]) AND s.start_time >= %(start)s AND s.start_time < %(end)s"
    for name, values in _own(spec.question).items():
        given[name] = values
        where += f" AND s.{name} = ANY(%({name})s::text[])"
    text = f"EXPLAIN (FORMAT JSON) SELECT 1 FROM span s WHERE {where}"
    row = cursor.execute(text.encode(), given, prepare=False).fetchone()
    plan = json.loads(row[0]) if row and isinstance(row[0], str) else row[0] if row else []
    return int(plan[0]["Plan"]["Plan Rows"])


def _own(question: Mapping[str, Any]) -> dict[str, list[str]]:
    """Filters by name on what a span says itself; of traces they say nothing about each of their spans."""
    if question.get("match") == "traces":
        return {}
    return {name: list(question[name]) for name in _OWN if name in question}


def _rows(cursor: Cursor, spec: ExportSpec) -> int:
    source = source_of(spec)
    if not isinstance(source, QuestionSource):
        raise TypeError("an export that is neither of spans nor of an answer")
    asked = replace(source.query, metrics=_REQUESTS, interval=None, fill="none", most_rows=MAX_GROUPS_FETCHED)
    groups = attempt_in(cursor, replace(asked, limit=1)).total_rows if asked.group_by else 1
    buckets = 1 if source.query.buckets is None else len(source.query.buckets.starts)
    if source.query.fill != "none":
        return groups * buckets
    return min(groups * buckets, _requests(cursor, asked)) if asked.group_by or source.query.interval else 1


def _requests(cursor: Cursor, asked: QuerySpec) -> int:
    found = attempt_in(cursor, replace(asked, group_by=())).rows[0]["requests"]
    return int(found)
