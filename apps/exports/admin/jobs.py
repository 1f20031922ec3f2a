"""Export jobs: found, read with their manifest, cancelled, asked for again, downloaded."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.template.defaultfilters import filesizeformat
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join

from apps.common.errors import ApiError
from apps.exports.api.ranges import Part
from apps.exports.api.sending import answer
from apps.exports.jobs import services
from apps.exports.models import ExportJob
from apps.orgs.admin.audit import OrganizationFilter
from apps.orgs.admin.base import ServiceAdmin
from apps.orgs.admin.deeds import Deed
from apps.orgs.audit import Actor, actor_of, record

if TYPE_CHECKING:
    from rest_framework.request import Request

Status = ExportJob.Status
_STATE = ("id", "organization", "schedule", "status", "rows", "error", "author")
_ASKED = ("kind", "projects", "start_time", "end_time", "format", "compression", "columns", "content", "question")
_FILE = ("file_name", "row_count", "size", "sha256", "expires_at")
_WORK = (
    *("created_at", "started_at", "completed_at", "heartbeat_at", "deadline_at", "not_before"),
    *("attempt", "failures", "estimated_rows"),
)


@admin.register(ExportJob)
class ExportJobAdmin(ServiceAdmin):
    object_type = "export"
    findable = True
    sheet = (
        *("pk", "created_at", "organization", "kind", "format", "compression", "project_ids", "start_time", "end_time"),
        *("status", "row_count", "file_size_bytes", "content", "author", "started_at", "completed_at", "expires_at"),
        *("attempt", "failures", "error"),
    )
    deeds = {
        "cancel": Deed(
            "Cancel it", "Cancel the chosen exports", "Cancelled", services.cancel,
            lambda job: job.status in ExportJob.ACTIVE,
        ),
        "rerun": Deed(
            "Ask for it again", "Ask for the chosen exports again", "Asked for again", services.rerun,
        ),
        "delete_file": Deed(
            "Delete its file", "Delete the files of the chosen exports", "Deleted the file of", services.delete,
            lambda job: job.status == Status.COMPLETED, danger=True,
        ),
    }  # fmt: skip
    list_display = ("short_id", "created", "organization", "kind", "format", "status", "rows", "size", "author")
    list_display_links = ("short_id",)
    list_select_related = ("organization",)
    list_filter = ("status", "kind", "format", "content", "created_at", OrganizationFilter)
    search_fields = ("pk",)  # what is found is said below
    search_help_text = "A whole id, or an organization's slug."
    sortable_by = ()
    ordering = ("-created_at",)
    change_form_template = "admin/export_job.html"
    fieldsets = (
        (None, {"fields": _STATE}),
        ("What was asked for", {"fields": _ASKED}),
        ("The file", {"fields": _FILE}),
        ("The work on it", {"fields": _WORK}),
        ("Manifest", {"fields": ("proof", "manifest_text")}),
    )
    readonly_fields = (*_STATE, *_ASKED, *_FILE, *_WORK, "proof", "manifest_text")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Without what only the page of one job shows."""
        return super().get_queryset(request).defer("manifest", "asked", "stored")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """By whole values alone, which indexes answer."""
        term = search_term.strip()
        if not term:
            return queryset, False
        try:
            return queryset.filter(pk=UUID(term)), False
        except ValueError:
            return queryset.filter(organization__slug=term), False

    # -- what is shown

    @admin.display(description="id", ordering=None)
    def short_id(self, job: ExportJob) -> str:
        return str(job.pk)[:8]

    @admin.display
    def rows(self, job: ExportJob) -> str:
        if job.row_count is not None:
            return f"{job.row_count:,}"
        if not job.rows_done and job.rows_total is None:
            return "-"
        return f"{job.rows_done:,}" + (f" of {job.rows_total:,}" if job.rows_total is not None else "")

    @admin.display
    def created(self, job: ExportJob) -> str:
        return date_format(job.created_at, "Y-m-d H:i")

    @admin.display
    def size(self, job: ExportJob) -> str:
        return "-" if job.file_size_bytes is None else filesizeformat(job.file_size_bytes)

    @admin.display
    def projects(self, job: ExportJob) -> str:
        return ", ".join(slug for _, slug in job.spec.projects)

    @admin.display(description="fields")
    def columns(self, job: ExportJob) -> str:
        return ", ".join(job.spec.fields)

    @admin.display
    def question(self, job: ExportJob) -> str:
        asked = {name: job.asked.get(name) for name in ("question", "limit", "cut_long_cells")}
        return _json({name: value for name, value in asked.items() if value})

    @admin.display(description="proof")
    def proof(self, job: ExportJob) -> str:
        """The sums side by side, as they were compared."""
        found = (job.manifest or {}).get("proof") or {}
        sides = [side for side in ("written", "sql", "engine") if isinstance(found.get(side), dict)]
        if not sides:
            return "-"
        names = list(dict.fromkeys(name for side in sides for name in found[side]))
        head = format_html_join("", '<th scope="col">{}</th>', ((side,) for side in sides))
        rows = [
            (name, format_html_join("", "<td>{}</td>", ((_figure(found[side].get(name)),) for side in sides)))
            for name in names
        ]
        body = format_html_join("", '<tr><th scope="row">{}</th>{}</tr>', rows)
        missing = format_html_join("", "<p>{}: {}</p>", (found.get("not_compared") or {}).items())
        table = format_html("<table><thead><tr><td></td>{}</tr></thead><tbody>{}</tbody></table>", head, body)
        return format_html('<div class="wide" tabindex="0">{}</div>{}', table, missing)

    @admin.display(description="as JSON")
    def manifest_text(self, job: ExportJob) -> str:
        if job.manifest is None:
            return "-"
        return format_html("<details><summary>All of it</summary>{}</details>", _json(job.manifest))

    def described(self, one: ExportJob) -> str:
        return f"{one.kind} as {one.format} of {one.organization}, {one.status}: {str(one.pk)[:8]}"

    # -- what is done

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.download)
        return [path("<uuid:pk>/download/", view, name="exports_exportjob_download"), *super().get_urls()]

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        job = self.get_object(request, object_id) if self.has_superuser_permission(request) else None
        offered = {"can_download": job is not None and job.status == Status.COMPLETED}
        return super().change_view(request, object_id, form_url, {**offered, **(extra_context or {})})

    def download(self, request: HttpRequest, pk: UUID) -> HttpResponseBase:
        """The file, for those who run the installation; who took it is in the audit log."""
        if not self.has_superuser_permission(request):
            raise PermissionDenied
        job = get_object_or_404(ExportJob, pk=pk, status=Status.COMPLETED, expires_at__gt=timezone.now())

        def taken(part: Part) -> None:
            _taken(actor_of(request), job, part)

        try:
            return answer(cast("Request", request), job, taken)
        except ApiError as error:
            messages.error(request, error.message)
            return redirect("admin:exports_exportjob_change", job.pk)


def _taken(actor: Actor, job: ExportJob, part: Part) -> None:
    record(
        actor,
        "export.download",
        organization_id=job.organization_id,
        object_type="export",
        object_id=str(job.pk),
        object_name=job.file_name,
        after={"by": "admin", "kind": job.kind, "content": job.content, "start": part.start, "end": part.end},
    )


def _figure(value: Any) -> str:
    return "-" if value is None else str(value)


def _json(value: Any) -> str:
    return format_html("<pre>{}</pre>", json.dumps(value, indent=2, ensure_ascii=False))
