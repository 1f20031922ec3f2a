"""Which buckets a run redoes, from what, and the redoing itself. All in the caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.backends.utils import CursorWrapper

from apps.metrics import compile_postgres as compiler
from apps.metrics.ranges import Ranges, minute_of, minutes_in, moment_of
from apps.metrics.retention import Floors
from apps.metrics.rollups import RAW, ROLLUPS, WIDTHS, Level, Rollup

# Most spans that start in an hour are in within this time after it: cells that read the raw hour wait.
STRAGGLERS = timedelta(minutes=2)
HEAVY_REQUESTS = 500_000
LEVELS: tuple[Level, ...] = ("1m", "15m", "1h", "1d")
# Where finished buckets of a level are looked for: any billable span has a cell there.
WITNESS: dict[Level, str] = {"15m": "usage_1m", "1h": "usage_1m", "1d": "usage_project_1h"}


def new_watermarks(now: datetime, old: dict[str, datetime], held: frozenset[str] = frozenset()) -> dict[str, datetime]:
    """How far each rollup's buckets are over; never less than before, and no more than before for those `held`."""
    new: dict[str, datetime] = {}
    for level in LEVELS:
        for name, rollup in ROLLUPS.items():
            if rollup.level != level:
                continue
            straggling = timedelta(0) if level == "1m" else STRAGGLERS
            limit = now - straggling if rollup.source == RAW else new[rollup.source]
            width = minutes_in(rollup.width)
            over = moment_of(minute_of(limit) // width * width)
            new[name] = old[name] if name in held else max(old[name], over)
    return new


def to_hold(cursor: CursorWrapper, now: datetime, old: dict[str, datetime]) -> frozenset[str]:
    """Raw-fed rollups that wait for a later pass: where the finished hours are heavy, one is built a pass.

    The marks are folded in between, so that a heavy hour does not keep the writes of a minute waiting.
    """
    new = new_watermarks(now, old)
    behind = [name for name, rollup in ROLLUPS.items() if rollup.source == RAW and rollup.level == "1h"]
    behind = [name for name in behind if new[name] > old[name]]
    if len(behind) < 2:
        return frozenset()
    bounds = {"lo": min(old[name] for name in behind), "hi": new[behind[0]]}
    cursor.execute(compiler.requests_between(ROLLUPS[WITNESS["1d"]]), bounds)
    heavy = cursor.fetchone()[0] >= HEAVY_REQUESTS
    return frozenset(behind[1:]) if heavy else frozenset()


def parameters(ranges: Ranges) -> dict[str, Any]:
    rows = list(ranges.rows())
    lo, hi = ranges.bounds
    return {
        "projects": [project for project, _, _ in rows],
        "los": [moment_of(a) for _, a, _ in rows],
        "his": [moment_of(b) for _, _, b in rows],
        "lo": moment_of(lo),
        "hi": moment_of(hi),
    }


@dataclass(slots=True)
class Build:
    """One run's work on the cells.

    Args:
        dirty: minutes whose spans, or whose spans' attribution, may have changed.
        old: the watermarks so far.
        new: the watermarks after this run.
        external: rollups that something else fills (continuous aggregates), so they are left alone here.
        sources: for a rollup whose declared source is external, the rollup it is built from instead.
    """

    cursor: CursorWrapper
    floors: Floors
    dirty: Ranges
    old: dict[str, datetime]
    new: dict[str, datetime]
    external: frozenset[str] = frozenset()
    sources: dict[str, str] = field(default_factory=dict)
    spans: int = 0
    cells: int = 0
    redone: dict[str, Ranges] = field(default_factory=dict)
    _finished: dict[tuple[Level, datetime, datetime], Ranges] = field(default_factory=dict)

    def run(self) -> None:
        # A few hundred ranges look like millions of spans to the planner, which then reads all traces or all cells
        # of the time between them for a hash. One index probe a range and a span is the plan at every size.
        self.cursor.execute("SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off")
        for level in LEVELS:
            rollups = [rollup for rollup in ROLLUPS.values() if rollup.level == level]
            targets = {rollup.name: self._targets(rollup) for rollup in rollups}
            self.redone |= targets
            self._level([rollup for rollup in rollups if rollup.name not in self.external], targets)

    def _targets(self, rollup: Rollup) -> Ranges:
        if rollup.level == "1m":
            return self.dirty
        width = minutes_in(rollup.width)
        late = self.dirty.widened(width).within(hi=minute_of(self.new[rollup.name]))
        return late | self._newly_finished(rollup)

    def _newly_finished(self, rollup: Rollup) -> Ranges:
        """Buckets between the old and the new watermark that hold anything at all."""
        lo, hi = self.old[rollup.name], self.new[rollup.name]
        key = (rollup.level, lo, hi)
        if lo < hi and key not in self._finished:
            witness = ROLLUPS[WITNESS[rollup.level]]
            self.cursor.execute(compiler.projects_with_cells(witness, rollup.level), {"lo": lo, "hi": hi})
            width = WIDTHS[rollup.level]
            self._finished[key] = Ranges.of((p, bucket, bucket + width) for p, bucket in self.cursor.fetchall())
        return self._finished.get(key, Ranges())

    def _parts(self, rollup: Rollup, buckets: Ranges) -> tuple[Ranges, Ranges]:
        """Buckets to build from finer cells, and from raw; the rest is frozen."""
        width = minutes_in(rollup.width)
        finer = Ranges()
        if rollup.source != RAW:
            finer = self.floors.cells_kept(self._source(rollup), buckets, width)
        raw = self.floors.raw_kept(buckets - finer, width)
        if rollup.level == "1m":
            raw = self.floors.cells_kept(rollup.name, raw, width)
        return finer, raw

    def _source(self, rollup: Rollup) -> str:
        return self.sources.get(rollup.name, rollup.source)

    def _level(self, rollups: list[Rollup], targets: dict[str, Ranges]) -> None:
        parts = {rollup.name: self._parts(rollup, targets[rollup.name]) for rollup in rollups}
        for rollup in rollups:
            finer, raw = parts[rollup.name]
            self._delete(rollup, finer | raw)
        together: dict[Ranges, list[Rollup]] = {}
        for rollup in rollups:
            together.setdefault(parts[rollup.name][1], []).append(rollup)
        for ranges, group in together.items():
            self._from_raw(group, ranges)
        for rollup in rollups:
            self._from_cells(rollup, parts[rollup.name][0])

    def _delete(self, rollup: Rollup, ranges: Ranges) -> None:
        if ranges:
            self.cursor.execute(compiler.delete_cells(rollup), parameters(ranges))

    def _from_raw(self, rollups: list[Rollup], ranges: Ranges) -> None:
        if not ranges:
            return
        self.cursor.execute(compiler.insert_from_raw(rollups), parameters(ranges))
        spans, cells = self.cursor.fetchone()
        self.cells += cells
        if rollups[0].level == "1m":
            self.spans += spans

    def _from_cells(self, rollup: Rollup, ranges: Ranges) -> None:
        if not ranges:
            return
        finer = ROLLUPS[self._source(rollup)]
        self.cursor.execute(compiler.insert_from_cells(rollup, finer), parameters(ranges))
        self.cells += self.cursor.rowcount


def touched_days(ranges: Ranges) -> list[tuple[int, datetime]]:
    """(project, day) of every day that a range touches."""
    days: list[tuple[int, datetime]] = []
    for project, lo, hi in ranges.widened(1440).rows():
        days += [(project, moment_of(minute)) for minute in range(lo, hi, 1440)]
    return days
