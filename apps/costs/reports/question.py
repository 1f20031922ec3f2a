"""What the cost reports share: the parameters they read, and the base of every question they ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from apps.common.reads import reading
from apps.common.reads.reading import Problems, bad
from apps.costs.reports.figures import METRICS
from apps.metrics import params
from apps.metrics.spec import Filter, QuerySpec, check_range
from apps.orgs.scopes import Scope

DEFAULT_RANGE = timedelta(days=7)
# Filters that take one or several values with commas between them; a tag may hold a comma, and a question takes one.
FILTERS = ("provider", "model", "environment", "user_id", "session_id", "team", "kind", "status")
SHARED = (*params.SHARED, *FILTERS, "tag")
MAX_LIMIT, DEFAULT_LIMIT = 1_000, 50


def base_of(source: Mapping[str, str], scope: Scope, now: datetime) -> QuerySpec:
    """A question about the range, projects and filters that a request names, with the figures of every report.

    Raises:
        ApiError: whatever is wrong with these.
    """
    problems = Problems()
    start, end = problems.take(lambda: reading.time_range(source, now, DEFAULT_RANGE), (now - DEFAULT_RANGE, now))
    zone = problems.take(lambda: reading.zone(source.get("timezone")), "UTC")
    filters = problems.take(lambda: filters_of(source), ())
    problems.check()
    check_range(start, end, None)
    if not scope.projects:
        raise bad("project", "No project is left to ask about.")
    return QuerySpec(
        organization_id=scope.organization_id,
        project_ids=tuple(sorted(scope.projects.values())),
        projects=tuple(sorted((number, slug) for slug, number in scope.projects.items())),
        start=start,
        end=end,
        tz=zone,
        metrics=METRICS,
        filters=filters,
    )


def filters_of(source: Mapping[str, str]) -> tuple[Filter, ...]:
    made = []
    for name in FILTERS:
        if name in source:
            items = [item for item in source[name].split(",") if item]
            if not items:
                raise bad(name, f"{name} is empty.")
            made.append(Filter(name, "in", params.values(items, "in", name)))
    if "tag" in source:
        if not source["tag"]:
            raise bad("tag", "tag is empty.")
        made.append(Filter("tag", "eq", params.values(source["tag"], "eq", "tag")))
    return tuple(made)


def limit_of(source: Mapping[str, str], default: int = DEFAULT_LIMIT) -> int:
    """How many rows are wanted."""
    found = params.limit(source.get("limit"))
    if found is not None and found > MAX_LIMIT:
        raise bad("limit", f"limit may be at most {MAX_LIMIT}.", 1205)
    return found or default


def applied(filters: Sequence[Filter]) -> dict[str, Any]:
    """The filters of a question as its answer tells them."""
    return {item.field: list(item.values) if item.op == "in" else item.values[0] for item in filters}
