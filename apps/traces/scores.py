"""Scores: verdicts on traces, spans and sessions, as they are stored and read.

A score judges a span (`trace_id` and `span_id`), a trace (`trace_id` alone) or a session (`session_id`). One that was
taken from a span (`derived`) names the span's trace in every case, so that it goes when the trace is deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final

import orjson

MAX_ID: Final = 256
MAX_NAME: Final = 256
MAX_LABEL: Final = 256
MAX_TEXT: Final = 65_536  # bytes of a comment, and of metadata as JSON
# Sums of what is below stay far from where floating point ends, and so do sums of squares.
MAX_VALUE: Final = 1e15
DATA_TYPES: Final = ("numeric", "categorical", "boolean")
SOURCES: Final = ("api", "human", "evaluator")
_DERIVED: Final = "otel-"


@dataclass(slots=True)
class Score:
    """One verdict. `metadata` is encoded JSON; a boolean's value is 1 or 0, a category stands in `label`."""

    project_id: int
    id: str
    name: str
    data_type: str
    value: float | None
    timestamp: datetime
    label: str | None = None
    trace_id: str | None = None
    span_id: str | None = None
    session_id: str | None = None
    source: str = "api"
    author: str | None = None
    comment: str | None = None
    metadata: bytes | None = None
    environment: str | None = None
    derived: bool = False
    created_at: datetime | None = field(default=None, compare=False)
    updated_at: datetime | None = field(default=None, compare=False)


_READ_ONLY = ("created_at", "updated_at")
COLUMNS: Final = tuple(item.name for item in fields(Score))
WRITTEN: Final = tuple(name for name in COLUMNS if name not in _READ_ONLY)
_SELECT = ", ".join("c.metadata::text" if name == "metadata" else f"c.{name}" for name in COLUMNS)
_VALUES = [name for name in WRITTEN if name not in ("project_id", "id")]
UPSERT = (
    f"INSERT INTO score AS c ({', '.join(WRITTEN)})"
    f" SELECT {', '.join(WRITTEN)} FROM json_populate_recordset(NULL::score, %s::json)"
    f" ON CONFLICT (project_id, id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _VALUES)},"
    " updated_at = excluded.updated_at"
    f" WHERE ({', '.join(f'c.{name}' for name in _VALUES)})"
    f" IS DISTINCT FROM ({', '.join(f'excluded.{name}' for name in _VALUES)})"
    " RETURNING c.project_id, c.id, xmax = 0"
)
# What spans brought before and do not bring any more.
STALE = """
DELETE FROM score c
USING unnest(%s::integer[], %s::text[], %s::text[]) AS n (project_id, trace_id, prefix)
WHERE c.project_id = n.project_id AND c.trace_id = n.trace_id AND c.derived AND left(c.id, 21) = n.prefix
    AND c.id <> ALL(%s::text[])
RETURNING c.project_id, c.timestamp
"""
_OF_TRACES = f"""
SELECT {_SELECT} FROM score c
WHERE c.project_id = %(project)s AND c.trace_id = ANY(%(traces)s::text[]) AND c.session_id IS NULL
ORDER BY c.timestamp, c.id
"""
_DELETE = """
WITH gone AS (
    DELETE FROM score c WHERE c.project_id = %(project)s AND c.trace_id = ANY(%(traces)s::text[])
    RETURNING c.timestamp
), marks AS (
    INSERT INTO span_mark (project_id, lo, hi, inherited)
    SELECT DISTINCT %(project)s::integer, m, m + interval '1 minute', false
    FROM (SELECT date_trunc('minute', g.timestamp, 'UTC') AS m FROM gone g) d
)
SELECT count(*) FROM gone
"""
# Row by row along the index, whatever the number of scores: each step finds the next name.
_NAMES = """
WITH RECURSIVE found (project_id, name) AS (
    SELECT p.id, (SELECT min(c.name) FROM score c WHERE c.project_id = p.id)
    FROM unnest(%(projects)s::integer[]) AS p (id)
    UNION ALL
    SELECT f.project_id, (SELECT min(c.name) FROM score c WHERE c.project_id = f.project_id AND c.name > f.name)
    FROM found f WHERE f.name IS NOT NULL
)
SELECT DISTINCT name FROM (SELECT name FROM found WHERE name IS NOT NULL LIMIT %(most)s) n ORDER BY name
"""


def derived_id(trace_id: str, span_id: str, of: str, name: str, author: str | None) -> str:
    """The id of a score that a span brought, the same at every arrival: by its span, its name and its evaluator."""
    return f"{derived_prefix(trace_id, span_id)}-{_digest(of, name, author or '')}"


def derived_prefix(trace_id: str, span_id: str) -> str:
    """What the ids of all scores from one span begin with: 21 characters."""
    return f"{_DERIVED}{_digest(trace_id, span_id)}"


def _digest(*parts: str) -> str:
    return blake2b("\x00".join(parts).encode("utf-8", "replace"), digest_size=8).hexdigest()


