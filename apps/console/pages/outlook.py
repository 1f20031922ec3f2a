"""What costs will be, what has no price, and where the budgets stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse

from apps.common.reads import reading
from apps.console.asking import Answer, ask, may
from apps.console.bar import CUSTOM, Bar, read_bar, text_of
from apps.console.charts import Chart, Series
from apps.console.costing import FURTHER, further, traces_at
from apps.console.page import page, part
from apps.console.pages.costs import shown

FORECASTS: Final = {"next_week": "A week", "next_month": "A month", "next_quarter": "A quarter"}
HISTORY: Final = timedelta(days=30)  # that is drawn before the forecast
# Budgets whose states one request asks for: each is a question to the engine, and a page asks three at most.
AT_ONCE: Final = 3
MOST_ROWS: Final = 60  # of the strip on the overview: nobody reads more there


@page("costs:read")
def forecast(request: HttpRequest) -> HttpResponse:
    """Two questions: the forecast, and the days before it. Both begin today, whatever the bar's range."""
    bar = read_bar(request, (*FURTHER, "period"))
    period = reading.choice(bar.own.get("period", "next_month"), tuple(FORECASTS), "period")
    zone = {"timezone": bar.zone, **bar.filters, **further(bar)}
    told = ask(request, "costs/forecast", {"forecast_period": period, **zone})
    now = reading.next_minute(datetime.now(UTC))
    past = replace(bar, start=now - HISTORY, end=now)
    days = ask(request, "costs", past.question(**further(bar), interval="1day", fill="zero"))
    found = told.document.get("forecast", {})
    context = {
        "title": "What it will cost",
        "told": told,
        "forecast": found,
        "backtest": found.get("backtest"),
        "month": told.document.get("month", {}),
        "history": told.document.get("history", {}),
        "enough": told.ok and found.get("status") == "ok",
        "forecast_chart": _forecast_chart(bar, told, days),
        "period_label": FORECASTS[period].lower(),
        "periods": [
            {"label": label, "here": name == period, "address": "?" + bar.query(period=name)}
            for name, label in FORECASTS.items()
        ],
    }
    return shown(request, "console/costs_forecast.html", bar, "/costs/forecast", context)


def _forecast_chart(bar: Bar, told: Answer, days: Answer) -> Chart:
    """What was spent by day, then what is expected and the edges between which four of five days are."""
    first = told.document.get("history", {}).get("first_date") or ""  # before it there was nothing to carry on
    zone = ZoneInfo(bar.zone)
    known = {datetime.fromisoformat(row["timestamp"]): row["total_cost_usd"] for row in (days.data if days.ok else ())}
    past = {at: cost for at, cost in known.items() if at.astimezone(zone).date().isoformat() >= first}
    coming = {datetime.fromisoformat(row["timestamp"]): row for row in (told.data if told.ok else ())}
    times = sorted({*past, *coming})

    def of(name: str) -> list[Any]:
        return [coming[at][name] if at in coming else None for at in times]

    lines = [Series("Spent", [past.get(at) for at in times])]
    if any(row.get("cost_usd") is not None for row in coming.values()):
        lines += [
            Series("Forecast", of("cost_usd")),
            Series("Lower edge of 80%", of("lower_80_usd"), dashed=True),
            Series("Upper edge of 80%", of("upper_80_usd"), dashed=True),
        ]
    return Chart("Cost by day", "usd", times, lines, "line", bar.zone, interval="1day")


@page("costs:read")
def unpriced(request: HttpRequest) -> HttpResponse:
    """Requests without a cost, by model and reason."""
    bar = read_bar(request, tuple(FURTHER))
    listed = ask(request, "costs/unpriced", bar.question(**further(bar), limit=200))
    rows = [
        {**row, "address": traces_at(bar, model=row["model"], provider=row["provider"])}
        for row in (listed.data if listed.ok else ())
    ]
    context = {
        "title": "Without a price",
        "listed": listed,
        "rows": rows,
        "none": not rows,
        "totals": listed.document.get("totals", {}),
        "others": listed.document.get("others", {}),
        "may_price": may(request, "costs:manage"),
    }
    return shown(request, "console/costs_unpriced.html", bar, "/costs/unpriced", context)


@page("costs:read")
def budgets(request: HttpRequest) -> HttpResponse:
    """The first budgets with their states; the others follow by `more_budgets`, some at a time."""
    bar = read_bar(request, tuple(FURTHER))
    listed, rows = _states(request, None)
    context = {
        "title": "Budgets",
        "listed": listed,
        "rows": rows,
        "none": not rows,
        "next": listed.document.get("pagination", {}).get("next_cursor"),
        "may_manage": may(request, "costs:manage"),
        "ranges": None,  # no bar: what it says is not what a budget counts
    }
    return shown(request, "console/costs_budgets.html", bar, "/costs/budgets", context)


