"""The users of a range: what they asked for and spent, when they were there (docs/conversations.md)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import psycopg

from apps.common.errors import ApiError
from apps.common.reads.reading import Problems, bad, choice
from apps.common.reads.snapshot import snapshot
from apps.metrics.reports.base import base_spec, references
from apps.metrics.runner import Answer, answer_in, check_kept
from apps.metrics.spec import MAX_ROWS, Filter, QuerySpec, Sort
from apps.metrics.summary import sources
from apps.orgs.scopes import Scope
from apps.traces.sessions.seen import last_seen, seen

# Field, metric, aggregation.
FIGURES: tuple[tuple[str, str, str], ...] = (
    ("requests", "request_count", "sum"),
    ("errors", "error_count", "sum"),
    ("error_rate", "error_rate", "avg"),
    ("total_cost_usd", "total_cost", "sum"),
    ("prompt_tokens", "prompt_tokens", "sum"),
    ("completion_tokens", "completion_tokens", "sum"),
    ("total_tokens", "total_tokens", "sum"),
    ("avg_duration_ms", "duration", "avg"),
)
LAST_SEEN = "last_seen"
SORTS = ("total_cost_usd", "requests", "errors", "error_rate", "total_tokens", "avg_duration_ms", LAST_SEEN)
PARAMETERS = ("project", "start_time", "end_time", "user_id", "search", "sort_by", "sort_order")
MAX_SEARCH = 256


@dataclass(frozen=True, slots=True)
class UsersQuestion:
    """Which users, in which order.

    Args:
        spec: the range, projects and filters on the user.
        search: only users whose id begins so.
    """

    spec: QuerySpec
    sort_by: str
    descending: bool
    search: str | None


@dataclass(frozen=True, slots=True)
class Users:
    """The users from a place of the order on, one more than asked for if there are more."""

    rows: list[dict[str, Any]]
    total: int
    metadata: dict[str, Any]


def from_query(source: Mapping[str, str], scope: Scope, now: datetime) -> UsersQuestion:
    """What the parameters ask for.

    Raises:
        ApiError: every bad one.
    """
    problems = Problems()
    sort_by = problems.take(lambda: choice(source.get("sort_by", SORTS[0]), SORTS, "sort_by"), SORTS[0])
    order = problems.take(lambda: choice(source.get("sort_order", "desc"), ("asc", "desc"), "sort_order"), "desc")
    search = problems.take(lambda: _prefix(source.get("search")), None)
    known = {name: source[name] for name in ("start_time", "end_time", "user_id") if name in source}
    spec = base_spec(known, scope, now, problems)
    filters = (*spec.filters, Filter("user_id", "ne", (None,)))
    if search is not None:
        filters = (*filters, Filter("user_id", "prefix", (search,)))
    made = replace(spec, filters=filters, metrics=references(FIGURES), group_by=("user_id",))
    return UsersQuestion(made, sort_by, order == "desc", search)


def _prefix(text: str | None) -> str | None:
    if text is None:
        return None
    if not 0 < len(text) <= MAX_SEARCH or "\x00" in text:
        raise bad("search", f"search takes 1 to {MAX_SEARCH} characters, none of them null.")
    return text


def users(asked: UsersQuestion, first: int, limit: int) -> Users:
    """Users from place `first` (counted from 0) of the order on, at most `limit` and one that says there are more.

    Raises:
        ApiError: 1205 behind place 10,000: filters find those users, pages do not.
    """
    if first + limit > MAX_ROWS:
        message = (
            f"Pages reach to the first {MAX_ROWS} users of an order; search, user_id or another order find others."
        )
        raise ApiError(1205, message, field="cursor")
    begun = time.perf_counter()
    check_kept(asked.spec)
    spec = asked.spec
    with snapshot() as cursor:
        if asked.sort_by == LAST_SEEN:
            made = _by_last_seen(cursor, asked, first, limit)
        else:
            made = answer_in(cursor, _ordered(asked, min(first + limit + 1, MAX_ROWS)))
        rows = made.rows if asked.sort_by == LAST_SEEN else made.rows[first:]
        times = seen(cursor, spec.project_ids, [row["user_id"] for row in rows], spec.start, spec.end)
    shown = [
        {**row, "sessions": one.sessions, "first_seen": one.first, "last_seen": one.last}
        for row in rows
        for one in (times[row["user_id"]],)
    ]
    metadata = {
        "start_time": spec.start,
        "end_time": spec.end,
        **sources((made,)),
        "query_ms": round((time.perf_counter() - begun) * 1000, 2),
    }
    return Users(shown, made.total_rows, metadata)


def _ordered(asked: UsersQuestion, limit: int) -> QuerySpec:
    return replace(asked.spec, sort=(Sort(asked.sort_by, asked.descending),), limit=limit)


def _by_last_seen(cursor: psycopg.Cursor[Any], asked: UsersQuestion, first: int, limit: int) -> Answer:
    """The figures of those who are next in the order of their last trace."""
    spec = asked.spec
    given = next((item.values for item in spec.filters if item.field == "user_id" and item.op == "in"), None)
    found = last_seen(
        cursor,
        spec.project_ids,
        spec.start,
        spec.end,
        prefix=asked.search,
        users=None if given is None else [name for name in given if name is not None],
        descending=asked.descending,
        limit=first + limit + 1,
    )
    names = found[first:]
    made = answer_in(cursor, replace(spec, filters=(Filter("user_id", "in", tuple(names) or (None,)),), limit=MAX_ROWS))
    rows = {row["user_id"]: row for row in made.rows}
    nothing = {"error_rate": None, "avg_duration_ms": None, **{field: 0 for field, _, how in FIGURES if how == "sum"}}
    every = answer_in(cursor, replace(spec, limit=1)).total_rows
    return replace(made, rows=[rows.get(name, {"user_id": name, **nothing}) for name in names], total_rows=every)
