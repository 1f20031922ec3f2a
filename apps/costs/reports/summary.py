"""`/costs/summary`: where the money goes, and whether it is more than yesterday and last week."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any
from zoneinfo import ZoneInfo

import psycopg

from apps.common.reads.snapshot import snapshot
from apps.costs.reports.calendar import DAY, Calendar
from apps.costs.reports.figures import Figures
from apps.costs.reports.series import Report
from apps.costs.reports.traces import top_traces
from apps.metrics.finish import change_pct
from apps.metrics.runner import Answer, answer_in, check_kept
from apps.metrics.spec import QuerySpec
from apps.metrics.summary import share

TOP = 10
DIVIDED = ("provider", "model", "environment")
Daily = Mapping[date, Figures]
_WIDE = Context(prec=60, rounding=ROUND_HALF_EVEN)
_PLACES = Decimal("1e-12")


def calendar_of(base: QuerySpec) -> Calendar:
    return Calendar(ZoneInfo(base.tz), base.start, base.end)


def earliest(base: QuerySpec) -> QuerySpec:
    """A question that reaches back as far as any part of the summary."""
    calendar = calendar_of(base)
    return replace(base, start=calendar.midnight(calendar.first), group_by=("environment",))


def summarize(base: QuerySpec, *, with_traces: bool) -> Report:
    """The summary of a question's range, projects and filters.

    Formulas: docs/costs.md. Minimum sample: none; every rate is null where what it divides by is 0.

    Args:
        with_traces: show the dearest traces.

    Raises:
        ApiError: as `apps.metrics.runner.answer`.
    """
    check_kept(base)
    calendar = calendar_of(base)
    with snapshot() as cursor:
        groups = answer_in(cursor, replace(base, group_by=DIVIDED))
        reach = replace(base, start=calendar.midnight(calendar.first), interval="1day")
        days = answer_in(cursor, reach)
        answers = [groups, days]
        daily = {calendar.local(row["timestamp"]): Figures.of(row) for row in days.rows}
        before = [_same_part(cursor, base, calendar, daily, back, answers) for back in (1, 7)]
        traces = top_traces(cursor, base) if with_traces else None
    found = [(row, Figures.of(row)) for row in groups.rows]
    total = Figures.total(figures for _, figures in found)
    blocks = {
        "totals": {**total.shown(), **_rates(total)},
        "day_over_day": _against(calendar, daily, 1, before[0]),
        "week_over_week": _against(calendar, daily, 7, before[1]),
        **{f"by_{name}": _divided(found, name, total) for name in DIVIDED},
        "daily_trend": _days(calendar, daily),
        "weekly_trend": _weeks(calendar, daily),
        "top_traces": traces,
    }
    return Report(blocks, tuple(answers))


def _same_part(
    cursor: psycopg.Cursor[Any], base: QuerySpec, calendar: Calendar, daily: Daily, back: int, answers: list[Answer]
) -> Figures:
    """The day so many days before the last one, as far as the last one goes."""
    day = calendar.today - back * DAY
    if calendar.whole:
        return daily.get(day, Figures.nothing())
    start, end = calendar.midnight(day), calendar.back(back)
    if start >= end:
        return Figures.nothing()
    made = answer_in(cursor, replace(base, start=start, end=end))
    answers.append(made)
    return Figures.of(made.rows[0])


def _sum(daily: Daily, days: Sequence[date]) -> Figures:
    return Figures.total(daily.get(day, Figures.nothing()) for day in days)


def _against(calendar: Calendar, daily: Daily, length: int, part: Figures) -> dict[str, Any]:
    """So many days, the last one as far as it goes, beside as many days before them, cut alike."""
    today = calendar.today
    now = _sum(daily, [today - n * DAY for n in range(length)])
    before = _sum(daily, [today - (length + n) * DAY for n in range(1, length)]) + part
    return {
        "current": _period(calendar.midnight(today - (length - 1) * DAY), calendar.end, now),
        "previous": _period(calendar.midnight(today - (2 * length - 1) * DAY), calendar.back(length), before),
        "change_usd": now.cost - before.cost,
        "change_pct": change_pct(now.cost, before.cost),
    }


def _period(start: datetime, end: datetime, figures: Figures) -> dict[str, Any]:
    return {
        "start_time": start,
        "end_time": end,
        "total_cost_usd": figures.value("total_cost_usd"),
        "requests": figures.requests,
    }


def _rates(total: Figures) -> dict[str, Any]:
    tokens = total.value("total_tokens")
    unpriced = total.requests - total.priced
    return {
        "unpriced_requests": unpriced,
        "unpriced_share": round(unpriced / total.requests, 6) if total.requests else None,
        "cost_per_request_usd": _quotient(total.cost, total.priced),
        "cost_per_1k_tokens_usd": _quotient(total.cost * 1000, tokens) if total.priced else None,
    }


def _quotient(value: Decimal, by: Decimal | int | None) -> Decimal | None:
    return _WIDE.divide(value, Decimal(by)).quantize(_PLACES, context=_WIDE) if by else None


def _divided(found: Sequence[tuple[Mapping[str, Any], Figures]], name: str, total: Figures) -> dict[str, Any]:
    """The dearest values of a dimension, and all others together: the sum is the total."""
    sums: dict[str | None, Figures] = {}
    for row, figures in found:
        sums[row[name]] = sums.get(row[name], Figures.nothing()) + figures
    ranked = sorted(sums.items(), key=lambda item: (-item[1].cost, -item[1].requests, item[0] or ""))
    rest = Figures.total(figures for _, figures in ranked[TOP:])
    return {
        "data": [{"value": value, **_shared(figures, total)} for value, figures in ranked[:TOP]],
        "others": {"groups": len(ranked[TOP:]), **_shared(rest, total)},
    }


def _shared(figures: Figures, total: Figures) -> dict[str, Any]:
    return {
        "total_cost_usd": figures.value("total_cost_usd"),
        "requests": figures.requests,
        "share": share(figures.cost, total.cost),
    }


def _days(calendar: Calendar, daily: Daily) -> list[dict[str, Any]]:
    made = []
    for day in calendar.days():
        complete = calendar.midnight(day + DAY) <= calendar.end
        now, before = daily.get(day, Figures.nothing()), daily.get(day - DAY, Figures.nothing())
        made.append({"date": day.isoformat(), **_point(calendar.midnight(day), now, before, complete=complete)})
    return made


def _weeks(calendar: Calendar, daily: Daily) -> list[dict[str, Any]]:
    made = []
    for monday in calendar.weeks:
        now, before = (_sum(daily, [monday + n * DAY for n in span]) for span in (range(7), range(-7, 0)))
        complete = calendar.midnight(monday + 7 * DAY) <= calendar.end
        made.append(
            {"week_of": monday.isoformat(), **_point(calendar.midnight(monday), now, before, complete=complete)}
        )
    return made


def _point(start: datetime, now: Figures, before: Figures, *, complete: bool) -> dict[str, Any]:
    return {
        "start_time": start,
        "total_cost_usd": now.value("total_cost_usd"),
        "requests": now.requests,
        "complete": complete,
        "growth_pct": change_pct(now.cost, before.cost) if complete else None,
    }
