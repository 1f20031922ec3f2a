"""One conversation: its row, a page of its turns, what was said of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.common.errors import ApiError
from apps.common.reads.paging import Asked, Order, Page, finish
from apps.common.reads.snapshot import snapshot
from apps.traces import current, scores
from apps.traces import shown as traces
from apps.traces.current import Source
from apps.traces.scores import Score, Wanted
from apps.traces.sessions.current import current_sessions, select
from apps.traces.sessions.shown import PICKED, shown, value_of

MOST_SCORES = 100
TURNS = Order("first_start")  # and by trace id
_OF_SESSION = "t.session_id = %(session)s"
_BEHIND = "t.first_start >= %(after_start)s AND (t.first_start, t.trace_id) > (%(after_start)s, %(after_trace)s)"


@dataclass(frozen=True, slots=True)
class Conversation:
    """What was found: the conversation as it is shown, without its scores, and those."""

    fields: dict[str, Any]
    turns: Page[dict[str, Any]]
    scores: Sequence[Score]


def read_session(projects: Mapping[int, str], session_id: str, page: Asked) -> Conversation:
    """A conversation of one of these projects (id to slug).

    Raises:
        ApiError: 1300 where there is none, 1201 where several projects have one of this id.
    """
    if "\x00" in session_id:
        raise _missing()  # no column holds it
    with snapshot() as cursor:
        source = current_sessions(cursor, sorted(projects))
        values = {**source.parameters, "session": session_id}
        found = cursor.execute(select(source, PICKED, "x.session_id = %(session)s").encode(), values).fetchall()
        row = _the_one(found, projects)
        project = int(value_of(row, "project_id"))
        # From here on of its project alone.
        turns_source = current.current_traces(cursor, [project])
        names = {name: _names(cursor, turns_source, name, session_id) for name in ("models", "providers")}
        turns = _turns(cursor, turns_source, session_id, page, projects)
        wanted = Wanted(("c.session_id = %(session)s",), {"session": session_id})
        said = scores.page(cursor, [project], wanted, limit=MOST_SCORES)
    return Conversation({**shown(row, projects), **names}, turns, said)


def _missing() -> ApiError:
    return ApiError(1300, "There is no such session.", field="session_id")


def _the_one(found: Sequence[Any], projects: Mapping[int, str]) -> Any:
    if not found:
        raise _missing()
    if len(found) > 1:
        slugs = sorted(projects[value_of(row, "project_id")] for row in found)
        message = f"Several projects have a session of this id: name one of {', '.join(slugs)} as project."
        raise ApiError(1201, message, field="project", details={"projects": slugs})
    return found[0]


def _names(cursor: Any, source: Source, column: str, session_id: str) -> list[str]:
    """What the turns' billable spans used, over all turns."""
    sql = f"SELECT DISTINCT unnest(t.{column}) FROM {current.relation(source, _OF_SESSION)} t ORDER BY 1"
    head = f"WITH {source.ctes}\n" if source.ctes else ""
    cursor.execute(head + sql, {**source.parameters, "session": session_id})
    return [name for (name,) in cursor.fetchall()]


def _turns(
    cursor: Any, source: Source, session_id: str, page: Asked, projects: Mapping[int, str]
) -> Page[dict[str, Any]]:
    values: dict[str, Any] = {**source.parameters, "session": session_id, "page_limit": page.limit + 1}
    where, total = _OF_SESSION, None
    if page.include_total:
        cursor.execute(current.select(source, ["count(*)"], where), values)
        total = int(cursor.fetchone()[0])
    if page.after is not None:
        where += f" AND {_BEHIND}"
        values |= {"after_start": page.after[0], "after_trace": page.after[1]}
    cursor.execute(current.select(source, traces.PICKED, where, "t.first_start, t.trace_id", "%(page_limit)s"), values)
    made = finish(page, cursor.fetchall(), lambda row: [traces.start_of(row), traces.value_of(row, "trace_id")], total)
    return Page([traces.shown(row, projects) for row in made.rows], made.pagination)