def records(scores: Iterable[Score]) -> str:
    """Scores as JSON for json_populate_recordset, in the order of their keys: all writers then lock alike.

    Of several with one key the last is taken.
    """
    last = {(score.project_id, score.id): score for score in scores}
    return orjson.dumps([_record(last[key]) for key in sorted(last)]).decode()


def _record(score: Score) -> dict[str, Any]:
    made = {name: getattr(score, name) for name in WRITTEN}
    if score.metadata is not None:
        made["metadata"] = orjson.Fragment(score.metadata)
    return made


def scores_of(cursor: Any, project_id: int, trace_ids: Sequence[str]) -> dict[str, list[Score]]:
    """The scores of traces and of their spans, by trace, the oldest first; verdicts on sessions are not among them."""
    cursor.execute(_OF_TRACES, {"project": project_id, "traces": list(trace_ids)})
    found: dict[str, list[Score]] = {}
    for row in cursor.fetchall():
        score = Score(**_named(row))
        found.setdefault(str(score.trace_id), []).append(score)
    return found


def delete_scores(cursor: Any, project_id: int, trace_ids: Sequence[str]) -> int:
    """Delete what was said of these traces and their spans, with marks where it stood; how many scores went.

    What was said of sessions by spans of these traces goes too; what came over the API about a session stays.
    """
    cursor.execute(_DELETE, {"project": project_id, "traces": list(trace_ids)})
    return int(cursor.fetchone()[0])


def score_names(cursor: Any, project_ids: Sequence[int], most: int) -> list[str]:
    """The names that scores of these projects have, at most so many of them."""
    cursor.execute(_NAMES, {"projects": list(project_ids), "most": most})
    return [name for (name,) in cursor.fetchall()]


def _named(row: Sequence[Any]) -> dict[str, Any]:
    made = dict(zip(COLUMNS, row, strict=True))
    made["metadata"] = made["metadata"].encode() if made["metadata"] is not None else None
    return made


def shown(score: Score, project: str | None, *, content: bool) -> dict[str, Any]:
    """A score as the API answers it.

    Args:
        project: the slug.
        content: the caller may see comments and metadata, which are content; otherwise they are null.
    """
    return {
        "id": score.id,
        "project": project,
        "name": score.name,
        "data_type": score.data_type,
        "value": _value(score),
        "label": score.label if score.data_type == "numeric" else None,
        "trace_id": score.trace_id,
        "span_id": score.span_id,
        "session_id": score.session_id,
        "source": score.source,
        "author": score.author,
        "comment": score.comment if content else None,
        "metadata": orjson.loads(score.metadata) if content and score.metadata is not None else None,
        "environment": score.environment,
        "timestamp": score.timestamp,
        "created_at": score.created_at,
        "updated_at": score.updated_at,
    }


def _value(score: Score) -> float | bool | str | None:
    if score.data_type == "categorical":
        return score.label
    return bool(score.value) if score.data_type == "boolean" else score.value


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which scores a list is of: conditions over `c` and their parameters, beside the projects."""

    conditions: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)


After = tuple[datetime, str, int]  # timestamp, id, project


def page(
    cursor: Any, project_ids: Sequence[int], wanted: Wanted, *, after: After | None = None, limit: int
) -> list[Score]:
    """Scores, the newest first, each project read only as far as needed.

    Args:
        after: the last score of the page before.
    """
    conditions = ["c.project_id = p.id", *wanted.conditions]
    parameters: dict[str, Any] = {**wanted.parameters, "projects": list(project_ids), "limit": limit}
    if after is not None:
        parameters |= {"after_time": after[0], "after_id": after[1], "after_project": after[2]}
        conditions.append("c.timestamp <= %(after_time)s")
        conditions.append(
            "(c.timestamp, c.id, c.project_id)"
            " < (%(after_time)s::timestamptz, %(after_id)s::text, %(after_project)s::integer)"
        )
    order = "ORDER BY c.timestamp DESC, c.id DESC, c.project_id DESC LIMIT %(limit)s"
    cursor.execute(
        f"SELECT {_SELECT} FROM unnest(%(projects)s::integer[]) AS p (id) CROSS JOIN LATERAL"
        f" (SELECT * FROM score c WHERE {' AND '.join(conditions)} {order}) c {order}",
        parameters,
    )
    return [Score(**_named(row)) for row in cursor.fetchall()]


def count(cursor: Any, project_ids: Sequence[int], wanted: Wanted) -> int:
    """How many scores a list has in all."""
    conditions = " AND ".join(["c.project_id = ANY(%(projects)s::integer[])", *wanted.conditions])
    cursor.execute(
        f"SELECT count(*) FROM score c WHERE {conditions}", {**wanted.parameters, "projects": list(project_ids)}
    )
    return int(cursor.fetchone()[0])


def by_id(cursor: Any, project_ids: Sequence[int], score_id: str) -> list[Score]:
    """The scores of this id: one a project at most."""
    cursor.execute(
        f"SELECT {_SELECT} FROM score c WHERE c.project_id = ANY(%(projects)s::integer[]) AND c.id = %(id)s"
        " ORDER BY c.project_id",
        {"projects": list(project_ids), "id": score_id},
    )
    return [Score(**_named(row)) for row in cursor.fetchall()]
