"""Schedules of exports: read, paused, run once, deleted. Who sets one up answers for it, so that is not done here."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from apps.exports import schedules
from apps.exports.admin.jobs import _json
from apps.exports.models import ExportSchedule
from apps.orgs.admin.audit import OrganizationFilter
from apps.orgs.admin.base import BoundedPaginator, ServiceAdmin, each
from apps.orgs.audit import Actor, actor_of


@admin.register(ExportSchedule)
class ExportScheduleAdmin(ServiceAdmin):
    object_type = "export_schedule"
    offers = frozenset({"delete"})
    actions = ("pause", "run_now")
    list_display = ("name", "organization", "kind", "cron", "timezone", "period", "state", "next_run_at", "last_run_at")
    list_select_related = ("organization",)
    list_filter = ("enabled", "kind", OrganizationFilter)
    search_fields = ("name", "=organization__slug")
    sortable_by = ()
    ordering = ("-id",)
    paginator = BoundedPaginator
    fields = readonly_fields = (
        *("organization", "name", "kind", "cron", "timezone", "period", "content", "asked_for", "project_ids"),
        *("state", "next_run_at", "last_run_at", "author", "created_at", "updated_at"),
    )
    change_form_template = "admin/export_schedule.html"

    @admin.display
    def state(self, schedule: ExportSchedule) -> str:
        if schedule.enabled:
            return "runs"
        return f"paused: {schedule.paused_reason}" if schedule.paused_reason else "paused"

    @admin.display(description="body")
    def asked_for(self, schedule: ExportSchedule) -> str:
        return _json(schedule.body)

    @admin.action(description="Pause the chosen schedules", permissions=["superuser"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        def act(schedule: ExportSchedule) -> None:
            schedules.pause(actor_of(request), schedule)

        each(request, queryset, act, "Paused")

    @admin.action(
        description="Run the chosen schedules now, with the rights of who set them up", permissions=["superuser"]
    )
    def run_now(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        def act(schedule: ExportSchedule) -> None:
            schedules.run_now(actor_of(request), schedules.owner(schedule)[1], schedule)

        each(request, queryset, act, "Asked for")

    def end(self, actor: Actor, present: Any) -> None:
        schedules.delete(actor, present)
