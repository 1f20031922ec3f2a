"""A long answer of the metrics engine in windows of whole buckets, each small enough to be held."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from apps.common.errors import ApiError
from apps.exports.failures import ExportFailed
from apps.exports.sources.base import Cursor
from apps.metrics.buckets import floor
from apps.metrics.finish import TooManyRows
from apps.metrics.planner import Plan
from apps.metrics.rollups import RAW, ROLLUPS
from apps.metrics.runner import Answer, attempt_in
from apps.metrics.spec import QuerySpec
from apps.metrics.state import RollupState, read_state
from apps.metrics.statement import MAX_GROUPS_FETCHED

# A window of several buckets is asked again with fewer where it has more rows; half as many are aimed at.
MOST_ROWS: Final = 10_000
FIRST, LARGEST, STEP = 32, 4_096, 8


def windows(cursor: Cursor, query: QuerySpec) -> Iterator[tuple[QuerySpec, Answer]]:
    """Every window in order, and the engine's answer for it: the question's own where it has no interval.

    All are planned from one state of the rollups, that of the whole range, so that they are answered alike.

    Raises:
        ExportFailed: one bucket alone has more groups than can be held, or too little is kept to answer.
    """
    state = read_state(cursor, query)
    one = replace(query, most_rows=MAX_GROUPS_FETCHED)
    if query.buckets is None:
        yield one, _single(cursor, one, state)
        return
    many = replace(query, most_rows=MOST_ROWS)
    at, size, count = 0, FIRST, len(query.buckets.starts)
    while at < count:
        size = min(size, count - at)
        if size == 1:
            part = one.window(at, at + 1)
            made = _single(cursor, part, state)
        else:
            part = many.window(at, at + size)
            try:
                made = _asked(cursor, part, state)
            except TooManyRows:
                size = max(1, size // STEP)
                continue
        yield part, made
        at += size
        fitting = size * (MOST_ROWS // 2) // max(1, len(made.rows))
        size = max(1, min(fitting, size * STEP, LARGEST))


def check_whole(chosen: Plan, state: RollupState) -> None:
    """Refuse cells of which the oldest have expired: an answer shows nothing there, and a file would be incomplete.

    Raises:
        ExportFailed: saying since when they are kept.
    """
    for part in chosen.parts:
        for segment in part.segments:
            if segment.source == RAW:
                continue
            rollup = ROLLUPS[segment.source]
            kept = floor(state.kept_from(rollup.retention), rollup.width)
            if segment.ranges[0][0] < kept:
                raise ExportFailed(f"What this is made of is kept since {kept:%Y-%m-%dT%H:%M:%SZ} alone.")


def _single(cursor: Cursor, part: QuerySpec, state: RollupState) -> Answer:
    try:
        return _asked(cursor, part, state)
    except TooManyRows:
        what = f"The bucket from {part.start:%Y-%m-%dT%H:%M:%SZ}" if part.interval else "The answer"
        message = f"{what} has more than {MAX_GROUPS_FETCHED} groups; group by less or take a finer interval."
        raise ExportFailed(message) from None


def _asked(cursor: Cursor, part: QuerySpec, state: RollupState) -> Answer:
    """The engine's answer; what it refuses it would refuse again."""
    try:
        made = attempt_in(cursor, part, state)
    except ApiError as error:
        raise ExportFailed(error.message) from None
    check_whole(made.plan, state)
    return made
