"""When users were there, and how many conversations they began: read from the rows of traces and conversations."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from apps.traces import current
from apps.traces.current import current_traces
from apps.traces.sessions.current import current_sessions, not_among, relation

_IN_RANGE = "{0}.first_start >= %(seen_start)s AND {0}.first_start < %(seen_end)s"
_OF_USERS = "{0}.user_id = ANY(%(seen_users)s::text[]) AND " + _IN_RANGE
_EDGE = """(
        SELECT t.first_start FROM trace t
        WHERE t.project_id = p.id AND t.user_id = u.id AND {where} ORDER BY t.first_start {direction} LIMIT 1
    )"""


class Seen(NamedTuple):
    """A user within a range; the moments are None where no trace is this user's."""

    sessions: int
    first: datetime | None
    last: datetime | None


def seen(
    cursor: Any, project_ids: Sequence[int], users: Sequence[str], start: datetime, end: datetime
) -> dict[str, Seen]:
    """Of each user: the conversations that began in the range, the first and the last start of a trace in it."""
    values = {"seen_users": list(users), "seen_start": start, "seen_end": end}
    sessions = _sessions(cursor, project_ids, values)
    moments = _moments(cursor, project_ids, values)
    return {user: Seen(sessions.get(user, 0), *moments.get(user, (None, None))) for user in users}


def _sessions(cursor: Any, project_ids: Sequence[int], values: dict[str, Any]) -> dict[str, int]:
    source = current_sessions(cursor, project_ids)
    head = f"WITH {source.ctes}\n" if source.ctes else ""
    rows = relation(source, _OF_USERS.format("x"))
    cursor.execute(f"{head}SELECT x.user_id, count(*) FROM {rows} x GROUP BY 1", {**source.parameters, **values})
    return dict(cursor.fetchall())


def _moments(
    cursor: Any, project_ids: Sequence[int], values: dict[str, Any]
) -> dict[str, tuple[datetime | None, datetime | None]]:
    """Two probes of the index of users for each user and project, however many traces they have."""
    source = current_traces(cursor, project_ids, within=(values["seen_start"], values["seen_end"]))
    where = _IN_RANGE.format("t")
    computed = ""
    if source.dirty:
        where += f" AND {not_among('t', 'trace_id', 'current_touched')}"
        computed = f"""
    UNION ALL SELECT t.user_id, t.first_start, t.first_start FROM current_dirty t WHERE {_OF_USERS.format("t")}"""
    head = f"WITH {source.ctes}\n" if source.ctes else ""
    first, last = (_EDGE.format(where=where, direction=direction) for direction in ("ASC", "DESC"))
    sql = f"""{head}SELECT e.id, min(e.first), max(e.last) FROM (
    SELECT u.id, {first} AS first, {last} AS last
    FROM unnest(%(seen_users)s::text[]) AS u (id) CROSS JOIN unnest(%(current_projects)s::integer[]) AS p (id){computed}
) e GROUP BY 1"""
    cursor.execute(sql, {**source.parameters, **values})
    return {user: (first, last) for user, first, last in cursor.fetchall()}


def last_seen(
    cursor: Any,
    project_ids: Sequence[int],
    start: datetime,
    end: datetime,
    *,
    prefix: str | None,
    users: Sequence[str] | None,
    descending: bool,
    limit: int,
) -> list[str]:
    """Users by the last start of a trace of theirs with requests in the range, equal ones by id; at most so many."""
    source = current_traces(cursor, project_ids, within=(start, end))
    values: dict[str, Any] = {"seen_start": start, "seen_end": end, "seen_limit": limit}
    where = f"t.user_id IS NOT NULL AND t.request_count > 0 AND {_IN_RANGE.format('t')}"
    if users is not None:
        where, values["seen_users"] = f"{where} AND t.user_id = ANY(%(seen_users)s::text[])", list(users)
    if prefix is not None:
        where, values["seen_prefix"] = f"{where} AND starts_with(t.user_id, %(seen_prefix)s)", prefix
    head = f"WITH {source.ctes}\n" if source.ctes else ""
    cursor.execute(
        f"{head}SELECT t.user_id FROM {current.relation(source, where)} t GROUP BY 1"
        f" ORDER BY max(t.first_start) {'DESC' if descending else 'ASC'}, 1 LIMIT %(seen_limit)s",
        {**source.parameters, **values},
    )
    return [user for (user,) in cursor.fetchall()]
