"""`GET /api/v1/costs` and its breakdowns: what a request asks for, as a report's arguments."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.request import Request

from apps.common.parameters import check_parameters
from apps.common.reads import fields, reading
from apps.common.reads.reading import Problems, bad, choice
from apps.common.reads.schemas import names
from apps.costs.api import openapi, openapi_reports
from apps.costs.reports import question, shares
from apps.costs.reports.change import change
from apps.costs.reports.series import Report, series
from apps.costs.reports.summary import earliest, summarize
from apps.costs.reports.unpriced import unpriced
from apps.metrics import params
from apps.metrics.spec import MAX_BUCKETS, QuerySpec, check_range
from apps.metrics.summary import sources
from apps.metrics.versions import version_of
from apps.orgs.scopes import principal_of, scope_of, single_values
from apps.orgs.views import Question, ReadView

MAX_GROUPS = 3


class CostsRead(ReadView):
    """What the reads of costs share."""

    area = "costs"
    ttl = "cache_ttl_costs"
    required_permission = "costs:read"

    @staticmethod
    def asked(request: Request, *own: str) -> tuple[Mapping[str, str], QuerySpec]:
        """The parameters, and the base of the report's questions."""
        check_parameters(request, (*question.SHARED, *own, fields.NAME))
        source = single_values(request)
        scope = scope_of(principal_of(request), source.get("project"))
        return source, question.base_of(source, scope, datetime.now(UTC))


def answered(spec: QuerySpec, make: Callable[[], Report], **more: Any) -> dict[str, Any]:
    """The whole answer of a report: what it says of itself, and its blocks."""
    begun = time.perf_counter()
    report = make()
    first = report.answers[0].plan
    metadata = {
        "start_time": first.start,
        "end_time": first.end,
        "timezone": spec.tz,
        "currency": "USD",
        **more,
        "filters": question.applied(spec.filters),
        **sources(report.answers),
        "query_ms": round((time.perf_counter() - begun) * 1000, 2),
    }
    return {"metadata": metadata, **report.blocks}


@extend_schema_view(get=extend_schema(**openapi.COSTS))
class CostsView(CostsRead):
    """`GET /api/v1/costs`."""

    def question(self, request: Request, **_: Any) -> Question:
        source, base = self.asked(request, "interval", "granularity", "group_by", "fill")
        problems = Problems()
        interval = problems.take(lambda: _interval(source), "1day")
        groups = problems.take(lambda: _groups(source.get("group_by", "")), ())
        fill = problems.take(lambda: choice(source.get("fill", "none"), ("none", "zero"), "fill"), "none")
        problems.check()
        check_range(base.start, base.end, interval)
        spec = replace(base, interval=interval, group_by=groups, fill="zero" if fill == "zero" else "none")
        if spec.buckets is not None and len(spec.buckets.starts) > MAX_BUCKETS:
            raise bad("interval", f"More than {MAX_BUCKETS} buckets; a coarser interval would fit.", 1205)

        def compute() -> dict[str, Any]:
            return answered(spec, lambda: series(spec), interval=interval, group_by=list(groups))

        return Question(spec, compute, (*COSTS_NAMES, *groups), lambda: version_of(spec))


def _interval(source: Mapping[str, str]) -> str:
    return choice(params.interval_of(source, "1day"), openapi.INTERVALS, "interval")


def _groups(text: str) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(choice(name, openapi.GROUPS, "group_by") for name in text.split(",") if name))
    if len(found) > MAX_GROUPS:
        raise bad("group_by", f"At most {MAX_GROUPS} dimensions.", 1205)
    return found


def _min_cost(source: Mapping[str, str]) -> Decimal | None:
    if "min_cost" not in source:
        return None
    found = reading.number(source["min_cost"], "min_cost")
    if found < 0:
        raise bad("min_cost", "min_cost must not be negative.")
    return found


def _shares(source: Mapping[str, str], name: str, default: str, known: Mapping[str, str]) -> shares.Asked:
    """How the money is to be divided."""
    problems = Problems()
    column = problems.take(lambda: known[choice(source.get(name, default), tuple(known), name)], known[default])
    limit = problems.take(lambda: question.limit_of(source), question.DEFAULT_LIMIT)
    min_cost = problems.take(lambda: _min_cost(source), None)
    key = problems.take(lambda: _key(source, column), None)
    problems.check()
    return shares.Asked(column, limit, min_cost, key)


def _key(source: Mapping[str, str], column: str) -> str | None:
    if "key" not in source:
        return None
    key = source["key"]
    if column != "tag":
        raise bad("key", "key goes with dimension=tag.")
    if not key or ":" in key or "\x00" in key:
        raise bad("key", "key is the part of a tag before its first colon, such as feature.")
    return key


