"""Schedules of exports, to be read: who makes them has rights that a schedule keeps."""

from __future__ import annotations

from django.contrib import admin

from apps.exports.admin.jobs import _json
from apps.exports.models import ExportSchedule
from apps.orgs.admin.audit import OrganizationFilter
from apps.orgs.admin.base import BoundedPaginator, ServiceAdmin


@admin.register(ExportSchedule)
class ExportScheduleAdmin(ServiceAdmin):
    object_type = "schedule"
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
