"""`/api/v1/export/schedules`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.urls import URLPattern, path
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.parameters import check_parameters
from apps.common.reads import fields, paging
from apps.common.reads.reading import bad
from apps.exports import schedules
from apps.exports.api import schedules_openapi as openapi
from apps.exports.api.jobs import accepted
from apps.exports.models import ExportSchedule
from apps.exports.rights import schedules_of
from apps.exports.spec import CONTENT, KINDS
from apps.exports.times import PERIODS
from apps.orgs.access import Principal
from apps.orgs.api.base import HIGHEST_ID, Body, Choice, Flag, Text, View, body, existing, nothing
from apps.orgs.models import Project


@extend_schema_field({"type": "object", "additionalProperties": True})
class Asked(serializers.JSONField):
    """What would be posted to export it once."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, Mapping):
            raise bad("export", "export must be a JSON object: what would be posted to export it.", 1203)
        return data


class ScheduleChange(Body):
    """What can be set of a schedule; `kind` when it is made."""

    name = Text(max_length=200)
    cron = Text(max_length=100, help_text="Five fields: minute, hour, day of the month, month, day of the week")
    timezone = Text(max_length=64, required=False, help_text="IANA name; UTC if not given")
    period = Choice(PERIODS, help_text="The range of each run, in timezone")
    export = Asked(required=False, source="body", help_text="What would be posted, without a range")
    enabled = Flag(required=False, help_text="A paused one runs again once it is true")


class NewSchedule(ScheduleChange):
    """A schedule to make."""

    kind = Choice(KINDS)


def shown(schedule: ExportSchedule, slugs: Mapping[int, str], principal: Principal) -> dict[str, Any]:
    """A schedule as answers have it. Filters may be words of a text: they are for those who may read texts."""
    readable = not schedule.content or CONTENT in principal.permissions
    return {
        "id": schedule.pk,
        "name": schedule.name,
        "kind": schedule.kind,
        "cron": schedule.cron,
        "timezone": schedule.timezone,
        "period": schedule.period,
        "export": schedule.body if readable else None,
        "projects": sorted(slugs.get(number, str(number)) for number in schedule.project_ids),
        "contains_content": schedule.content,
        "enabled": schedule.enabled,
        "paused_reason": schedule.paused_reason or None,
        "next_run_at": schedule.next_run_at,
        "last_run_at": schedule.last_run_at,
        "created_by": schedule.author,
        "created_at": schedule.created_at,
        "updated_at": schedule.updated_at,
    }


class _Schedules(View):
    def found(self, principal: Principal, number: int) -> ExportSchedule:
        rows = schedules_of(principal)
        return existing(rows.filter(pk=number).first() if number <= HIGHEST_ID else None, "schedule")

    @staticmethod
    def one(schedule: ExportSchedule, principal: Principal, code: int = 200) -> Response:
        slugs = dict(Project.objects.filter(pk__in=schedule.project_ids).values_list("pk", "slug"))
        return Response(shown(schedule, slugs, principal), status=code)


class SchedulesView(_Schedules):
    required_permission = {"GET": "exports:read", "POST": "exports:create"}

    @extend_schema(**openapi.LIST)
    def get(self, request: Request) -> Response:
        check_parameters(request, {fields.NAME, *paging.NAMES})
        chosen = fields.requested(request, openapi.NAMES)
        principal = self.principal(request)
        page = paging.paginate(request, schedules_of(principal))
        projects = Project.objects.filter(organization_id=principal.organization_id)
        slugs = dict(projects.values_list("pk", "slug"))
        rows = [shown(schedule, slugs, principal) for schedule in page.rows]
        return Response(fields.keep(chosen, {"data": rows, "pagination": page.pagination}))

    @extend_schema(**openapi.creating(NewSchedule))
    def post(self, request: Request) -> Response:
        given = body(request, NewSchedule)
        kind = given.pop("kind")
        principal = self.principal(request)
        return self.one(schedules.create(self.actor(request), principal, kind, given), principal, 201)


class ScheduleView(_Schedules):
    required_permission = {"GET": "exports:read", "PATCH": "exports:create", "DELETE": "exports:cancel"}

    @extend_schema(**openapi.ONE)
    def get(self, request: Request, number: int) -> Response:
        check_parameters(request, {fields.NAME})
        chosen = fields.requested(request, openapi.NAMES)
        principal = self.principal(request)
        answer = self.one(self.found(principal, number), principal)
        return Response(fields.keep(chosen, answer.data))

    @extend_schema(**openapi.changing(ScheduleChange))
    def patch(self, request: Request, number: int) -> Response:
        given = body(request, ScheduleChange, partial=True)
        principal = self.principal(request)
        return self.one(
            schedules.update(self.actor(request), principal, self.found(principal, number), given), principal
        )

    @extend_schema(**openapi.DELETE)
    def delete(self, request: Request, number: int) -> Response:
        nothing(request)
        schedules.delete(self.actor(request), self.found(self.principal(request), number))
        return Response(status=204)


class RunView(_Schedules):
    required_permission = {"POST": "exports:create"}
    bucket = "export"

    @extend_schema(**openapi.RUN)
    def post(self, request: Request, number: int) -> Response:
        nothing(request)
        principal = self.principal(request)
        return accepted(schedules.run_now(self.actor(request), principal, self.found(principal, number)))


urlpatterns: list[URLPattern] = [
    path("api/v1/export/schedules", SchedulesView.as_view(), name="export-schedules"),
    path("api/v1/export/schedules/<int:number>", ScheduleView.as_view(), name="export-schedule"),
    path("api/v1/export/schedules/<int:number>/run", RunView.as_view(), name="export-schedule-run"),
]
