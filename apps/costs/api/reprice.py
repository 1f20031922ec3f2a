"""`/api/v1/costs/reprice`: costs of a range computed anew, counted first, applied, undone."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

from django.db.models import QuerySet
from django.urls import URLPattern, path
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field, extend_schema_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.errors import ApiError
from apps.common.reads import paging
from apps.common.reads.reading import EARLIEST, LATEST, bad
from apps.costs.repricing.figures import Figures
from apps.costs.repricing.models import RepriceJob
from apps.costs.repricing.services import reprice_apply, reprice_count, reprice_undo
from apps.costs.repricing.work import raw_floors
from apps.orgs.api.base import (
    HIGHEST_ID,
    LIST,
    ONE,
    Body,
    Flag,
    Moment,
    View,
    body,
    documented,
    existing,
    many,
    nothing,
    one,
)
from apps.orgs.models import Project
from apps.orgs.scopes import scope_of

TAG = "costs"
MAX_NAMES = 100
_TEXTS: dict[str, Any] = {"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}


@extend_schema_field(_TEXTS)
class Names(serializers.Field[Any, Any, Any, Any]):
    """A text, or a list of texts."""

    def to_internal_value(self, data: Any) -> list[str]:
        names = [data] if isinstance(data, str) else data
        if not isinstance(names, list) or not 0 < len(names) <= MAX_NAMES:
            raise bad(
                str(self.field_name), f"{self.field_name} must be a text or a list of 1 to {MAX_NAMES} texts.", 1203
            )
        for name in names:
            if not isinstance(name, str) or not 0 < len(name) <= 256 or "\x00" in name:
                raise bad(str(self.field_name), f"{self.field_name} holds texts of 1 to 256 characters.", 1203)
        return names


class Money(serializers.Field[Any, Any, Any, Any]):
    """Dollars as an exact JSON number."""

    def to_representation(self, value: Any) -> Decimal:
        return Decimal(value)


_MONEY = extend_schema_field({"type": "number"})(Money)


class Counts(serializers.Serializer[Any]):
    """What a repricing comes to."""

    spans = serializers.IntegerField(help_text="Billable spans looked at")
    changed = serializers.IntegerField(help_text="Of them, those whose cost differs")
    newly_priced = serializers.IntegerField()
    newly_unpriced = serializers.IntegerField()
    client_costs_kept = serializers.IntegerField(help_text="Spans whose sender's cost stays their total")
    unpriced_after = serializers.IntegerField()
    cost_before_usd = _MONEY()
    cost_after_usd = _MONEY()
    change_usd = _MONEY()


class ModelCounts(Counts):
    """The same for one model."""

    provider = serializers.CharField(allow_null=True)
    model = serializers.CharField(allow_null=True)


class WholeCounts(Counts):
    """The whole, and by model."""

    by_model = ModelCounts(many=True, help_text="The greatest change first; beyond 500 models together")


class Undone(serializers.Serializer[Any]):
    """What an undoing did."""

    restored = serializers.IntegerField(help_text="Spans that have the cost again that they had")
    left = serializers.IntegerField(help_text="Spans replaced or deleted since, left as they are")


class Filters(serializers.Serializer[Any]):
    """Which spans."""

    provider = serializers.ListField(child=serializers.CharField(), source="providers")
    model = serializers.ListField(child=serializers.CharField(), source="model_names")
    project = serializers.SerializerMethodField()

    @extend_schema_field({"type": "array", "items": {"type": "string"}})
    def get_project(self, job: RepriceJob) -> list[str]:
        """Slugs."""
        known: dict[str, Any] = self.root.__dict__
        if "slugs" not in known:  # once an answer, whose jobs are of one organization
            projects = Project.objects.filter(organization_id=job.organization_id)
            known["slugs"] = dict(projects.values_list("pk", "slug"))
        return sorted(known["slugs"][project] for project in job.project_ids if project in known["slugs"])


_COUNTED = {
    "spans": 120_000,
    "changed": 80_000,
    "newly_priced": 0,
    "newly_unpriced": 0,
    "client_costs_kept": 10,
    "unpriced_after": 3,
    "cost_before_usd": 310.5,
    "cost_after_usd": 248.4,
    "change_usd": -62.1,
}
_JOB: dict[str, Any] = {
    "id": 7,
    "state": "counted",
    "start_time": "2026-10-01T00:00:00Z",
    "end_time": "2026-11-01T00:00:00Z",
    "filters": {"provider": ["openai"], "model": [], "project": ["default"]},
    "include_client_costs": False,
    "counted": {**_COUNTED, "by_model": [{"provider": "openai", "model": "gpt-4o", **_COUNTED}]},
    "applied": None,
    "undone": None,
    "done_until": None,
    "book_at": "2026-11-05T10:00:00Z",
    "price_list": "genai-prices:0.2.3",
    "raw_from": "2026-08-07T00:00:00Z",
    "older_than_retention": False,
    "author": "ada@acme.example",
    "error": None,
    "created_at": "2026-11-05T10:00:00Z",
    "counted_at": "2026-11-05T10:00:02Z",
    "applied_at": None,
    "undone_at": None,
}


def _answers(value: dict[str, Any]) -> Any:
    example = OpenApiExample("Such as", value=value, response_only=True, status_codes=["200", "202"])
    return extend_schema_serializer(examples=[example])


@_answers(_JOB)
class Job(serializers.Serializer[Any]):
    """A repricing."""

    id = serializers.IntegerField()
    state = serializers.ChoiceField(RepriceJob.State.choices)
    start_time = serializers.DateTimeField()
    end_time = serializers.DateTimeField()
    filters = Filters(source="*")
    include_client_costs = serializers.BooleanField()
    counted = serializers.SerializerMethodField()
    applied = serializers.SerializerMethodField()
    undone = serializers.SerializerMethodField()
    done_until = serializers.SerializerMethodField()
    book_at = serializers.DateTimeField(source="believed_at", help_text="The price book is read as of this time")
    price_list = serializers.CharField()
    raw_from = serializers.SerializerMethodField()
    older_than_retention = serializers.SerializerMethodField()
    author = serializers.CharField()
    error = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()
    counted_at = serializers.DateTimeField(allow_null=True)
    applied_at = serializers.DateTimeField(allow_null=True)
    undone_at = serializers.DateTimeField(allow_null=True)

    @extend_schema_field(WholeCounts(allow_null=True))
    def get_counted(self, job: RepriceJob) -> Any:
        """What it would change; so far, while it is counting"""
        return Figures(job.counted).shown() if job.counted else None

    @extend_schema_field(WholeCounts(allow_null=True))
    def get_applied(self, job: RepriceJob) -> Any:
        """What it changed; so far, while it is applying"""
        return Figures(job.applied).shown() if job.applied else None

    @extend_schema_field(Undone(allow_null=True))
    def get_undone(self, job: RepriceJob) -> Any:
        """What was undone"""
        return job.undone or None

    @extend_schema_field({"type": ["string", "null"], "format": "date-time"})
    def get_done_until(self, job: RepriceJob) -> Any:
        """How far counting or applying came, project by project; null where it is not under way"""
        return datetime.fromisoformat(job.position[1]) if job.position else None

    @extend_schema_field({"type": "string", "format": "date-time"})
    def get_raw_from(self, job: RepriceJob) -> Any:
        """Raw spans are kept from here on: what is older cannot be repriced"""
        floor, own = _floors(self)
        return min(own.get(project, floor) for project in job.project_ids) if job.project_ids else floor

    @extend_schema_field({"type": "boolean"})
    def get_older_than_retention(self, job: RepriceJob) -> bool:
        """Whether a part of the range is older than a project's raw spans and stays as it is"""
        floor, own = _floors(self)
        return any(job.start_time < own.get(project, floor) for project in job.project_ids)

    @extend_schema_field({"type": ["string", "null"]})
    def get_error(self, job: RepriceJob) -> str | None:
        """Why it failed"""
        return job.error or None


