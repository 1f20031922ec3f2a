"""`POST /api/v1/traces`: plain JSON spans, on the path where traces are listed."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.errors import ApiError
from apps.common.parameters import check_parameters
from apps.ingest import openapi
from apps.ingest.body import BodyError, read_body
from apps.ingest.native import decode_batch
from apps.ingest.otlp_json import load_json
from apps.ingest.raw import UndecodableError
from apps.ingest.service import ingest
from apps.orgs.access import Principal
from apps.orgs.projects import project_for_ingest
from apps.orgs.span_limits import charging
from apps.traces.api.traces import TracesView
from apps.traces.writer import WriteUnavailable


class JsonSpansView(TracesView):
    """Store one span, or `{"spans": [...]}`. Reading is the view's below; a POST passes none of its work."""

    required_permission = {**TracesView.required_permission, "POST": "traces:write"}
    brings_spans = True
    parser_classes = ()

    @extend_schema(**openapi.JSON_SPANS)
    def post(self, request: Request) -> Response:
        with charging(request._request) as charge:
            check_parameters(request, ())
            principal = request.user
            assert isinstance(principal, Principal)
            nodes = _spans_of(document_of(request))
            project = project_for_ingest(principal, request._request)
            charge([(project, len(nodes))])
        try:
            receipt = ingest(project, decode_batch(nodes), source="json")
        except WriteUnavailable as error:
            headers = {"Retry-After": str(error.retry_after)}
            raise ApiError(1601, "The spans cannot be stored just now. Send them again.", headers=headers) from error
        rejected = [{"index": r.index, "reason": r.reason, "message": r.message} for r in receipt.rejected]
        return Response({"accepted": receipt.accepted, "rejected": rejected, "warnings": receipt.warnings})


def document_of(request: Request) -> Any:
    """The JSON body of a request, read under the limit of bodies.

    Raises:
        ApiError: it is too large, damaged or no JSON.
    """
    media_type = request._request.META.get("CONTENT_TYPE", "").strip().lower()
    if not media_type.startswith("application/json"):
        raise ApiError(1200, "Content-Type must be application/json.", status=415)
    try:
        return load_json(read_body(request._request, settings.HUB.ingest_max_body_bytes))[0]
    except BodyError as error:
        raise ApiError(1205 if error.status == 413 else 1200, _sentence(error.message), status=error.status) from None
    except UndecodableError as error:
        raise ApiError(1200, _sentence(str(error))) from None


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def _spans_of(document: Any) -> list[Any]:
    if not isinstance(document, dict):
        raise ApiError(1200, 'The body must be one span or {"spans": [...]}.')
    if "spans" not in document:
        return [document]
    spans = document["spans"]
    if not isinstance(spans, list):
        raise ApiError(1203, "`spans` must be a list of spans.", field="spans")
    if len(spans) > settings.HUB.ingest_max_spans:
        limit = settings.HUB.ingest_max_spans
        raise ApiError(1205, f"{len(spans)} spans in one request; at most {limit} are taken.", field="spans")
    return spans
