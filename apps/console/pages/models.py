"""Models: what each costs, how fast and how reliable it is, and a choice of them to compare."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final
from urllib.parse import parse_qsl

from django.http import HttpRequest, HttpResponse

from apps.common.reads import reading
from apps.console.asking import Answer, ask, may
from apps.console.bar import read_bar
from apps.console.charts import MOST_SERIES, Chart, grouped, moments
from apps.console.chosen import Chosen
from apps.console.figures import number_of
from apps.console.lines import links
from apps.console.page import page, show
from apps.console.showing import bar_context

SORTS: Final = {
    "cost": "Cost",
    "requests": "Requests",
    "tokens": "Tokens",
    "duration": "p95 duration",
    "errors": "Errors",
}
# Names may have 200 characters, each three times in its row: more of them would weigh more than a page may.
MOST: Final = 40


@page("metrics:read")
def models(request: HttpRequest) -> HttpResponse:
    """The report, and the requests of each model over time."""
    bar = read_bar(request, own=("sort_by",))
    sort_by = reading.choice(bar.own.get("sort_by", "cost"), tuple(SORTS), "sort_by")
    report = ask(request, "metrics/models", bar.listing(sort_by=sort_by, limit=MOST))
    series = ask(request, "metrics", bar.question(metrics="request_count", group_by="model", interval=bar.interval))
    times = moments(series.data) if series.ok else []
    lines = grouped(series.data, times, "model", "request_count", MOST_SERIES - 1) if series.ok else []
    rows = rows_of(report)
    context = {
        "title": "Models",
        "here": "models",
        "report": report,
        "rows": rows,
        "totals": report.document.get("totals", {}),
        "sorts": list(SORTS.items()),
        "sort_by": sort_by,
        "keeps": parse_qsl(bar.elsewhere(model=None)),
        "may_compare": may(request, "metrics:query"),
        "comparable": sum(bool(row["entry"]) for row in rows) > 1,
        "series": series,
        "chart": Chart(
            "Requests by model", "count", times, lines, "stacked", bar.zone, *links(bar), interval=bar.interval
        ),
        "unpriced": any(row["unpriced_requests"] > row["errors"] for row in rows),
    }
    return show(request, "console/models.html", {**bar_context(request, bar), **context})


def rows_of(report: Answer) -> list[dict[str, Any]]:
    """The models of the report, each with its entry for a comparison; a model at several providers is one for each."""
    rows = report.data if report.ok else []
    places = Counter(row["model"] for row in rows)
    longest = max((number for row in rows if (number := number_of(row["p95_duration_ms"])) is not None), default=None)
    made = []
    for row in rows:
        provider = None if places[row["model"]] == 1 else row["provider"] or ""
        p95 = number_of(row["p95_duration_ms"])
        made.append(
            {
                **row,
                "entry": Chosen(row["model"], provider).entry if row["model"] else "",
                "slow_share": p95 / longest if p95 is not None and longest else None,
            }
        )
    return made
