"""Schedules of exports: read, paused, run once, deleted. Who sets one up answers for it, so that is not done here."""

from __future__ import annotations

from typing import Any

from django.contrib import admin

from apps.exports import schedules
from apps.exports.admin.jobs import _json
from apps.exports.models import ExportSchedule
from apps.orgs.admin.audit import OrganizationFilter
from apps.orgs.admin.base import ServiceAdmin
from apps.orgs.admin.deeds import Deed
from apps.orgs.audit import Actor


def _run(actor: Actor, schedule: ExportSchedule) -> None:
    schedules.run_now(actor, schedules.owner(schedule)[1], schedule)


@admin.register(ExportSchedule)
class ExportScheduleAdmin(ServiceAdmin):
    object_type = "export_schedule"
    offers = frozenset({"delete"})
    findable = True
    deeds = {
        "pause": Deed("Pause it", "Pause the chosen schedules", "Paused", schedules.pause, lambda one: one.enabled),
        "run_now": Deed(
            "Run it now", "Run the chosen schedules now, with the rights of who set them up", "Asked for",
            _run,
        ),
    }  # fmt: skip
    list_display = ("name", "organization", "kind", "cron", "timezone", "period", "state", "next_run_at", "last_run_at")
    list_select_related = ("organization",)
    list_filter = ("enabled", "kind", OrganizationFilter)
    search_fields = ("name", "=organization__slug")
    sortable_by = ()
    ordering = ("-id",)
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

    def described(self, one: ExportSchedule) -> str:
        return f"{one.name}, of {one.organization}"

    def end(self, actor: Actor, present: Any) -> None:
        schedules.delete(actor, present)
