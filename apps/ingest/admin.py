"""Dead letters under /admin/: which spans were refused and why, and the way to drive them in again."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin, messages
from django.db.models import Max, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html

from apps.common.errors import ApiError
from apps.ingest.letters import REASONS, state_of
from apps.ingest.models import DeadLetter
from apps.ingest.redrive import redrive_by
from apps.orgs.admin.base import ServiceAdmin
from apps.orgs.admin.deeds import Deed
from apps.orgs.audit import Actor, actor_of
from apps.orgs.models import Project

SOURCES = ("otlp", "json", "import")
MOST_PROJECTS = 200
# No index answers by reason, source or state: these look at the newest letters alone.
NEWEST = 100_000


class ProjectFilter(admin.SimpleListFilter):
    title = parameter_name = "project"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        projects = Project.objects.select_related("organization").order_by("organization__slug", "slug")
        return [(str(project.pk), str(project)) for project in projects[:MOST_PROJECTS]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = self.value()
        return queryset.filter(project_id=int(chosen)) if chosen and chosen.isdecimal() else queryset


class _Newest(admin.SimpleListFilter):
    """A filter that no index answers."""

    values: tuple[str, ...] = ()

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, value) for value in self.values]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() not in self.values:
            return queryset
        newest = DeadLetter.objects.aggregate(newest=Max("pk"))["newest"] or 0
        return self.chosen(queryset.filter(pk__gt=newest - NEWEST))

    def chosen(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(**{str(self.parameter_name): self.value()})


class ReasonFilter(_Newest):
    title = parameter_name = "reason"
    values = tuple(REASONS)  # asking the table for its distinct reasons would read all of it


class SourceFilter(_Newest):
    title = parameter_name = "source"
    values = SOURCES


class StateFilter(_Newest):
    title = parameter_name = "state"
    values = ("waiting", "redriven", "cut")

    def chosen(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "redriven":
            return queryset.filter(redriven_at__isnull=False)
        return queryset.filter(redriven_at__isnull=True, truncated=self.value() == "cut")


def _again(actor: Actor, letter: DeadLetter) -> None:
    made = redrive_by(actor, [letter.pk])
    if letter.pk in made.refused:
        raise ApiError(1200, f"Refused again: {made.refused[letter.pk]}.")
    if not made.stored:
        raise ApiError(1402, "It is a span already, or was cut and cannot be driven again.")


def _waits(letter: DeadLetter) -> bool:
    return state_of(letter) == "waiting"


@admin.register(DeadLetter)
class DeadLetterAdmin(ServiceAdmin):
    object_type = "dead_letter"
    list_display = ("id", "received_at", "project", "reason", "source", "state", "said", "trace_id")
    list_filter = (ReasonFilter, StateFilter, SourceFilter, ProjectFilter)
    search_fields = ("pk",)  # what is found is said below
    search_help_text = (
        "A whole number of a letter, or a whole trace id with a project chosen. "
        f"Reason, state and source look at the newest {NEWEST:,} letters."
    )
    sortable_by = ()
    actions = ("redrive",)
    deeds = {
        "redrive": Deed("Drive it in again", "", "It is a span now", _again, lambda one: state_of(one) == "waiting")
    }
    sheet = (
        "id",
        "received_at",
        "project",
        "reason",
        "message",
        "source",
        "state",
        "trace_id",
        "span_id",
        "redriven_at",
    )

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        shown = ("id", "received_at", "project", "source", "state", "reason", "message", "trace_id", "span_id")
        return (*shown, "redriven_at", *(("span",) if self.has_superuser_permission(request) else ()))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.get_fields(request, obj)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Without the span itself, which may be 64 kB and is for superusers."""
        return super().get_queryset(request).select_related("project__organization").defer("payload")

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """Newest first, in the order of an index."""
        return ("-received_at", "-id") if request.GET.get("project") else ("-id",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """By what an index answers."""
        term = search_term.strip()
        if not term:
            return queryset, False
        if request.GET.get("project"):
            return queryset.filter(trace_id=term), False
        number = int(term) if term.isascii() and term.isdecimal() and len(term) < 19 else 0
        return queryset.filter(pk=number), False

    @admin.display
    def state(self, letter: DeadLetter) -> str:
        return state_of(letter)

    @admin.display(description="message")
    def said(self, letter: DeadLetter) -> str:
        return letter.message if len(letter.message) <= 120 else f"{letter.message[:119]}…"

    @admin.display(description="the span as it was sent, redacted")
    def span(self, letter: DeadLetter) -> str:
        try:
            text = json.dumps(json.loads(letter.payload), indent=2, ensure_ascii=False)
        except ValueError:  # it was cut
            text = letter.payload
        return format_html("<details><summary>Show it</summary><pre>{}</pre></details>", text)

    def described(self, one: DeadLetter) -> str:
        return f"{one.reason}, number {one.pk}"

    @admin.action(description="Drive the chosen letters in again", permissions=["superuser"])
    def redrive(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        made = redrive_by(actor_of(request), queryset.order_by("pk").values_list("pk", flat=True))
        messages.success(request, f"Stored as spans: {made.stored}.")
        if made.refused:
            reasons = ", ".join(sorted(set(made.refused.values())))
            messages.warning(request, f"Refused again: {len(made.refused)} ({reasons}).")
        if made.left:
            messages.warning(request, f"Not reached in this time: {made.left}. Do it again for the others.")
