"""One trace with its spans, its scores and its critical path; of a very long one the first spans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson

from apps.common.errors import ApiError
from apps.common.reads.snapshot import snapshot
from apps.traces import scores
from apps.traces.columns import Flag
from apps.traces.critical import critical_path
from apps.traces.current import current_traces, select
from apps.traces.schema import EPOCH
from apps.traces.shown import PICKED, ms, shown, usd, value_of
from apps.traces.tree import Tree, tree_of

MAX_SPANS = 10_000
MAX_SCORES = 1_000
MAX_CONTENT = 16_000_000  # bytes of text in one answer
MAX_ID = 256
TOKENS = (
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)
COSTS = ("prompt_cost", "completion_cost", "total_cost")
TEXTS = (
    *("name", "kind", "billable", "status", "provider", "model", "request_model", "environment", "team"),
    *("user_id", "session_id", "error_type", "cost_source", "unpriced_reason", "price_version_id"),
)
CONTENT = ("error_message", "input", "output", "attributes", "events")
_TOTALS = ("duration_ms", "span_count", "request_count", "error_count")
_SPAN = (
    *("span_id", "parent_span_id", "start_time", "duration_us", "ttft_us", "usage", "tags", "labels", "flags"),
    *(*TEXTS, *TOKENS, *COSTS),
)
_US = timedelta(microseconds=1)
# By the index of identities: whole days would read far more.
_OF_TRACE = """s.trace_id = %(trace)s AND s.project_id + 0 = %(project)s
    AND s.start_time >= %(first)s AND s.start_time <= %(last)s"""
_SPANS = f"""
SELECT {", ".join(f"s.{name}" for name in _SPAN)} FROM span s
WHERE {_OF_TRACE}
ORDER BY s.start_time, s.span_id LIMIT %(most)s
"""
# Sizes first, so that no more text leaves the database than an answer holds.
_CONTENTS = f"""
SELECT n.span_id, n.start_time, n.running <= %(budget)s,
    CASE WHEN n.running <= %(budget)s THEN s.error_message END,
    CASE WHEN n.running <= %(budget)s THEN c.input END, CASE WHEN n.running <= %(budget)s THEN c.output END,
    CASE WHEN n.running <= %(budget)s THEN c.attributes::text END,
    CASE WHEN n.running <= %(budget)s THEN c.events::text END
FROM (
    SELECT s.span_id, s.start_time, sum(
        coalesce(octet_length(s.error_message), 0) + coalesce(octet_length(c.input), 0)
        + coalesce(octet_length(c.output), 0) + coalesce(octet_length(c.attributes::text), 0)
        + coalesce(octet_length(c.events::text), 0)
    ) OVER (ORDER BY s.start_time, s.span_id) AS running
    FROM (
        SELECT s.span_id, s.start_time, s.error_message FROM span s
        WHERE {_OF_TRACE} AND (%(only)s::text IS NULL OR s.span_id = %(only)s)
        ORDER BY s.start_time, s.span_id LIMIT %(most)s
    ) s
    LEFT JOIN span_content c ON c.trace_id = %(trace)s AND c.project_id = %(project)s
        AND c.span_id = s.span_id AND c.start_time = s.start_time
        AND c.start_time >= %(first)s AND c.start_time <= %(last)s
) n
JOIN span s ON {_OF_TRACE} AND s.span_id = n.span_id AND s.start_time = n.start_time
LEFT JOIN span_content c ON c.trace_id = %(trace)s AND c.project_id = %(project)s
    AND c.span_id = n.span_id AND c.start_time = n.start_time
    AND c.start_time >= %(first)s AND c.start_time <= %(last)s
"""
# What failed says why, where nobody asked for the rest.
_MESSAGES = f"""
SELECT n.span_id, n.start_time, n.running <= %(budget)s, CASE WHEN n.running <= %(budget)s THEN n.error_message END,
    NULL, NULL, NULL, NULL
