"""Ingest health: what came in, what was refused and why, and, for those who run the installation, what is behind it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from django.http import HttpRequest, HttpResponse

from apps.common.errors import ApiError
from apps.console.bar import Bar, read_bar
from apps.console.charts import Chart, Series
from apps.console.installation import panels
from apps.console.page import page, part, show
from apps.console.showing import bar_context
from apps.ingest import tally
from apps.ingest.letters import REASONS, letters, state_of
from apps.metrics.ledger import rollup_lag_seconds
from apps.metrics.probes import LAG_LIMIT_SECONDS
from apps.orgs.access import INSTALLATION
from apps.orgs.door import principal_of
from apps.orgs.scopes import scope_of
from apps.traces import storage

# Widths of the chart's steps, and the range up to which each is used.
WIDTHS: Final = (
    (timedelta(hours=8), "5min", timedelta(minutes=5)),
    (timedelta(days=2), "15min", timedelta(minutes=15)),
    (timedelta(days=10), "1hour", timedelta(hours=1)),
    (timedelta(days=45), "6hour", timedelta(hours=6)),
    (timedelta.max, "1day", timedelta(days=1)),
)
FEW: Final = 5
MOST_ROWS: Final = 200
MOST_STEPS: Final = 1_500


@dataclass
class Came:
    """What came for a project, or for all of them."""

    accepted: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def refused(self) -> int:
        return self.reasons.total()

    @property
    def share(self) -> float | None:
        """Refused of all that came."""
        total = self.accepted + self.refused
        return self.refused / total if total else None

    def add(self, reason: str, spans: int) -> None:
        if reason == tally.ACCEPTED:
            self.accepted += spans
        else:
            self.reasons[reason] += spans


@page("traces:read")
def ingest(request: HttpRequest) -> HttpResponse:
    """By time of arrival, of the projects that one sees. What failed as a whole (a wrong key) belongs to none."""
    bar = ingest_bar(request)
    principal = principal_of(request)
    context: dict[str, Any] = {
        "title": "Ingest health",
        "here": "ingest",
        **bar_context(request, bar),
        "filter_labels": [],
        "installation": principal.is_superuser,
    }
    try:
        projects = scope_of(principal, bar.filters.get("project")).projects
    except ApiError as error:
        return show(request, "console/ingest/page.html", {**context, "problem": _problem(error)})
    return show(request, "console/ingest/page.html", {**context, **_health(bar, projects)})


@page(INSTALLATION)
def installation(request: HttpRequest) -> HttpResponse:
    """What concerns everybody's data: fetched by the page once it stands, since workers are waited for."""
    return part(request, "console/ingest/installation.html", {"panels": panels()})


def _health(bar: Bar, projects: Mapping[str, int]) -> dict[str, Any]:
    numbers = list(projects.values())
    total, by_project = _sums(projects, bar)
    newest = letters(numbers, bar.start, bar.end, limit=FEW)
    rows = sorted(by_project.items(), key=lambda item: (-item[1].refused, -item[1].accepted, item[0]))
    seconds = bar.length.total_seconds()
    lag = rollup_lag_seconds()
    return {
        "total": total,
        "rate": total.accepted / seconds,
        "rows": [(slug, came, came.accepted / seconds) for slug, came in rows[:MOST_ROWS]],
        "left_out": max(0, len(rows) - MOST_ROWS),
        "reasons": [
            (name, spans, spans / total.refused, REASONS.get(name, "")) for name, spans in total.reasons.most_common()
        ],
        "chart": _chart(bar, numbers),
        "letters": [(one, state_of(one)) for one in newest],
        "lag": lag * 1000,
        "behind": lag > LAG_LIMIT_SECONDS,
        "tier": storage.tier(),
        "empty": not total.accepted and not total.refused,
    }


def _sums(projects: Mapping[str, int], bar: Bar) -> tuple[Came, dict[str, Came]]:
    total, by_number = Came(), {number: Came() for number in projects.values()}
    for number, reason, spans in tally.sums(by_number, bar.start, bar.end):
        by_number[number].add(reason, spans)
        total.add(reason, spans)
    return total, {slug: by_number[number] for slug, number in projects.items()}


def _chart(bar: Bar, projects: Sequence[int]) -> Chart:
    name, width = next((name, width) for longest, name, width in WIDTHS if bar.length <= longest)
    if bar.length / width > MOST_STEPS:
        width = bar.length / MOST_STEPS
    found = tally.course(projects, bar.start, bar.end, width)
    first = tally.bucket_of(bar.start)
    times = [first + width * step for step in range(int((bar.end - first) / width) + 1)]
    times = [moment for moment in times if moment < bar.end]
    spans: dict[tuple[datetime, bool], int] = {(moment, good): number for moment, good, number in found}
    lines = [
        Series(label, [spans.get((moment, good), 0) for moment in times] if found else [])
        for label, good in (("Accepted", True), ("Refused", False))
    ]
    zoom = f"?{bar.query(range='custom', start_time=None, end_time=None)}&start_time={{start}}&end_time={{end}}"
    return Chart("Spans by time of arrival", "count", times, lines, "stacked", bar.zone, "", zoom, name)


def _problem(error: ApiError) -> dict[str, Any]:
    return {"code": error.entry.code, "message": error.message}


def ingest_bar(request: HttpRequest, own: Collection[str] = ()) -> Bar:
    """The bar with the filters that arrivals know: none but the project, whatever another page's link brings along."""
    bar = read_bar(request, own)
    return replace(bar, filters={name: value for name, value in bar.filters.items() if name == "project"})
