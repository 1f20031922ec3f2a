"""Repricing jobs: read, applied, undone. They are begun over the API."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.utils.html import format_html

from apps.costs.repricing.models import RepriceJob
from apps.costs.repricing.services import reprice_apply, reprice_undo
from apps.orgs.admin.audit import OrganizationFilter
from apps.orgs.admin.base import ServiceAdmin
from apps.orgs.admin.deeds import Deed
from apps.orgs.audit import Actor

UNDOABLE = (RepriceJob.State.APPLYING, RepriceJob.State.APPLIED, RepriceJob.State.FAILED)


def _apply(actor: Actor, job: RepriceJob) -> None:
    reprice_apply(actor=actor, job=job)


def _undo(actor: Actor, job: RepriceJob) -> None:
    reprice_undo(actor=actor, job=job)


@admin.register(RepriceJob)
class RepriceJobAdmin(ServiceAdmin):
    object_type = "reprice"
    list_display = ("id", "organization", "state", "start_time", "end_time", "author", "created_at", "applied_at")
    list_select_related = ("organization",)
    list_filter = ("state", OrganizationFilter)
    search_fields = ("=id", "=organization__slug")
    search_help_text = "Whole values: an id, or an organization's slug."
    sortable_by = ()
    ordering = ("-id",)
    deeds = {
        "apply": Deed("Apply it", "", "Applied, or at it", _apply, lambda job: job.state == RepriceJob.State.COUNTED),
        "undo": Deed("Undo it", "", "Undone, or at it", _undo, lambda job: job.state in UNDOABLE, danger=True),
    }
    fields = readonly_fields = (
        *("id", "organization", "state", "error", "start_time", "end_time", "project_ids", "providers", "model_names"),
        *("include_client_costs", "apply_at_once", "believed_at", "price_list", "author"),
        *("figures_counted", "figures_applied", "figures_undone"),
        *("created_at", "counted_at", "applied_at", "undone_at"),
    )

    @admin.display(description="counted")
    def figures_counted(self, job: RepriceJob) -> str:
        return _shown(job.counted)

    @admin.display(description="applied")
    def figures_applied(self, job: RepriceJob) -> str:
        return _shown(job.applied)

    @admin.display(description="undone")
    def figures_undone(self, job: RepriceJob) -> str:
        return _shown(job.undone)


def _shown(value: Any) -> str:
    return format_html("<pre>{}</pre>", json.dumps(value, indent=2, ensure_ascii=False)) if value else "-"
