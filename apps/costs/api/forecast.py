"""`GET /api/v1/costs/forecast`: what a request asks for, as the report's arguments."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.request import Request

from apps.common.parameters import check_parameters, whole
from apps.common.reads import fields, reading
from apps.common.reads.reading import Problems, bad, choice
from apps.common.reads.schemas import names
from apps.costs.api import forecast_openapi as openapi
from apps.costs.api.reports import CostsRead
from apps.costs.daily import DAY, MOST_DAYS, day_of, midnight, version_of_days
from apps.costs.outlook import MOST_DAYS_AHEAD, Asked, add_months, outlook
from apps.costs.reports import question
from apps.metrics import parse
from apps.metrics.spec import QuerySpec
from apps.orgs.scopes import Scope, principal_of, scope_of, single_values
from apps.orgs.views import Question

PERIODS = ("next_week", "next_month", "next_quarter", "custom")


@extend_schema_view(get=extend_schema(**openapi.FORECAST))
class ForecastView(CostsRead):
    """`GET /api/v1/costs/forecast`."""

    def question(self, request: Request, **_: Any) -> Question:
        check_parameters(request, (*openapi.PARAMETERS, fields.NAME))
        source = single_values(request)
        scope = scope_of(principal_of(request), source.get("project"))
        base, asked = asked_of(source, scope, datetime.now(UTC))

        def compute() -> Mapping[str, Any]:
            report = outlook(base, asked)
            more = {"timezone": base.tz, "currency": "USD", "forecast_period": asked.period}
            return {"metadata": report.metadata(base, **more), **report.blocks}

        return Question((base, asked), compute, FORECAST_NAMES, lambda: version_of_days(base))


def asked_of(source: Mapping[str, str], scope: Scope, now: datetime) -> tuple[QuerySpec, Asked]:
    """The history that is read and the days that are wanted.

    Raises:
        ApiError: whatever is wrong with the parameters.
    """
    problems = Problems()
    zone = problems.take(lambda: reading.zone(source.get("timezone")), "UTC")
    today = day_of(now, ZoneInfo(zone))
    asked = problems.take(lambda: _days(source, today), None)
    filters = problems.take(lambda: question.filters_of(source), ())
    problems.check()
    assert asked is not None
    projects, filters = parse.projects_and_filters(scope, filters)
    base = QuerySpec(
        organization_id=scope.organization_id,
        project_ids=tuple(sorted(projects.values())),
        projects=tuple(sorted((number, slug) for slug, number in projects.items())),
        start=midnight(today - MOST_DAYS * DAY, ZoneInfo(zone)),
        end=midnight(today + DAY, ZoneInfo(zone)),
        metrics=(),
        tz=zone,
        filters=filters,
    )
    return base, asked


def _days(source: Mapping[str, str], today: date) -> Asked:
    own = [name for name in ("days", "forecast_end") if name in source]
    period = choice(source.get("forecast_period", "custom" if own else "next_month"), PERIODS, "forecast_period")
    if period != "custom":
        if own:
            raise bad(own[0], f"{own[0]} goes with forecast_period=custom.")
        months = {"next_month": 1, "next_quarter": 3}.get(period)
        end = today + timedelta(days=7) if months is None else add_months(today, months)
        return Asked(period, today, (end - today).days)
    if len(own) != 1:
        raise bad("days", "With forecast_period=custom give days or forecast_end.", 1201 if not own else 1202)
    if own == ["days"]:
        return Asked(period, today, whole(source["days"], "days", least=1, most=MOST_DAYS_AHEAD))
    try:
        last = date.fromisoformat(source["forecast_end"])
    except ValueError:
        raise bad("forecast_end", "forecast_end must be a date such as 2026-12-31.", 1203) from None
    days = (last - today).days + 1
    if not 1 <= days <= MOST_DAYS_AHEAD:
        raise bad("forecast_end", f"forecast_end must be today or up to {MOST_DAYS_AHEAD - 1} days later.", 1204)
    return Asked(period, today, days)


FORECAST_NAMES = names(openapi.FORECAST)
