"""The question, parsed: one frozen value that everything behind the door works on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Literal
from zoneinfo import ZoneInfo

from apps.common.errors import ApiError
from apps.metrics import buckets
from apps.metrics.buckets import Buckets
from apps.metrics.catalog import INTERNAL, Formula, find
from apps.metrics.rollups import TAG_IDS
from apps.traces.summary import INHERITED

Fill = Literal["none", "zero", "null"]
FilterOp = Literal["eq", "ne", "in", "not_in"]
InternalOp = Literal["prefix"]  # what reports ask for; no client can name it
HavingOp = Literal["gt", "gte", "lt", "lte", "eq"]

MAX_METRICS = 20
MAX_GROUPS = 5
MAX_ROWS = 10_000
MAX_BUCKETS = 10_000
MAX_FILTERS = 50
MAX_VALUES = 1_000
THREE_YEARS = timedelta(days=3 * 366)
MAX_RANGE: dict[str | None, timedelta] = {
    "1min": timedelta(days=6),
    "5min": timedelta(days=30),
    "15min": timedelta(days=90),
    "1hour": timedelta(days=366),
    "6hour": timedelta(days=366),
    "1day": THREE_YEARS,
    "1week": THREE_YEARS,
    "1month": THREE_YEARS,
    None: THREE_YEARS,
}


@dataclass(frozen=True, slots=True)
class MetricRef:
    """One asked value: a metric under an aggregation, named by its alias."""

    metric: str
    aggregation: str
    alias: str

    @property
    def formula(self) -> Formula:
        entry = find(self.metric) or INTERNAL[self.metric]
        return entry.formulas[self.aggregation]


@dataclass(frozen=True, slots=True)
class Filter:
    """A condition on a dimension; None among the values stands for NULL."""

    field: str
    op: FilterOp | InternalOp
    values: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Having:
    """A condition on a value of the answer, in the metric's unit."""

    alias: str
    op: HavingOp
    value: Decimal


@dataclass(frozen=True, slots=True)
class Sort:
    """An order by a value, a dimension or the timestamp."""

    name: str
    descending: bool


@dataclass(frozen=True)
class QuerySpec:
    """A question about the projects of one organization.

    Args:
        project_ids: never empty; filters on the project are already applied.
        projects: (id, slug) of these, for answers.
        compare_to: how far back the range lies that the answer is compared with.
        most_rows: more rows than these are refused, where there is no limit.
    """

    organization_id: int
    project_ids: tuple[int, ...]
    start: datetime
    end: datetime
    metrics: tuple[MetricRef, ...]
    projects: tuple[tuple[int, str], ...] = ()
    interval: str | None = None
    tz: str = "UTC"
    group_by: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()
    having: tuple[Having, ...] = ()
    sort: tuple[Sort, ...] = ()
    limit: int | None = None
    fill: Fill = "none"
    compare_to: timedelta | None = None
    include_percentiles: bool = False
    most_rows: int = MAX_ROWS

    @cached_property
    def buckets(self) -> Buckets | None:
        """The buckets of the range, or None for one row a group."""
        if self.interval is None:
            return None
        return buckets.make(self.start, self.end, self.interval, ZoneInfo(self.tz))

    def window(self, first: int, last: int) -> QuerySpec:
        """The same question about the buckets from number `first` up to, not with, `last`.

        They are cut as in the whole range: a zone whose clock changes by half an hour cuts a range that begins later
        otherwise.
        """
        whole = self.buckets
        if whole is None:
            raise TypeError("a question without an interval has no buckets")
        edges = whole.edges[first : last + 1]
        start, end = max(edges[0], self.start), min(edges[-1], self.end)
        made = replace(self, start=start, end=end)
        made.__dict__["buckets"] = Buckets(start, end, edges, whole.step)
        return made

    @cached_property
    def dimensions(self) -> frozenset[str]:
        """Every dimension that a source must hold to answer (the project always is held)."""
        return frozenset(self.group_by) | {item.field for item in self.filters}

    @property
    def tagged(self) -> bool:
        """Whether it is about tags: each span then counts once for every tag."""
        return not self.dimensions.isdisjoint(TAG_IDS)

    @cached_property
    def inherited(self) -> tuple[str, ...]:
        """What the answer depends on that spans take over from their traces."""
        return self.inherited_by(self.metrics)

    def inherited_by(self, metrics: Iterable[MetricRef]) -> tuple[str, ...]:
        """The same for some of the metrics: ids that another one counts need not be looked up."""
        wanted = {*self.dimensions, *(ref.formula.id for ref in metrics if ref.formula.source == "distinct")}
        return tuple(name for name in INHERITED if name in wanted or (name == "tags" and self.tagged))

    @property
    def involves_attribution(self) -> bool:
        """Whether the answer depends on what spans take over from their traces."""
        return bool(self.inherited)

    @property
    def scored(self) -> bool:
        """Whether scores are asked for by what they judge, which a span of any day may change."""
        return bool(self.dimensions - {"project"}) and any(ref.formula.source == "score" for ref in self.metrics)

    @property
    def wants_percentiles(self) -> bool:
        return any(ref.formula.source == "percentile" for ref in self.metrics)

    def shifted(self) -> QuerySpec:
        """The same question about the range that the answer is compared with, unordered and unlimited."""
        back = self.compare_to or timedelta()
        return replace(
            self, start=self.start - back, end=self.end - back, having=(), sort=(), limit=None, compare_to=None
        )


def fitting_interval(span: timedelta) -> str:
    """The finest interval that a range of this length may have."""
    return next((name for name in buckets.INTERVALS if span <= MAX_RANGE[name]), "1month")


def check_range(start: datetime, end: datetime, interval: str | None) -> None:
    """Refuse ranges that are reversed or too long for the interval.

    Raises:
        ApiError: 1204, saying which interval would fit.
    """
    if start >= end:
        raise ApiError(1204, "start_time must be before end_time.", field="start_time")
    span = end - start
    if span > THREE_YEARS:
        raise ApiError(1204, "The range may be at most 3 years long.", field="start_time")
    if span > MAX_RANGE[interval]:
        longest = MAX_RANGE[interval].days
        message = (
            f"At interval {interval} the range may be at most {longest} days long; "
            f"interval {fitting_interval(span)} would fit."
        )
        raise ApiError(1204, message, field="interval", details={"fitting_interval": fitting_interval(span)})
