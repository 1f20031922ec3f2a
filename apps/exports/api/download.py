"""The file of a finished export: by token, or by a link that needs none."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.http import HttpResponseBase
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from apps.common.edge.address import client_address
from apps.common.errors import ApiError
from apps.common.parameters import check_parameters
from apps.common.rates.limits import take
from apps.exports import links
from apps.exports.api import openapi
from apps.exports.api.jobs import found, without_file
from apps.exports.api.ranges import Part
from apps.exports.api.sending import answer
from apps.exports.api.shown import status_of
from apps.exports.models import ExportJob
from apps.exports.rights import holds, jobs_of, principal_again
from apps.exports.spec import CONTENT
from apps.orgs import audit
from apps.orgs.access import PUBLIC, Principal
from apps.orgs.api.base import View
from apps.orgs.door import admit, require
from apps.orgs.tiers import denial_bucket

NEEDED = "exports:download"
CHANGED = "The password or key that this link was asked for with has been changed since. Ask for the job again."


def _given(request: Request, principal: Principal, job: ExportJob, way: str) -> HttpResponseBase:
    """The file, if there is one and this caller may have it.

    Raises:
        ApiError: 1402, 1303 where there is none, 1100 for texts that the caller may not read, what `answer` raises.
    """
    now = timezone.now()
    if job.content:
        require(request._request, principal, CONTENT)
    if status_of(job, now) != ExportJob.Status.COMPLETED or not job.file:
        raise without_file(job, now)
    return answer(request, job, partial(_note, request, job, way))


def _note(request: Request, job: ExportJob, way: str, part: Part) -> None:
    """Write down that a file, or a part of it, is taken away."""
    projects = job.project_ids
    audit.record(
        audit.actor_of(request),
        "export.download",
        organization_id=job.organization_id,
        project_id=projects[0] if len(projects) == 1 else None,
        object_type="export",
        object_id=str(job.pk),
        object_name=job.file_name,
        after={"by": way, "kind": job.kind, "content": job.content, "start": part.start, "end": part.end},
    )


class DownloadView(View):
    required_permission = {"GET": NEEDED}

    @extend_schema(**openapi.DOWNLOAD)
    def get(self, request: Request, job_id: str) -> Any:
        check_parameters(request, ())
        principal = self.principal(request)
        return _given(request, principal, found(principal, job_id), "token")


class FileView(View):
    """A signed link. It opens what its owner may have now, wherever a token of the owner would open it."""

    authentication_classes = ()
    required_permission = {"GET": PUBLIC}

    @extend_schema(**openapi.FILE)
    def get(self, request: Request, token: str, file_name: str) -> Any:
        check_parameters(request, ())
        link = links.read(token, timezone.now())
        job = ExportJob.objects.filter(pk=link.job_id).first() if link is not None else None
        if link is None or job is None or not link.names(job) or file_name != links.safe_name(job.file_name):
            raise _dead()
        principal = self._owner(request, link, job)
        request._request.hub_principal = principal  # type: ignore[attr-defined]  # the door takes it from there
        admit(request._request, NEEDED)
        if not jobs_of(principal).filter(pk=job.pk).exists():
            raise _dead()
        return _given(request, principal, job, "link")

    @staticmethod
    def _owner(request: Request, link: links.Link, job: ExportJob) -> Principal:
        try:
            owner = principal_again(job.organization_id, user_id=link.user_id, key_id=link.key_id)
            if not holds(owner, link.credential):
                raise ApiError(1102, CHANGED)
            return owner
        except ApiError as error:
            plain = request._request
            if take([(denial_bucket(client_address(plain)), 1)])[0].allowed:
                audit.denied(
                    plain,
                    organization_id=job.organization_id,
                    object_type="export",
                    object_id=str(job.pk),
                    object_name=job.file_name,
                    after={"code": error.entry.code, "message": error.message, "by": "link"},
                )
            raise


def _dead() -> ApiError:
    return ApiError(1303, "This link leads to no file any more. Ask for the job again: its answer has a new one.")
