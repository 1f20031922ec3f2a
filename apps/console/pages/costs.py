"""What it cost: over time, divided by whatever requests carry, and why it changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse

from apps.common.reads import reading
from apps.console.asking import Answer, ask, may
from apps.console.bar import Bar, read_bar, text_of
from apps.console.changes import change_of, effects_of
from apps.console.costing import FURTHER, cost_chart, further, interval_of, missing, tabs, traces_at
from apps.console.page import page, show
from apps.console.people import address_of
from apps.console.showing import bar_context

DAYS: Final = 14  # of the daily trend; longer ranges have the chart
# Name in the address, label, dimension of the costs over time, filter of the traces.
DIVISIONS: Final = {
    "model": ("Model", "model", "model"),
    "provider": ("Provider", "provider", "provider"),
    "user": ("User", "user_id", "user_id"),
    "environment": ("Environment", "environment", "environment"),
    "project": ("Project", "project", "project"),
    "team": ("Team", "team", "tag"),
    "session": ("Session", "session_id", "session_id"),
    "tag": ("Tag", "", "tag"),
}
_MANY: Final = ("user", "session")  # of which there may be more than a chart's answer has room for
_CHARTED: Final = 7
_BEFORE: Final = 1_000
PERIODS: Final = {"previous_period": "The period before", "1d": "A day earlier", "7d": "A week earlier"}


@page("costs:read")
def costs(request: HttpRequest) -> HttpResponse:
    """Two questions, with compare a third: the summary, the costs by model over time, those of the period before."""
    bar = read_bar(request, tuple(FURTHER))
    summary = ask(request, "costs/summary", bar.question(**further(bar)))
    series = _series(request, bar, "model")
    earlier = _series(request, bar.before(), "") if bar.compare else None
    found = summary.document
    context = {
        "title": "Costs",
        "summary": summary,
        "series": series,
        "cost_chart": cost_chart(bar, series, "model", earlier),
        "shares": [_share(bar, summary, name) for name in ("model", "provider", "environment")],
        "days": _trend(bar, found.get("daily_trend", []), timedelta(days=1))[:DAYS],
        "weeks": _trend(bar, found.get("weekly_trend", []), timedelta(days=7)),
        "compared": [
            _compared(bar, found.get(name, {}), back)
            for name, back in (("day_over_day", "1d"), ("week_over_week", "7d"))
        ],
        "until_now": bar.end > datetime.now(UTC) - timedelta(minutes=2),
        "top_traces": _top_traces(request, summary),
        "nothing": summary.ok and not found["totals"]["requests"],
        "chart_title": "Over time" if bar.compare else "Over time, by model",
        "traces_page": traces_at(bar),
        "dearest_page": traces_at(bar, sort_by="total_cost_usd"),
    }
    return shown(request, "console/costs.html", bar, "/costs", context, compares=True)


def shown(
    request: HttpRequest, template: str, bar: Bar, here: str, context: dict[str, Any], *, compares: bool = False
) -> HttpResponse:
    shared = bar_context(request, bar, compares=compares, further=FURTHER, drawn=tuple(FURTHER))
    fields = {"here": "costs", "tabs": tabs(bar, here), "bar_extra": "console/parts/cost_fields.html"}
    return show(request, template, {**shared, **fields, **context})


def _series(request: HttpRequest, bar: Bar, group: str, **filters: str) -> Answer:
    asked = {"interval": interval_of(bar), "group_by": group, "fill": "zero", **further(bar), **filters}
    return ask(request, "costs", bar.question(**asked))


def _share(bar: Bar, summary: Answer, name: str) -> dict[str, Any]:
    """One block of the summary: its rows with the traces behind them."""
    block = summary.document.get(f"by_{name}", {})
    rows = [{**row, "address": _behind(bar, name, row["value"])} for row in block.get("data", ())]
    more = bar.elsewhere(**further(bar), by=name)
    return {"label": DIVISIONS[name][0], "rows": rows, "others": block.get("others", {}), "more": f"/costs/by?{more}"}


def _trend(bar: Bar, rows: Sequence[dict[str, Any]], length: timedelta) -> list[dict[str, Any]]:
    """Days or weeks, the latest first, each with its traces; a day of the zone has 23 to 25 hours."""
    zone, made = ZoneInfo(bar.zone), []
    for row in reversed(rows):
        start = datetime.fromisoformat(row["start_time"]).astimezone(zone)
        times = {"range": "custom", "start_time": text_of(start), "end_time": text_of(start + length)}
        made.append({**row, "address": traces_at(bar, **times)})
    return made


def _compared(bar: Bar, block: dict[str, Any], back: str) -> str:
    """The page that says why a day or a week cost more or less than the one before."""
    if not block:
        return ""
    start, end = (datetime.fromisoformat(block["current"][f"{name}_time"]) for name in ("start", "end"))
    return "/costs/change?" + bar.at(start, end, compare_to=back, **further(bar))


def _behind(bar: Bar, division: str, value: str | None) -> str:
    """What is behind a group: a user's page, or traces; nothing finds those that have no value."""
    if value is None:
        return ""
    if division == "user":
        return address_of(value, bar, costs=True)
    name = DIVISIONS[division][2]
    return traces_at(bar, **{name: f"team:{value}" if division == "team" else value})


