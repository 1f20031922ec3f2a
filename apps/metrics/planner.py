"""Which sources answer a question: pure, from the question and the state of the rollups to a plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Literal

from apps.common.bins import RELATIVE_ERROR
from apps.common.errors import ApiError
from apps.metrics import cover
from apps.metrics.buckets import INTERVALS, STEPS, floor
from apps.metrics.catalog import Formula
from apps.metrics.cover import Rung, Segment
from apps.metrics.rollups import RAW, ROLLUPS, TAG_IDS, Kind, Rollup
from apps.metrics.spec import Filter, MetricRef, QuerySpec
from apps.metrics.state import Range, RollupState

# Up to about so many raw spans are sorted for exact percentiles; more are answered from histograms.
EXACT_SPANS = 30_000

PartKind = Literal["components", "distinct", "percentile", "histogram", "score"]


@dataclass(frozen=True, slots=True)
class Part:
    """Values that one statement answers: the same kind of aggregate over the same segments.

    Args:
        id: for distinct counts, the id column.
        value: for percentiles, the raw column.
    """

    kind: PartKind
    references: tuple[MetricRef, ...]
    segments: tuple[Segment, ...]
    id: str = ""
    value: str = ""

    @property
    def components(self) -> tuple[str, ...]:
        """Every component that the formulas read, each once, in order."""
        return tuple(dict.fromkeys(name for ref in self.references for name in ref.formula.components))


@dataclass(frozen=True, slots=True)
class Plan:
    """How a question is answered.

    Args:
        start, end: the range answered for; wider than asked where only coarse cells are kept.
        unsettled: what spans take over from their traces may have changed since the last refresh.
    """

    spec: QuerySpec
    parts: tuple[Part, ...]
    start: datetime
    end: datetime
    sources: tuple[str, ...]
    fresh_until: datetime | None
    percentile_error: float
    unsettled: bool = False


def plan(spec: QuerySpec, state: RollupState) -> Plan:
    """Choose sources for every value of the question.

    Raises:
        ApiError: 1204 where the range reaches back further than what could answer is kept.
    """
    _check_tags(spec)
    dirty = state.dirty
    if spec.involves_attribution and state.attribution_dirty:
        dirty = cover.coalesce([*state.dirty, *state.attribution_dirty])
    parts = tuple(
        _scores(spec, state, references) if key.kind == "score" else _part(spec, state, key, references, dirty)
        for key, references in _grouped(spec).items()
    )
    ranges = [span for part in parts for segment in part.segments for span in segment.ranges]
    return Plan(
        spec=spec,
        parts=parts,
        start=min((low for low, _ in ranges), default=spec.start),
        end=max((high for _, high in ranges), default=spec.end),
        sources=_sources(parts),
        fresh_until=_fresh_until(spec, state, parts, dirty),
        percentile_error=RELATIVE_ERROR if any(part.kind == "histogram" for part in parts) else 0,
        unsettled=state.attribution_dirty is not None,
    )


def _check_tags(spec: QuerySpec) -> None:
    """A span must not be counted twice: it may have several tags of a list, and several of a key."""
    if not spec.tagged or {"tag", "tag_again"} & set(spec.group_by):
        return  # whoever groups so knows that tags do not add up
    asked = {item.field: item for item in spec.filters if item.field in TAG_IDS}
    tag, again = asked.get("tag"), asked.get("tag_again")
    one = tag is not None and tag.op in ("eq", "in") and len(tag.values) == 1
    first_of_key = tag is not None and tag.op == "prefix" and again == Filter("tag_again", "eq", (None,))
    if not (one or first_of_key):
        raise ValueError("without a group for each tag a question names one tag, or the first of one key")


@dataclass(frozen=True, slots=True)
class _Key:
    kind: PartKind
    id: str
    value: str
    ladder: tuple[str, ...]


def _grouped(spec: QuerySpec) -> dict[_Key, tuple[MetricRef, ...]]:
    groups: dict[_Key, tuple[MetricRef, ...]] = {}
    for ref in spec.metrics:
        formula = ref.formula
        if formula.source == "score":
            key = _Key("score", "", "", ())
            groups[key] = (*groups.get(key, ()), ref)
            continue
        key = _Key(
            "histogram" if formula.source == "percentile" else formula.source,
            formula.id,
            {"latency": "duration_us", "ttft": "ttft_us", "": ""}[formula.value],
            tuple(rollup.name for rollup in ladder_for(formula, spec.dimensions)),
        )
        groups[key] = (*groups.get(key, ()), ref)
    return groups


def _kind(formula: Formula, dimensions: frozenset[str]) -> Kind:
    if formula.source == "percentile":
        return "latency" if formula.value == "latency" else "ttft"
    if formula.source == "distinct":
        return "users" if formula.id == "user_id" else "sessions"
    if "error_type" in dimensions:
        return "errors"
    if not dimensions.isdisjoint(TAG_IDS):
        return "tags"
    if "unpriced_reason" in dimensions:
        return "unpriced"
    if "user_id" in dimensions:
        return "users"
    return "sessions" if "session_id" in dimensions else "usage"


def ladder_for(formula: Formula, dimensions: frozenset[str]) -> tuple[Rollup, ...]:
    """The rollups that hold everything needed, coarsest first, of each width the one with the fewest cells."""
    return _ladder(_kind(formula, dimensions), formula.components, dimensions)


@lru_cache(maxsize=1_000)
def _ladder(kind: Kind, components: tuple[str, ...], dimensions: frozenset[str]) -> tuple[Rollup, ...]:
    best: dict[timedelta, Rollup] = {}
    for rollup in ROLLUPS.values():
        held = {*rollup.dimensions, *rollup.ids, "project"}
        columns = {component.name for component in rollup.components}
        if rollup.kind != kind or not dimensions <= held or not columns.issuperset(components):
            continue
        known = best.get(rollup.width)
        if known is None or len(rollup.dimensions) < len(known.dimensions):
            best[rollup.width] = rollup
    return tuple(best[width] for width in sorted(best, reverse=True))


def _part(
    spec: QuerySpec, state: RollupState, key: _Key, references: tuple[MetricRef, ...], dirty: Sequence[Range]
) -> Part:
    ladder = whole = [ROLLUPS[name] for name in key.ladder]
    if key.kind == "histogram" and _cheap_in_raw(spec, state):
        ladder = []
    buckets = spec.buckets
    usable = [rollup for rollup in ladder if buckets is None or buckets.aligned_to(rollup.width)]
    _check_kept(spec, state, usable, whole)
    rungs = [
        Rung(rollup.name, rollup.width, state.watermark(rollup.name), state.kept_from(rollup.retention))
        for rollup in usable
    ]
    segments = cover.cover(spec.start, spec.end, rungs, dirty, state.raw_from)
    kind = key.kind
    if kind == "histogram" and all(segment.source == RAW for segment in segments):
        kind = "percentile"
    return Part(kind, references, segments, key.id, key.value)


def _scores(spec: QuerySpec, state: RollupState, references: tuple[MetricRef, ...]) -> Part:
    """Scores are read as they are: there are no cells of them."""
    kept = state.kept_from("score_retention_days")
    if spec.start < kept:
        since = kept.strftime("%Y-%m-%dT%H:%M:%SZ")
        raise ApiError(1204, f"Scores are kept since {since}.", field="start_time", details={"kept_since": since})
    return Part("score", references, ())


def _cheap_in_raw(spec: QuerySpec, state: RollupState) -> bool:
    return spec.start >= state.raw_from and state.raw_estimate is not None and state.raw_estimate <= EXACT_SPANS


def _check_kept(spec: QuerySpec, state: RollupState, usable: Sequence[Rollup], ladder: Sequence[Rollup]) -> None:
    """Refuse a range of which the older part is kept only in cells that cannot answer this question."""
    if spec.start >= state.raw_from:
        return
    if usable:
        coarsest = usable[0]
        reaches = floor(spec.start, coarsest.width) >= state.kept_from(coarsest.retention)
        if reaches or coarsest is ladder[0]:
            return
    since = state.raw_from.strftime("%Y-%m-%dT%H:%M:%SZ")
    if not ladder:
        message = (
            f"This combination of metrics, groups and filters is answered from spans, which are kept since {since}."
        )
        raise ApiError(1204, message, field="start_time", details={"kept_since": since})
    fitting = _fitting(spec, state, ladder)
    if fitting is None:
        raise ApiError(1204, f"Nothing so old can answer this; spans are kept since {since}.", field="start_time")
    message = f"Data as old as this is no longer kept at interval {spec.interval}; interval {fitting} would fit."
    raise ApiError(1204, message, field="interval", details={"fitting_interval": fitting})


def _fitting(spec: QuerySpec, state: RollupState, ladder: Sequence[Rollup]) -> str | None:
    for name in INTERVALS[INTERVALS.index(spec.interval) + 1 :] if spec.interval else ():
        for rollup in ladder:
            if rollup.width <= STEPS[name] and spec.start >= state.kept_from(rollup.retention):
                return name
    return None


def _sources(parts: Sequence[Part]) -> tuple[str, ...]:
    """What `data_source` says, coarse to fine."""
    used = {segment.source for part in parts for segment in part.segments}
    levels = {"raw" if name == RAW else f"rollup_{ROLLUPS[name].level}" for name in used}
    if any(part.kind == "score" for part in parts):
        levels.add("scores")
    order = ("rollup_1d", "rollup_1h", "rollup_15m", "rollup_1m", "raw", "scores")
    return tuple(name for name in order if name in levels)


def _fresh_until(spec: QuerySpec, state: RollupState, parts: Sequence[Part], dirty: Sequence[Range]) -> datetime | None:
    """Up to when rollups are complete for this question: the finest level's watermark, or the first dirty minute."""
    marks = []
    for part in parts:
        if part.kind == "score":
            marks.append(state.now)
            continue
        for ref in part.references:
            ladder = ladder_for(ref.formula, spec.dimensions)
            marks.append(state.watermark(ladder[-1].name if ladder else "usage_1m"))
    fresh = min(marks)
    inside = [low for low, high in dirty if high > spec.start and low < spec.end]
    if inside:
        fresh = min(fresh, max(inside[0], spec.start))
    return fresh if fresh > datetime(1970, 1, 2, tzinfo=fresh.tzinfo) else None
