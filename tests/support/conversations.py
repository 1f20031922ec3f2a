"""Conversations computed in plain Python from stored spans and scores, by the words of docs/conversations.md."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

TOKENS = ("prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "reasoning_tokens")
COSTS = ("total_cost", "prompt_cost", "completion_cost")
Key = tuple[int, str]
Row = dict[str, Any]


def _said(spans: Sequence[Row], column: str) -> Any:
    """The root's value, else the first there is."""
    roots = [span for span in spans if span["parent_span_id"] is None][:1]
    return next((span[column] for span in (*roots, *spans) if span[column] is not None), None)


def _total(values: Iterable[Any]) -> Any:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def turns(spans: Iterable[Row]) -> list[Row]:
    """One turn a trace, in order of time."""
    traces: dict[Key, list[Row]] = defaultdict(list)
    for span in sorted(spans, key=lambda span: (span["start_time"], span["span_id"])):
        traces[span["project_id"], span["trace_id"]].append(span)
    made = []
    for (project, trace_id), members in traces.items():
        roots = [span for span in members if span["parent_span_id"] is None]
        billable = [span for span in members if span["billable"]]
        errors = sum(span["status"] == "error" for span in members)
        made.append(
            {
                "project_id": project,
                "trace_id": trace_id,
                "session_id": _said(members, "session_id"),
                "user_id": _said(members, "user_id"),
                "environment": _said(members, "environment"),
                "start": members[0]["start_time"],
                "end": max(span["start_time"] + timedelta(microseconds=span["duration_us"]) for span in members),
                "error": roots[0]["status"] == "error" if roots else errors > 0,
                "errors": errors,
                "requests": len(billable),
                **{name: _total(span[name] for span in billable) for name in (*TOKENS, *COSTS)},
            }
        )
    return sorted(made, key=lambda turn: (turn["start"], turn["trace_id"]))


def conversations(spans: Iterable[Row], scores: Iterable[Row] = ()) -> dict[Key, Row]:
    """Every conversation, with the columns of the `session` table."""
    grouped: dict[Key, list[Row]] = defaultdict(list)
    for turn in turns(spans):
        if turn["session_id"] is not None:
            grouped[turn["project_id"], turn["session_id"]].append(turn)
    verdicts: dict[Key, Row] = {}
    for score in sorted(scores, key=lambda score: (score["timestamp"], score["id"])):
        if score["name"] == "resolved" and score["data_type"] == "boolean" and score["session_id"] is not None:
            verdicts[score["project_id"], score["session_id"]] = score
    return {key: _conversation(key, members, verdicts.get(key)) for key, members in grouped.items()}


def _conversation(key: Key, members: list[Row], verdict: Row | None) -> Row:
    last, end = members[-1], max(turn["end"] for turn in members)
    length = end - members[0]["start"]
    costs = {name: _total(turn[name] for turn in members) for name in COSTS}
    return {
        "project_id": key[0],
        "session_id": key[1],
        "first_start": members[0]["start"],
        "last_start": last["start"],
        "last_end": last["end"],
        "last_error": last["error"],
        "end_time": end,
        "duration_us": length // timedelta(microseconds=1),
        "turns": len(members),
        "error_turns": sum(turn["error"] for turn in members),
        "request_count": sum(turn["requests"] for turn in members),
        "error_count": sum(turn["errors"] for turn in members),
        "user_id": next((turn["user_id"] for turn in members if turn["user_id"] is not None), None),
        "users": len({turn["user_id"] for turn in members} - {None}),
        "environment": next((turn["environment"] for turn in members if turn["environment"] is not None), None),
        **{name: _total(turn[name] for turn in members) for name in TOKENS},
        **{name: None if value is None else Decimal(value) for name, value in costs.items()},
        "resolved": None if verdict is None else verdict["value"] == 1,
        "resolved_at": verdict and verdict["timestamp"],
    }
