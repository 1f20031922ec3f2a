"""What the reports share: how one is made, and how the question behind it is read."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from apps.common.reads import reading
from apps.common.reads.reading import Problems
from apps.common.reads.snapshot import snapshot
from apps.metrics import params, parse
from apps.metrics.finish import change_pct
from apps.metrics.runner import Answer, answer_in, check_kept
from apps.metrics.spec import MAX_BUCKETS, Filter, MetricRef, QuerySpec, check_range
from apps.metrics.summary import sources
from apps.orgs.scopes import Scope

# What a figure of fewer requests is worth nothing for: ranks and verdicts leave such groups out.
MIN_SAMPLE = 30
MOST_GROUPS = 1_000
# Groups that every kind of cells holds, so that a report over them is answered from cells at any length.
GROUPS = ("provider", "model", "environment", "project", "kind")
RANGE_PARAMETERS = ("project", "start_time", "end_time", *params.FILTER_PARAMETERS)


@dataclass(frozen=True, slots=True)
class Report:
    """A report's blocks, and the answers they were made from."""

    blocks: dict[str, Any]
    answers: tuple[Answer, ...]
    seconds: float

    def metadata(self, spec: QuerySpec, **more: Any) -> dict[str, Any]:
        """What the report says about itself."""
        return {
            "start_time": spec.start,
            "end_time": spec.end,
            **more,
            **sources(self.answers),
            "query_ms": round(self.seconds * 1000, 2),
        }


class Asking:
    """Questions of one report, asked in one snapshot; it keeps the answers for the metadata."""

    def __init__(self, cursor: psycopg.Cursor[Any]) -> None:
        self.cursor = cursor
        self.answers: list[Answer] = []

    def rows(self, spec: QuerySpec) -> list[dict[str, Any]]:
        """The rows of an answer."""
        self.answers.append(answer_in(self.cursor, spec))
        return self.answers[-1].rows


def made(base: QuerySpec, make: Callable[[Asking], dict[str, Any]]) -> Report:
    """Run a report's questions in one snapshot.

    Raises:
        ApiError: as `runner.answer`.
    """
    begun = time.perf_counter()
    check_kept(base)
    with snapshot() as cursor:
        asking = Asking(cursor)
        blocks = make(asking)
    return Report(blocks, tuple(asking.answers), time.perf_counter() - begun)


def references(table: Sequence[tuple[str, str, str]]) -> tuple[MetricRef, ...]:
    """(field, metric, aggregation) rows as what a question asks for."""
    return tuple(MetricRef(metric, aggregation, field) for field, metric, aggregation in table)


def changes(now: Mapping[str, Any], before: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, float | None]:
    """Changes in percent by name; null where the earlier value is 0 or missing."""
    return {name: change_pct(now[field], before[field]) for name, field in names.items()}


def base_spec(
    source: Mapping[str, Any],
    scope: Scope,
    now: datetime,
    problems: Problems,
    *,
    interval: str | None = None,
    group_by: tuple[str, ...] = (),
    limit: int | None = None,
    filters: tuple[Filter, ...] | None = None,
) -> QuerySpec:
    """A report's range, projects and filters as a question without metrics.

    Raises:
        ApiError: every bad parameter, `problems` found before it included.
    """
    take = problems.take
    start, end = take(lambda: reading.time_range(source, now, params.DEFAULT_RANGE), (now, now))
    if filters is None:
        filters = take(lambda: params.filters_from_query(source), ())
    zone = take(lambda: reading.zone(source.get("timezone")), "UTC")
    problems.check()
    check_range(start, end, interval)
    projects, filters = parse.projects_and_filters(scope, filters)
    spec = QuerySpec(
        organization_id=scope.organization_id,
        project_ids=tuple(sorted(projects.values())),
        projects=tuple(sorted((number, slug) for slug, number in projects.items())),
        start=start,
        end=end,
        metrics=(),
        interval=interval,
        tz=zone,
        group_by=group_by,
        filters=filters,
        limit=limit,
    )
    if spec.buckets is not None and len(spec.buckets.starts) > MAX_BUCKETS:
        raise reading.bad("interval", f"More than {MAX_BUCKETS} buckets; a coarser interval would fit.", 1205)
    return spec


def groups_of(source: Mapping[str, str], default: tuple[str, ...], most: int = 2) -> tuple[str, ...]:
    """`group_by` of a report: one or two of the dimensions that every kind of cells holds."""
    if "group_by" not in source:
        return default
    names = tuple(dict.fromkeys(reading.choice(name, GROUPS, "group_by") for name in source["group_by"].split(",")))
    if len(names) > most:
        raise reading.bad("group_by", f"At most {most} dimensions.", 1205)
    return names


def limit_of(source: Mapping[str, str], default: int) -> int:
    """`limit` of a report: how many groups it shows, 1 to 1,000."""
    found = params.limit(source.get("limit")) or default
    if found > MOST_GROUPS:
        raise reading.bad("limit", f"limit may be at most {MOST_GROUPS}.", 1205)
    return found