def _top_traces(request: HttpRequest, summary: Answer) -> Answer:
    if not may(request, "traces:read"):
        return missing("traces:read", "Traces are not open to you.")
    return summary


@page("costs:read")
def divided(request: HttpRequest) -> HttpResponse:
    """Costs by one of DIVISIONS: the dearest, the others, the whole, over time, and beside the period before."""
    bar = read_bar(request, (*FURTHER, "by", "key"))
    by = reading.choice(bar.own.get("by", "model"), tuple(DIVISIONS), "by")
    listed = _division(request, bar, by)
    rows = _rows(request, bar, by, listed)
    dimension = DIVISIONS[by][1]
    series = None
    if dimension and listed.ok:
        series = _series(request, bar, dimension, **_charted(by, dimension, bar, rows))
    context = {
        "title": f"Costs by {DIVISIONS[by][0].lower()}",
        "by": by,
        "label": DIVISIONS[by][0],
        "divisions": [
            {"label": label, "here": name == by, "address": "?" + bar.query(by=name, key=None)}
            for name, (label, *_) in DIVISIONS.items()
        ],
        "listed": listed,
        "rows": rows,
        "none": not rows,
        "others": listed.document.get("others", {}),
        "others_count": max(0, (listed.document.get("total_groups") or 0) - len(listed.data)) if listed.ok else 0,
        "totals": listed.document.get("totals", {}),
        "unattributed": listed.document.get("unattributed"),
        "missing_label": "a team" if by == "team" else "such a tag",
        "series": series,
        "cost_chart": cost_chart(bar, series, dimension) if series is not None else None,
        "charted": _CHARTED if by in _MANY else 0,
    }
    return shown(request, "console/costs_divided.html", bar, "/costs/by", context, compares=True)


def _division(request: HttpRequest, bar: Bar, by: str, **more: Any) -> Answer:
    key = bar.own.get("key") if by == "tag" else None
    if by == "team" or key:
        return ask(request, "costs/attribution", bar.question(dimension=by, key=key, **further(bar), **more))
    return ask(request, "costs/breakdown", bar.question(by=by, **further(bar), **more))


def _rows(request: HttpRequest, bar: Bar, by: str, listed: Answer) -> list[dict[str, Any]]:
    if not listed.ok:
        return []
    rows = [
        {**row, "address": _behind(bar, by, row["value"]), "unpriced": row["requests"] - row["priced_requests"]}
        for row in listed.data
    ]
    if not bar.compare:
        return rows
    before = _division(request, bar.before(), by, limit=_BEFORE, fields="value,total_cost_usd,total_groups")
    costs_before = {row["value"]: row["total_cost_usd"] for row in before.data} if before.ok else {}
    # Who is not among all groups of the period before cost nothing in it.
    complete = before.ok and (before.document.get("total_groups") or 0) <= _BEFORE
    return [
        {
            **row,
            "before": costs_before.get(row["value"], 0 if complete else None),
            "change": change_of(row["total_cost_usd"], costs_before.get(row["value"])),
        }
        for row in rows
    ]


def _charted(by: str, dimension: str, bar: Bar, rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Of users and sessions the chart has the dearest alone; a comma would be taken for two of them."""
    if by not in _MANY or bar.filters.get(dimension) or bar.own.get(dimension):
        return {}
    names = [row["value"] for row in rows if row["value"] and "," not in row["value"]][:_CHARTED]
    return {dimension: ",".join(names)} if names else {}


@page("costs:read")
def changed(request: HttpRequest) -> HttpResponse:
    """Why this range cost more or less than another."""
    bar = read_bar(request, (*FURTHER, "compare_to"))
    compared = reading.choice(bar.own.get("compare_to", "previous_period"), tuple(PERIODS), "compare_to")
    answer = ask(request, "costs/change", bar.question(compare_to=compared, **further(bar)))
    found = answer.document
    context = {
        "title": "What changed the costs",
        "changed": answer,
        "now": found.get("current_period", {}),
        "was": found.get("previous_period", {}),
        "effects": effects_of(found.get("change", {}).get("effects", {})),
        "rows": [
            {**row, "address": traces_at(bar, model=row["model"], provider=row["provider"])}
            for row in (answer.data if answer.ok else ())
        ],
        "no_rows": not answer.data,
        "others": found.get("others", {}),
        "periods": [
            {"label": label, "here": name == compared, "address": "?" + bar.query(compare_to=name)}
            for name, label in PERIODS.items()
        ],
    }
    return shown(request, "console/costs_change.html", bar, "/costs/change", context)