@page("costs:read")
def more_budgets(request: HttpRequest) -> HttpResponse:
    """Further budgets: rows of the list."""
    bar = read_bar(request, ("cursor",))
    listed, rows = _states(request, bar.own.get("cursor"))
    following = listed.document.get("pagination", {}).get("next_cursor")
    return part(
        request, "console/parts/budget_rows.html", {"bar": bar, "listed": listed, "rows": rows, "next": following}
    )


@page("metrics:read")
def budget_strip(request: HttpRequest) -> HttpResponse:
    """For the overview: each budget in a line, some at a time; nothing where there is none."""
    bar = read_bar(request, ("cursor", "seen"))
    if not may(request, "costs:read"):
        return HttpResponse("")
    listed, rows = _states(request, bar.own.get("cursor"))
    seen = _count(bar.own.get("seen")) + len(rows)
    following = listed.document.get("pagination", {}).get("next_cursor") if seen < MOST_ROWS else None
    context = {
        "bar": bar,
        "listed": listed,
        "rows": rows,
        "next": following,
        "seen": seen,
        "first": "cursor" not in bar.own,
    }
    return part(request, "console/parts/budget_strip.html", context)


def _count(text: str | None) -> int:
    """How many were shown before; the strip asks with it, and it bounds nothing else."""
    return int(text) if text and text.isdecimal() and len(text) < 6 else 0


def _states(request: HttpRequest, cursor: str | None) -> tuple[Answer, list[dict[str, Any]]]:
    """Some budgets, each with what the API says of its state, and what is to be made of it."""
    listed = ask(request, "budgets", {"limit": AT_ONCE, "cursor": cursor})
    rows = []
    for budget in listed.data if listed.ok else ():
        told = ask(request, f"budgets/{budget['id']}")
        state = told.document.get("state", {})
        rows.append(
            {
                **budget,
                "told": told,
                "state": state,
                **judged(budget, state),
                "scope": scope_of(budget),
                "address": _behind(budget, state),
            }
        )
    return listed, rows


def _behind(budget: Mapping[str, Any], state: Mapping[str, Any]) -> str:
    """The dearest traces of the budget's period, as far as the list of traces has its scope."""
    if not state:
        return "/traces"
    first, last = (date.fromisoformat(state[name]) for name in ("period_start", "period_end"))
    zone = ZoneInfo(budget["timezone"])
    start, end = (datetime.combine(day, time(), zone) for day in (first, last + timedelta(days=1)))
    scope = {
        "project": ",".join(budget["projects"]),
        "provider": ",".join(budget["providers"]),
        "model": ",".join(budget["models"]),
        "environment": ",".join(budget["environments"]),
        "user_id": ",".join(budget["users"]),
        "tag": f"team:{budget['teams'][0]}" if len(budget["teams"]) == 1 else "",
    }
    times = {"start_time": text_of(start), "end_time": text_of(end), "sort_by": "total_cost_usd"}
    return "/traces?" + urlencode({name: value for name, value in {"range": CUSTOM, **times, **scope}.items() if value})


def judged(budget: Mapping[str, Any], state: Mapping[str, Any]) -> dict[str, str]:
    """A budget's state in a word, and its colour."""
    coming = state.get("forecast") or {}
    if not state:
        return {"word": "not known", "tone": ""}
    if not budget["active"]:
        return {"word": "inactive", "tone": ""}
    if state["state"] == "scheduled":
        return {"word": "not begun", "tone": ""}
    if state["hard_stop_reached"]:
        return {"word": "stop", "tone": "bad"}
    if state["exceeded"]:
        return {"word": "exceeded", "tone": "bad"}
    if coming.get("forecast_to_exceed"):
        return {"word": "will be exceeded", "tone": "warn"}
    reached = [one["threshold"] for one in state["thresholds"] if one["reached"]]
    if reached:
        return {"word": f"past {Decimal(max(reached)) * 100:.0f}%", "tone": "warn"}
    return {"word": "within", "tone": "good"}


def scope_of(budget: Mapping[str, Any]) -> str:
    """Whose spans count, in words."""
    named = [
        f"{label} {', '.join(budget[name])}"
        for name, label in (
            ("projects", "project"),
            ("providers", "provider"),
            ("models", "model"),
            ("environments", "environment"),
            ("teams", "team"),
            ("users", "user"),
        )
        if budget[name]
    ]
    return "; ".join(named) or "everything"
