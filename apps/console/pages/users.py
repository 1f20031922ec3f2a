"""The users of a range, and one of them: what they cost, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final
from urllib.parse import parse_qsl

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from apps.console.asking import Answer, ask, may
from apps.console.bar import Bar, read_bar
from apps.console.changes import change_of, effects_of
from apps.console.charts import Chart, Series, column, moments
from apps.console.costing import cost_chart, interval_of, missing
from apps.console.page import page, part, show
from apps.console.people import address_of
from apps.console.showing import bar_context

PAGE_ROWS: Final = 50
# Field of a user, heading, unit.
COLUMNS: Final = (
    ("total_cost_usd", "Cost", "usd"),
    ("requests", "Requests", "count"),
    ("error_rate", "Errors", "rate"),
    ("total_tokens", "Tokens", "count"),
    ("avg_duration_ms", "Mean duration", "ms"),
)
OWN: Final = ("sort_by", "sort_order", "search", "cursor")
# What the list of users cannot be cut by; the costs by user can.
_CUTS: Final = ("provider", "model", "environment")


@page("metrics:read")
def users(request: HttpRequest) -> HttpResponse:
    """The list, the users of the period before where they are compared, and how many there were over time."""
    bar = read_bar(request, OWN)
    by_cost = any(name in bar.filters for name in _CUTS) or not may(request, "traces:read")
    listed = _by_cost(request, bar) if by_cost else _listed(request, bar)
    rows = list(listed.data) if listed.ok else []
    series = ask(request, "metrics", bar.question(metrics="unique_users", interval=_users_interval(bar), fill="zero"))
    if bar.compare:
        rows = _compared(request, bar, rows, by_cost)
    context = {
        "title": "Users",
        "here": "users",
        "by_cost": by_cost,
        "listed": listed,
        "rows": rows,
        "none": not rows,
        "empty_text": "No user's id begins so" if bar.own.get("search") else "No users in this range",
        "hidden": parse_qsl(bar.query(search=None, cursor=None)),
        "sorted_by": bar.own.get("sort_by", "total_cost_usd").replace("_", " "),
        "columns": _headings(bar) if not by_cost else (),
        "pagination": listed.document.get("pagination", {}),
        "others": listed.document.get("others", {}),
        "series": series,
        "users_chart": _users_chart(bar, series),
    }
    return show(request, "console/users.html", {**bar_context(request, bar, compares=True), **context})


def _listed(request: HttpRequest, bar: Bar) -> Answer:
    asked = {name: bar.own.get(name) for name in OWN}
    return ask(request, "users", {**_shared(bar), "limit": PAGE_ROWS, **asked})


def _shared(bar: Bar) -> dict[str, Any]:
    return {name: value for name, value in bar.listing().items() if name not in _CUTS}


def _by_cost(request: HttpRequest, bar: Bar) -> Answer:
    """The users with the filters that only costs know; those without a user are told below the list."""
    if not may(request, "costs:read"):
        return missing("costs:read", "Users of a model, provider or environment are found among the costs.")
    found = ask(request, "costs/breakdown", bar.question(by="user", limit=PAGE_ROWS * 2))
    return replace(found, document={**found.document, "data": [named(row) for row in found.data]})


def named(row: Mapping[str, Any]) -> dict[str, Any]:
    """A group of the costs by user as the list of users has it."""
    return {**row, "user_id": row["value"]}


def _compared(request: HttpRequest, bar: Bar, rows: Sequence[Mapping[str, Any]], by_cost: bool) -> list[dict[str, Any]]:
    """Each row with what the same user cost in the period before."""
    before = bar.before()
    # A comma stands between ids in a filter, so an id that has one cannot be asked for.
    ids = [row["user_id"] for row in rows if row["user_id"] and "," not in row["user_id"]]
    if not ids:
        return [dict(row) for row in rows]
    named_ids = {"user_id": ",".join(ids), "limit": len(ids)}
    if by_cost:
        found = ask(request, "costs/breakdown", {**before.question(by="user"), **named_ids})
        costs = {row["value"]: row["total_cost_usd"] for row in found.data} if found.ok else {}
    else:
        found = ask(request, "users", {**_shared(before), **named_ids})
        costs = {row["user_id"]: row["total_cost_usd"] for row in found.data} if found.ok else {}
    return [
        {
            **row,
            "before": costs.get(row["user_id"], 0 if row["user_id"] in ids and found.ok else None),
            "change": change_of(row["total_cost_usd"], costs.get(row["user_id"])),
        }
        for row in rows
    ]


def _headings(bar: Bar) -> list[dict[str, str]]:
    """The columns by which the list can be ordered; a second press turns the order around."""
    chosen, order = bar.own.get("sort_by", "total_cost_usd"), bar.own.get("sort_order", "desc")
    made = []
    for name, label, _ in (*COLUMNS, ("last_seen", "Last seen", "")):
        here = name == chosen
        other = "asc" if here and order == "desc" else None
        query = bar.query(sort_by=name, sort_order=other, cursor=None)
        sorted_so = ("descending" if order == "desc" else "ascending") if here else ""
        made.append({"label": label, "address": f"?{query}", "sorted": sorted_so})
    return made


def _users_interval(bar: Bar) -> str:
    """Days where there are a few: to tell the users of every hour of a week apart takes longer than the page may."""
    return bar.interval if bar.length <= timedelta(days=2) or bar.length > timedelta(days=62) else "1day"


def _users_chart(bar: Bar, series: Answer) -> Chart:
    rows = series.data if series.ok else []
    times = moments(rows)
    lines = [Series("Users", column(rows, times, "unique_users"))]
    return Chart(
        "Users", "count", times, lines, "bars", bar.zone, bar.between("/traces"), bar.between(), _users_interval(bar)
    )


@page("metrics:read")
def dearest(request: HttpRequest) -> HttpResponse:
    """For the overview: the users that cost most."""
    bar = read_bar(request)
    by_cost = any(name in bar.filters for name in _CUTS) or not may(request, "traces:read")
    if by_cost and may(request, "costs:read"):
        found = ask(request, "costs/breakdown", bar.question(by="user", limit=5))
        rows = [named(row) for row in found.data]
    elif by_cost:
        found, rows = missing("costs:read", "Users of a model, provider or environment are found among the costs."), []
    else:
        found = ask(request, "users", {**_shared(bar), "limit": 5})
        rows = list(found.data)
    greatest = max((row["total_cost_usd"] or 0 for row in rows), default=0)
    rows = [{**row, "part": (row["total_cost_usd"] or 0) / greatest if greatest else 0} for row in rows]
    context = {"bar": bar, "found": found, "rows": rows, "none": not rows, "more": f"/users?{bar.elsewhere()}"}
    return part(request, "console/parts/dearest.html", context)


@page("costs:read")
def user(request: HttpRequest, user_id: str) -> HttpResponse:
    """Three questions of the costs: what changed, over time, the place among all; and the dearest traces."""
    bar = read_bar(request)
    if "user_id" in bar.filters:  # the bar's field: another user's page
        return redirect(address_of(bar.filters["user_id"], bar, costs=True))
    context: dict[str, Any] = {"title": user_id, "here": "users", "user_id": user_id}
    if "," in user_id:
        return show(request, "console/user_comma.html", context)
    only = {"user_id": user_id}
    changed = ask(request, "costs/change", bar.question(**only, limit=20))
    series = ask(request, "costs", bar.question(**only, interval=interval_of(bar), group_by="model", fill="zero"))
    now = changed.document.get("current_period", {})
    was = changed.document.get("previous_period", {})
    each, each_before = (_each(period) for period in (now, was))
    traces = _traces(request, bar, user_id)
    context |= {
        "each": each,
        "each_before": each_before,
        "each_change": change_of(each, each_before),
        "requests_change": change_of(now.get("requests"), was.get("requests")),
        "tokens_change": change_of(now.get("total_tokens"), was.get("total_tokens")),
        "traces_page": f"/traces?{bar.elsewhere(user_id=user_id)}",
        "dearest_page": f"/traces?{bar.elsewhere(user_id=user_id, sort_by='total_cost_usd')}",
        "changed": changed,
        "effects": effects_of(changed.document.get("change", {}).get("effects", {})),
        "now": now,
        "was": was,
        "rows": _models(changed),
        "no_rows": not changed.data,
        "nothing": changed.ok and not now.get("requests"),
        "series": series,
        "cost_chart": cost_chart(bar, series, "model", user_id=user_id),
        "rank": _rank(request, bar, now.get("total_cost_usd")),
        "traces": traces,
        "no_traces": not traces.data,
    }
    return show(request, "console/user.html", {**bar_context(request, bar), **context})


def _each(period: Mapping[str, Any]) -> Any:
    """Cost by the requests that have one; None where none has."""
    cost, priced = period.get("total_cost_usd"), period.get("priced_requests")
    return cost / priced if cost is not None and priced else None


def _models(changed: Answer) -> list[dict[str, Any]]:
    """The models of the range and of the one before, the dearest first, each with its share of the range's cost."""
    total = changed.document.get("current_period", {}).get("total_cost_usd") or 0
    rows = [
        {**row, "share": (row["current_cost_usd"] or 0) / total if total else 0}
        for row in (changed.data if changed.ok else ())
    ]
    return sorted(rows, key=lambda row: -(row["current_cost_usd"] or 0))


def _rank(request: HttpRequest, bar: Bar, cost: Any) -> dict[str, Any]:
    """The user's place by cost, which is the number of users that cost as much or more, and the share of everything."""
    if not cost:
        return {}
    found = ask(request, "costs/attribution", bar.question(dimension="user", min_cost=format(cost, "f"), limit=1))
    total = found.document.get("totals", {}).get("total_cost_usd")
    return {"place": found.document.get("total_groups"), "share": cost / total if total else None}


def _traces(request: HttpRequest, bar: Bar, user_id: str) -> Answer:
    if not may(request, "traces:read"):
        return missing("traces:read", "Traces are not open to you.")
    return ask(request, "traces", bar.listing(user_id=user_id, sort_by="total_cost_usd", limit=10))
