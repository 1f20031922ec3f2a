"""`/api/v1/audit`: who did what, filtered, paged, exported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from django.db.models import Q, QuerySet
from django.http import StreamingHttpResponse
from django.urls import URLPattern, path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common import jsontext
from apps.common.errors import ApiError
from apps.common.parameters import check_parameters, moment, plain_text, unknown_name
from apps.common.reads import fields, paging
from apps.common.reads.spreadsheets import csv_lines
from apps.orgs.access import Principal, visible_project
from apps.orgs.api.base import LIST, View, documented
from apps.orgs.models import AuditEntry, Project

TAG = "audit"
CHUNK = 500
NEWEST_FIRST = paging.Order("at", descending=True)
TEXTS = {"actor": 254, "action": 1_000, "object_type": 32, "object_id": 64}
FILTERS = ("start_time", "end_time", "project", "outcome", *TEXTS)
FORMATS = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson"}


def _text(name: str, description: str, **more: Any) -> OpenApiParameter:
    return OpenApiParameter(name, more.pop("type", str), description=description, **more)


PARAMETERS = [
    _text("start_time", "ISO 8601 with a zone; included", type=OpenApiTypes.DATETIME),
    _text("end_time", "ISO 8601 with a zone; not included", type=OpenApiTypes.DATETIME),
    _text("actor", "An e-mail address, or a key's prefix"),
    _text("action", "Such as key.create; several with commas between them"),
    _text("object_type", "Such as key"),
    _text("object_id", "An object's id"),
    _text("outcome", "Only what was done, or only what was denied", enum=AuditEntry.Outcome.values),
    _text("project", "A slug"),
]


class ActorAnswer(serializers.Serializer[Any]):
    """Who acted."""

    kind = serializers.CharField(source="actor_kind", help_text="user, key, system or anonymous")
    id = serializers.IntegerField(source="actor_id", allow_null=True)
    name = serializers.CharField(source="actor")


class ObjectAnswer(serializers.Serializer[Any]):
    """On what."""

    type = serializers.CharField(source="object_type")
    id = serializers.CharField(source="object_id")
    name = serializers.CharField(source="object_name")


@extend_schema_field({"type": ["object", "null"], "additionalProperties": True})
class State(serializers.JSONField):
    """What a change touched, by field."""


class EntryAnswer(serializers.Serializer[Any]):
    """One entry. `before` and `after` hold what a change touched."""

    id = serializers.IntegerField()
    timestamp = serializers.DateTimeField(source="at")
    action = serializers.CharField()
    outcome = serializers.ChoiceField(AuditEntry.Outcome.choices)
    actor = ActorAnswer(source="*")
    object = ObjectAnswer(source="*")
    project = serializers.SerializerMethodField()
    before = State(allow_null=True)
    after = State(allow_null=True)
    address = serializers.CharField(allow_null=True)
    request_id = serializers.CharField()

    def get_project(self, row: AuditEntry) -> str | None:
        """A slug, for what belongs to one project"""
        slugs: Mapping[int | None, str] = self.context.get("slugs", {})
        return slugs.get(row.project_id)


def entries(request: Request, principal: Principal) -> QuerySet[AuditEntry]:
    """What the caller may read of the log and asked for; who sees a part of the projects reads of that part alone.

    Raises:
        ApiError: 1202 or 1203 for a filter, 1101 or 1300 for a project.
    """
    asked = request.query_params
    found = AuditEntry.objects.filter(organization_id=principal.organization_id)
    if not principal.all_projects:
        found = found.filter(project_id__in=principal.project_ids.values())
    if "project" in asked:
        found = found.filter(project_id=visible_project(principal, asked["project"]))
    if "start_time" in asked:
        found = found.filter(at__gte=moment(asked["start_time"], "start_time"))
    if "end_time" in asked:
        found = found.filter(at__lt=moment(asked["end_time"], "end_time"))
    if "start_time" in asked and "end_time" in asked:
        start, end = (moment(asked[name], name) for name in ("start_time", "end_time"))
        if start >= end:
            raise ApiError(1204, "start_time must be before end_time.", field="start_time")
    if "outcome" in asked:
        if asked["outcome"] not in AuditEntry.Outcome.values:
            error = unknown_name(asked["outcome"], AuditEntry.Outcome.values, what="outcome")
            raise ApiError(1202, error.message, field="outcome", details=error.details)
        found = found.filter(outcome=asked["outcome"])
    return found.filter(*_texts(asked))


def _texts(asked: Mapping[str, str]) -> Iterator[Q]:
    for name, most in TEXTS.items():
        if name not in asked:
            continue
        text = plain_text(asked[name], name, most=most)
        yield Q(action__in=text.split(",")) if name == "action" else Q(**{name: text})


def _slugs(principal: Principal) -> dict[str, Any]:
    rows = Project.objects.filter(organization_id=principal.organization_id).values_list("pk", "slug")
    return {"slugs": dict(rows)}


class AuditView(View):
    required_permission = {"GET": "audit:read"}

    @documented(
        "audit_list",
        "The audit log, the newest first",
        TAG,
        paging.answer_of("AuditPage", EntryAnswer),
        parameters=[*PARAMETERS, *LIST],
        errors=(404,),
    )
    def get(self, request: Request) -> Response:
        check_parameters(request, {fields.NAME, *paging.NAMES, *FILTERS})
        principal = self.principal(request)
        chosen = fields.requested(request, fields.names_of(EntryAnswer))
        page = paging.paginate(request, entries(request, principal), NEWEST_FIRST)
        data = EntryAnswer(page.rows, many=True, context=_slugs(principal)).data
        return Response(fields.keep(chosen, {"data": data, "pagination": page.pagination}))


class ExportView(View):
    required_permission = {"GET": "audit:read"}

    @extend_schema(
        operation_id="audit_export",
        summary="The audit log as a file",
        tags=[TAG],
        parameters=[_text("format", "csv or jsonl", enum=tuple(FORMATS), default="csv"), *PARAMETERS],
        responses={
            (200, media_type.partition(";")[0]): OpenApiResponse(OpenApiTypes.STR, description="The newest first.")
            for media_type in FORMATS.values()
        },
        extensions={"x-errors": [400, 404]},
        description="Streamed, of any length. In CSV an apostrophe stands before text that a spreadsheet would run.",
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        check_parameters(request, {"format", *FILTERS})
        form = request.query_params.get("format", "csv")
        if form not in FORMATS:
            error = unknown_name(form, FORMATS, what="format")
            raise ApiError(1202, error.message, field="format", details=error.details)
        principal = self.principal(request)
        rows = _streamed(entries(request, principal), _slugs(principal))
        lines = _as_csv(rows) if form == "csv" else (jsontext.dumps(row) + b"\n" for row in rows)
        answer = StreamingHttpResponse(_begun(lines), content_type=FORMATS[form])
        answer["Content-Disposition"] = f'attachment; filename="audit-{principal.organization_slug}.{form}"'
        answer["Cache-Control"] = "no-store"
        return answer


def _streamed(rows: QuerySet[AuditEntry], context: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Entries, newest first, a chunk in memory whatever the length.

    Each chunk is a query of its own behind the last: between two of them nothing is open, however slow the reader is.
    The log is append-only, so that the chunks make one whole.
    """
    answer = EntryAnswer(context=context)
    after: tuple[paging.Value, ...] | None = None
    while True:
        chunk = list(paging.behind(rows, NEWEST_FIRST, after)[:CHUNK])
        yield from (answer.to_representation(row) for row in chunk)
        if len(chunk) < CHUNK:
            return
        after = (chunk[-1].at, chunk[-1].pk)


def _as_csv(rows: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    header = [str(name) for name in EntryAnswer().get_fields() if name not in ("actor", "object")]
    split = [f"{part}_{name}" for part in ("actor", "object") for name in _parts(part)]
    return csv_lines([*header, *split], (_cells(row, header) for row in rows))


def _parts(part: str) -> tuple[str, ...]:
    return ("kind", "id", "name") if part == "actor" else ("type", "id", "name")


def _cells(row: dict[str, Any], header: list[str]) -> list[Any]:
    cells = [
        jsontext.dumps(row[name]).decode() if name in ("before", "after") and row[name] is not None else row[name]
        for name in header
    ]
    return [*cells, *(row[part][name] for part in ("actor", "object") for name in _parts(part))]


def _begun(lines: Iterator[bytes]) -> Iterator[bytes]:
    """The same lines, of which the first is made now: what fails at once is still answered as an error."""
    first = next(lines, b"")
    return chain((first,), lines)


urlpatterns: list[URLPattern] = [
    path("api/v1/audit", AuditView.as_view(), name="audit"),
    path("api/v1/audit/export", ExportView.as_view(), name="audit-export"),
]