@_answers({"data": [_JOB], "pagination": {"limit": 50, "next_cursor": None, "has_more": False}})
class RepricePage(serializers.Serializer[Any]):
    """A page of repricings."""

    data = Job(many=True)  # type: ignore[assignment]
    pagination = paging.Pagination()


def _floors(serializer: serializers.BaseSerializer[Any]) -> tuple[datetime, dict[int, datetime]]:
    """Looked up once an answer."""
    known: dict[str, Any] = serializer.root.__dict__
    if "raw_floors" not in known:
        known["raw_floors"] = raw_floors(timezone.now())
    found: tuple[datetime, dict[int, datetime]] = known["raw_floors"]
    return found


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "What a back-dated price would change",
            value={"start_time": "2026-10-01T00:00:00Z", "end_time": "2026-11-01T00:00:00Z", "provider": "openai"},
            request_only=True,
        )
    ]
)
class NewJob(Body):
    """A range to reprice."""

    start_time = Moment()
    end_time = Moment(required=False, help_text="Now if not given")
    provider = Names(required=False)
    model = Names(required=False, help_text="As the spans name it")
    project = Names(required=False, help_text="Slugs; all that you see if not given")
    include_client_costs = Flag(required=False, default=False, help_text="Replace the costs that senders gave, too")
    dry_run = Flag(required=False, default=True, help_text="Only count; false: count, then apply at once")