FROM (
    SELECT s.span_id, s.start_time, s.error_message,
        sum(octet_length(s.error_message)) OVER (ORDER BY s.start_time, s.span_id) AS running
    FROM span s WHERE {_OF_TRACE} AND s.error_message IS NOT NULL
    ORDER BY s.start_time, s.span_id LIMIT %(most)s
) n
"""


@dataclass(frozen=True, slots=True)
class Stored:
    """A span as it was read."""

    row: Mapping[str, Any]
    span_id: str
    parent_span_id: str | None
    start_us: int
    end_us: int


def read_detail(
    projects: Mapping[str, int], trace_id: str, *, content: bool, brief: bool = False, span_id: str | None = None
) -> dict[str, Any]:
    """A trace, as one state of the database has it.

    Args:
        projects: those that are looked at, by slug.
        content: the caller may see texts and attributes; otherwise they are null.
        brief: of these only messages of errors and comments of scores are wanted.
        span_id: only this one of the spans is in the answer; totals and critical path are the trace's all the same.

    Raises:
        ApiError: 1301 for an unknown trace; 1300 for an unknown span; 1201 for a trace that several of the projects
            have.
    """
    slugs = {number: slug for slug, number in projects.items()}
    with snapshot() as cursor:
        row, last = find(cursor, projects, trace_id)
        asked = {
            "trace": trace_id,
            "project": value_of(row, "project_id"),
            "first": value_of(row, "first_start"),
            "last": last,
        }
        spans = _spans(cursor, asked)
        if span_id is not None and all(span.span_id != span_id for span in spans):
            raise ApiError(1300, "The trace has no such span.", field="span_id", details={"span_id": span_id[:64]})
        texts = _contents(cursor, _MESSAGES if brief else _CONTENTS, asked, span_id) if content else {}
        judged = scores.scores_of(cursor, asked["project"], [trace_id]).get(trace_id, [])
    return _document(row, spans, texts, judged, slugs, content=content, only=span_id)


def find(cursor: Any, projects: Mapping[str, int], trace_id: str) -> tuple[Sequence[Any], datetime]:
    """The row of `PICKED` of the one project that has the trace, and its last start.

    Raises:
        ApiError: as `read_detail` does.
    """
    slugs = {number: slug for slug, number in projects.items()}
    if not slugs or len(trace_id) > MAX_ID or "\x00" in trace_id:
        raise not_found(trace_id)
    source = current_traces(cursor, list(slugs), trace_ids=[trace_id])
    sql = select(source, [*PICKED, "t.last_start"], "t.trace_id = %(trace)s")
    cursor.execute(sql, {**source.parameters, "trace": trace_id})
    found = cursor.fetchall()
    if not found:
        raise not_found(trace_id)
    if len(found) > 1:
        named = sorted(slugs[value_of(row, "project_id")] for row in found)
        message = f"Several projects have this trace; name one: project={named[0]}."
        raise ApiError(1201, message, field="project", details={"projects": named})
    *row, last = found[0]
    return row, last


def not_found(trace_id: str) -> ApiError:
    return ApiError(1301, "There is no such trace.", field="trace_id", details={"trace_id": trace_id[:64]})


def _spans(cursor: Any, asked: Mapping[str, Any]) -> list[Stored]:
    cursor.execute(_SPANS, {**asked, "most": MAX_SPANS})
    made = []
    for values in cursor.fetchall():
        row = dict(zip(_SPAN, values, strict=True))
        start = (row["start_time"] - EPOCH) // _US
        made.append(Stored(row, row["span_id"], row["parent_span_id"], start, start + row["duration_us"]))
    return made


def _contents(
    cursor: Any, sql: str, asked: Mapping[str, Any], only: str | None
) -> dict[tuple[str, datetime], tuple[Any, ...]]:
    """(whether it is in the answer, the columns of CONTENT) by span id and start."""
    cursor.execute(sql, {**asked, "most": MAX_SPANS, "budget": MAX_CONTENT, "only": only})
    return {(row[0], row[1]): row[2:] for row in cursor.fetchall()}


def _document(
    row: Sequence[Any],
    spans: Sequence[Stored],
    texts: Mapping[tuple[str, datetime], tuple[Any, ...]],
    judged: Sequence[scores.Score],
    slugs: Mapping[int, str],
    *,
    content: bool,
    only: str | None,
) -> dict[str, Any]:
    summary = shown(row, slugs)
    tree = tree_of(spans)
    root = _root(spans, tree, value_of(row, "root_span_id"))
    path = critical_path(spans, tree, root) if root is not None else []
    critical = {step.span for step in path}
    sums = (*_TOTALS, *(name for name in summary if name.endswith(("_tokens", "_cost_usd"))))
    slug = summary["project"]
    return {
        **{name: value for name, value in summary.items() if name not in sums},
        "root_span_id": value_of(row, "root_span_id"),
        "totals": {name: summary[name] for name in sums},
        "spans": [
            _shown(spans, tree, index, critical, texts)
            for index in tree.order
            if only is None or spans[index].span_id == only
        ],
        "spans_truncated": summary["span_count"] > len(spans),
        "content_visible": content,
        "content_truncated": any(not kept for kept, *_ in texts.values()),
        "critical_path": [
            {
                "span_id": spans[step.span].span_id,
                "name": spans[step.span].row["name"],
                "start_time": EPOCH + step.start_us * _US,
                "end_time": EPOCH + step.end_us * _US,
                "duration_ms": ms(step.end_us - step.start_us),
            }
            for step in path
        ],
        "scores": [scores.shown(score, slug, content=content) for score in judged[:MAX_SCORES]],
        "scores_truncated": len(judged) > MAX_SCORES,
    }


def _root(spans: Sequence[Stored], tree: Tree, root_id: str | None) -> int | None:
    """The trace's root; while none has arrived, what starts first."""
    if not tree.roots:
        return None
    return next((index for index in tree.roots if spans[index].span_id == root_id), tree.roots[0])


def _shown(
    spans: Sequence[Stored],
    tree: Tree,
    index: int,
    critical: set[int],
    texts: Mapping[tuple[str, datetime], tuple[Any, ...]],
) -> dict[str, Any]:
    span, row = spans[index], spans[index].row
    start = row["start_time"]
    _, *content = texts.get((span.span_id, start), (False, *(None,) * len(CONTENT)))
    message, received, sent, attributes, events = content
    return {
        "span_id": span.span_id,
        "parent_span_id": span.parent_span_id,
        "depth": tree.depth[index],
        "parent_missing": span.parent_span_id is not None and tree.parent[index] is None,
        "on_critical_path": index in critical,
        "start_time": start,
        "end_time": EPOCH + span.end_us * _US,
        "offset_ms": ms(span.start_us - spans[0].start_us),
        "duration_ms": ms(row["duration_us"]),
        "ttft_ms": ms(row["ttft_us"]),
        **{name: row[name] for name in (*TEXTS, *TOKENS)},
        **{f"{name}_usd": usd(row[name]) for name in COSTS},
        "usage": _json(row["usage"]),
        "tags": row["tags"] or [],
        "labels": _json(row["labels"]),
        "flags": [str(flag.name).lower() for flag in Flag if flag & row["flags"]],
        "error_message": message,
        "input": received,
        "output": sent,
        "attributes": _json(attributes),
        "events": _json(events),
    }


def _json(text: str | None) -> orjson.Fragment | None:
    """JSON as the database gives it, put into the answer as it is."""
    return None if text is None else orjson.Fragment(text)
