"""`/api/v1/export`: exports asked for, watched, cancelled."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.errors import ApiError
from apps.common.parameters import check_parameters
from apps.common.reads import fields, paging
from apps.common.reads.reading import bad, choices
from apps.common.reads.schemas import names
from apps.exports.api import openapi
from apps.exports.api.shown import estimate, shown, status_of
from apps.exports.asking import spec_of
from apps.exports.estimate import estimated_rows
from apps.exports.jobs import services
from apps.exports.models import ExportJob
from apps.exports.rights import jobs_of, require_content
from apps.exports.spec import KINDS, READS, Kind
from apps.exports.totals import with_numbers
from apps.orgs.access import Principal
from apps.orgs.api.base import HIGHEST_ID, View, nothing
from apps.orgs.door import require
from apps.orgs.scopes import principal_of
from apps.orgs.views import Question, ReadView

NEWEST_FIRST = paging.Order("created_at", descending=True)
Status = ExportJob.Status


def found(principal: Principal, text: str) -> ExportJob:
    """A job that the caller sees.

    Raises:
        ApiError: 1302.
    """
    try:
        number = UUID(text)
    except ValueError:
        raise ApiError(1302, "There is no such export job.") from None
    job = jobs_of(principal).filter(pk=number).first()
    if job is None:
        raise ApiError(1302, "There is no such export job.")
    return job


def accepted(job: ExportJob) -> Response:
    """202, and where to ask how far it is."""
    url = f"/api/v1/export/jobs/{job.pk}"
    told = {"job_id": str(job.pk), "status": job.status, "status_url": url, "estimate": estimate(job)}
    return Response(told, status=202, headers={"Location": url})


class _CreateView(View):
    """`POST /api/v1/export/{kind}`. What may be asked for is the kind's own reader's affair."""

    required_permission = {"POST": "exports:create"}
    bucket = "export"
    kind: ClassVar[Kind]

    def post(self, request: Request) -> Response:
        check_parameters(request, ())
        principal = self.principal(request)
        require(request._request, principal, READS[self.kind])
        spec = spec_of(self.kind, request.data, principal, timezone.now())
        rows = estimated_rows(spec)
        return accepted(services.create(self.actor(request), principal, spec, estimated_rows=rows))


@extend_schema_view(post=extend_schema(**openapi.creating("traces")))
class TracesView(_CreateView):
    kind = "traces"


@extend_schema_view(post=extend_schema(**openapi.creating("metrics")))
class MetricsView(_CreateView):
    kind = "metrics"


@extend_schema_view(post=extend_schema(**openapi.creating("costs")))
class CostsView(_CreateView):
    kind = "costs"


class JobsView(View):
    required_permission = {"GET": "exports:read"}

    @extend_schema(**openapi.LIST)
    def get(self, request: Request) -> Response:
        check_parameters(request, {fields.NAME, *paging.NAMES, *openapi.FILTERS})
        chosen = fields.requested(request, NAMES)
        principal, now = self.principal(request), timezone.now()
        rows = _chosen(jobs_of(principal), request, now)
        page = paging.asked(request, NEWEST_FIRST)
        total = rows.order_by().count() if page.include_total else None
        some = list(paging.behind(rows, NEWEST_FIRST, page.after)[: page.limit + 1])
        made = paging.finish(page, some, lambda job: [job.created_at, str(job.pk)], total)
        data = [shown(job, principal, now) for job in made.rows]
        return Response(fields.keep(chosen, {"data": data, "pagination": made.pagination}))


def _chosen(rows: QuerySet[ExportJob], request: Request, now: datetime) -> QuerySet[ExportJob]:
    """Filtered by what is shown: what has expired is so before it is swept away."""
    given = request.query_params
    if "kind" in given:
        rows = rows.filter(kind__in=choices(given["kind"], KINDS, "kind"))
    if "status" in given:
        wanted = choices(given["status"], Status.values, "status")
        gone = Q(status=Status.COMPLETED, expires_at__lte=now)
        rows = rows.filter(Q(status__in=wanted) | gone if Status.EXPIRED in wanted else Q(status__in=wanted) & ~gone)
    if "schedule_id" in given:
        number = given["schedule_id"]
        if not (number.isascii() and number.isdigit() and len(number) <= len(str(HIGHEST_ID))):
            raise bad("schedule_id", "schedule_id must be a schedule's number.", 1203)
        rows = rows.filter(schedule_id=int(number))
    return rows


@extend_schema_view(get=extend_schema(**openapi.ONE))
class JobView(ReadView, View):
    """`GET` is kept for CACHE_TTL_EXPORT_STATUS seconds, for each caller: it holds a link in the caller's name."""

    area, ttl, personal = "export", "cache_ttl_export_status", True
    required_permission = {"GET": "exports:read", "DELETE": "exports:cancel"}

    def question(self, request: Request, **arguments: Any) -> Question:
        check_parameters(request, {fields.NAME})
        principal = principal_of(request)
        job = found(principal, arguments["job_id"])
        return Question(str(job.pk), lambda: shown(job, principal, timezone.now()), NAMES)

    @extend_schema(**openapi.CANCEL)
    def delete(self, request: Request, job_id: str) -> Response:
        nothing(request)
        principal = self.principal(request)
        job = found(principal, job_id)
        return Response(shown(services.cancel(self.actor(request), job), principal, timezone.now()))


class ManifestView(View):
    """`GET /api/v1/export/jobs/{job_id}/manifest`."""

    required_permission = {"GET": "exports:read"}

    @extend_schema(**openapi.MANIFEST)
    def get(self, request: Request, job_id: str) -> Response:
        check_parameters(request, ())
        principal = self.principal(request)
        job = found(principal, job_id)
        require_content(principal, job)  # its filters may be words of a text
        if job.manifest is None:
            raise without_file(job, timezone.now())
        return Response(with_numbers(job.manifest))


def without_file(job: ExportJob, now: datetime) -> ApiError:
    """Why a job has no file to give."""
    status = status_of(job, now)
    details = {"status": status}
    if job.status in ExportJob.ACTIVE:
        return ApiError(1402, f"The export is not finished yet: it is {status}.", details=details)
    told = {Status.FAILED: "It failed.", Status.CANCELLED: "It was cancelled.", Status.EXPIRED: "It has expired."}
    reason = next((text for name, text in told.items() if name == status), "It is gone.")
    return ApiError(1303, f"There is no file of this export. {reason}", details=details)


NAMES = names(openapi.ONE)