@extend_schema_view(get=extend_schema(**openapi.BREAKDOWN))
class BreakdownView(CostsRead):
    """`GET /api/v1/costs/breakdown`."""

    def question(self, request: Request, **_: Any) -> Question:
        source, base = self.asked(request, "by", "limit", "min_cost")
        by = source.get("by", "model")
        wanted = _shares(source, "by", "model", shares.BREAKDOWN)
        grouped = replace(base, group_by=(wanted.column,))

        def compute() -> dict[str, Any]:
            return answered(base, lambda: shares.breakdown(base, wanted), by=by, limit=wanted.limit)

        return Question((base, wanted), compute, BREAKDOWN_NAMES, lambda: version_of(grouped))


@extend_schema_view(get=extend_schema(**openapi.ATTRIBUTION))
class AttributionView(CostsRead):
    """`GET /api/v1/costs/attribution`."""

    def question(self, request: Request, **_: Any) -> Question:
        source, base = self.asked(request, "dimension", "key", "limit", "min_cost")
        wanted = _shares(source, "dimension", "team", shares.ATTRIBUTION)
        grouped = replace(base, group_by=(wanted.column,))

        def compute() -> dict[str, Any]:
            more = {"dimension": source.get("dimension", "team"), "key": wanted.key, "limit": wanted.limit}
            return answered(base, lambda: shares.attribution(base, wanted), **more)

        return Question((base, wanted), compute, ATTRIBUTION_NAMES, lambda: version_of(grouped))


@extend_schema_view(get=extend_schema(**openapi_reports.SUMMARY))
class SummaryView(CostsRead):
    """`GET /api/v1/costs/summary`."""

    def question(self, request: Request, **_: Any) -> Question:
        base = self.asked(request)[1]
        # Whoever may not read traces gets no ids of them; what is kept is not shared across permissions.
        with_traces = "traces:read" in principal_of(request).permissions

        def compute() -> dict[str, Any]:
            return answered(base, lambda: summarize(base, with_traces=with_traces))

        reach = earliest(base)
        return Question((base, with_traces), compute, SUMMARY_NAMES, lambda: version_of(reach, summary=True))


@extend_schema_view(get=extend_schema(**openapi_reports.CHANGE))
class ChangeView(CostsRead):
    """`GET /api/v1/costs/change`."""

    def question(self, request: Request, **_: Any) -> Question:
        source, base = self.asked(request, "compare_to", "compare_start", "compare_end", "limit")
        problems = Problems()
        limit = problems.take(lambda: question.limit_of(source), question.DEFAULT_LIMIT)
        compared = problems.take(lambda: _compared(source, base), (base.start, base.end))
        problems.check()
        earlier = replace(base, start=compared[0], end=compared[1])

        def compute() -> dict[str, Any]:
            return answered(base, lambda: change(base, compared, limit), method="shapley", limit=limit)

        return Question((base, compared, limit), compute, CHANGE_NAMES, lambda: (version_of(base), version_of(earlier)))


@extend_schema_view(get=extend_schema(**openapi_reports.UNPRICED))
class UnpricedView(CostsRead):
    """`GET /api/v1/costs/unpriced`."""

    def question(self, request: Request, **_: Any) -> Question:
        source, base = self.asked(request, "limit")
        limit = question.limit_of(source)

        def compute() -> dict[str, Any]:
            return answered(base, lambda: unpriced(base, limit), limit=limit)

        return Question((base, limit), compute, UNPRICED_NAMES, lambda: version_of(base))


def _compared(source: Mapping[str, str], base: QuerySpec) -> tuple[datetime, datetime]:
    """The period compared with: named, or as far back as said, or just before."""
    edges = [name for name in ("compare_start", "compare_end") if name in source]
    if not edges:
        back = params.compare_to(source.get("compare_to", "previous_period"), base.end - base.start)
        assert back is not None
        return base.start - back, base.end - back
    if "compare_to" in source:
        raise bad("compare_to", "compare_to and compare_start are two ways to say the same: give one.")
    if len(edges) == 1:
        missing = "compare_end" if edges == ["compare_start"] else "compare_start"
        raise bad(missing, "compare_start and compare_end go together.", 1201)
    start, end = (reading.moment(source[name], name) for name in edges)
    if start >= end:
        raise bad("compare_start", "compare_start must be before compare_end.", 1204)
    check_range(start, end, None)
    return start, end


COSTS_NAMES = names(openapi.COSTS)
BREAKDOWN_NAMES = names(openapi.BREAKDOWN)
ATTRIBUTION_NAMES = names(openapi.ATTRIBUTION)
SUMMARY_NAMES = names(openapi_reports.SUMMARY)
UNPRICED_NAMES = names(openapi_reports.UNPRICED)
CHANGE_NAMES = names(openapi_reports.CHANGE)