class _JobsView(View):
    def rows(self, request: Request) -> QuerySet[RepriceJob]:
        """The jobs of the caller's organization over projects that the caller sees."""
        principal = self.principal(request)
        rows = RepriceJob.objects.filter(organization_id=principal.organization_id)
        if principal.all_projects:
            return rows
        return rows.filter(project_ids__contained_by=sorted(principal.project_ids.values()))

    def found(self, request: Request, number: int) -> RepriceJob:
        """A job by id."""
        rows = self.rows(request).filter(pk=number) if number <= HIGHEST_ID else self.rows(request).none()
        return existing(rows.first(), "repricing")


def _answer(job: RepriceJob) -> Response:
    """202 while it is under way."""
    return Response(Job(job).data, status=202 if job.state in RepriceJob.ACTIVE else 200)


_ANSWERS = {200: Job, 202: Job}
_UNDER_WAY = "202 where it takes longer than a few seconds: a worker goes on with it, and GET tells how far it is."


class RepriceView(_JobsView):
    required_permission = {"GET": "costs:read", "POST": "costs:manage"}

    @documented(
        "costs_reprice_list",
        "Repricings",
        TAG,
        RepricePage,
        parameters=LIST,
        description="The newest first.",
    )
    def get(self, request: Request) -> Response:
        return many(request, Job, self.rows(request), paging.Order("id", descending=True))

    @extend_schema(
        operation_id="costs_reprice",
        summary="Count what other prices would change",
        tags=[TAG],
        request=NewJob,
        responses=_ANSWERS,
        description="Computes the costs of the range's spans anew, by the price book and the price list as they are "
        "now, and counts what would change. Nothing is changed before `/apply`, unless `dry_run` is false. One "
        f"repricing of an organization is under way at a time (409). {_UNDER_WAY}",
        extensions={"x-errors": [400, 404, 409]},
    )
    def post(self, request: Request) -> Response:
        given = body(request, NewJob)
        start, end = given["start_time"], given.get("end_time") or timezone.now()
        for name, moment in (("start_time", start), ("end_time", end)):
            if not EARLIEST <= moment.year <= LATEST:
                raise ApiError(1204, f"{name} must lie in the years {EARLIEST} to {LATEST}.", field=name)
        if start >= end:
            raise ApiError(1204, "end_time must be after start_time.", field="end_time")
        slugs = given.get("project")
        scope = scope_of(self.principal(request), ",".join(slugs) if slugs else None)
        job = reprice_count(
            actor=self.actor(request),
            organization_id=scope.organization_id,
            project_ids=list(scope.projects.values()),
            start=start,
            end=end,
            providers=given.get("provider", ()),
            models=given.get("model", ()),
            include_client_costs=given["include_client_costs"],
            apply_at_once=not given["dry_run"],
        )
        return _answer(job)


class RepriceJobView(_JobsView):
    required_permission = {"GET": "costs:read"}

    @documented("costs_reprice_read", "One repricing", TAG, Job, parameters=ONE)
    def get(self, request: Request, number: int) -> Response:
        return one(request, Job, partial(self.found, request, number))


class ApplyView(_JobsView):
    required_permission = {"POST": "costs:manage"}

    @extend_schema(
        operation_id="costs_reprice_apply",
        summary="Apply a repricing that was counted",
        tags=[TAG],
        request=None,
        responses=_ANSWERS,
        description="409 where prices have changed since it was counted. It begins once every process prices by the "
        f"newest book, 40 seconds after the book's last change. {_UNDER_WAY}",
        extensions={"x-errors": [400, 404, 409]},
    )
    def post(self, request: Request, number: int) -> Response:
        nothing(request)
        return _answer(reprice_apply(actor=self.actor(request), job=self.found(request, number)))


class UndoView(_JobsView):
    required_permission = {"POST": "costs:manage"}

    @extend_schema(
        operation_id="costs_reprice_undo",
        summary="Undo a repricing",
        tags=[TAG],
        request=None,
        responses=_ANSWERS,
        description="Spans have the costs again that they had, also where it was cut off; those that were replaced or "
        f"deleted since are left and counted. Within 90 days, the latest first. {_UNDER_WAY}",
        extensions={"x-errors": [400, 404, 409]},
    )
    def post(self, request: Request, number: int) -> Response:
        nothing(request)
        return _answer(reprice_undo(actor=self.actor(request), job=self.found(request, number)))


urlpatterns: list[URLPattern] = [
    path("api/v1/costs/reprice", RepriceView.as_view(), name="costs-reprice"),
    path("api/v1/costs/reprice/<int:number>", RepriceJobView.as_view(), name="costs-reprice-job"),
    path("api/v1/costs/reprice/<int:number>/apply", ApplyView.as_view(), name="costs-reprice-apply"),
    path("api/v1/costs/reprice/<int:number>/undo", UndoView.as_view(), name="costs-reprice-undo"),
]
