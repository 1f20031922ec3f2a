"""POST /api/v1/models/compare: a question with a body whose answer is kept as that of a GET is."""

from __future__ import annotations

import hashlib
import json
import time
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from apps.common import jsontext
from apps.common.ids import request_id
from apps.common.observe import telemetry
from apps.common.parameters import check_parameters
from apps.common.reads import answers, caching, fields
from apps.common.reads.answers import Entry
from apps.common.reads.schemas import names
from apps.metrics.api import compare_openapi as openapi
from apps.metrics.api.series import scope_of_body
from apps.metrics.reports.base import MIN_SAMPLE
from apps.metrics.reports.compare import cluster_interval, compare
from apps.metrics.reports.compare_body import from_body
from apps.orgs.access import Principal
from apps.orgs.scopes import principal_of
from apps.orgs.views import key_of

AREA = "compare"


class CompareView(APIView):
    """`POST /api/v1/models/compare`."""

    required_permission = "metrics:query"
    bucket = "models/compare"

    @extend_schema(**openapi.COMPARE)
    def post(self, request: Request) -> HttpResponse:
        check_parameters(request, ("project", fields.NAME))
        asked = from_body(request.data, scope_of_body(request), datetime.now(UTC))
        chosen = fields.requested(request, COMPARE_NAMES)

        def compute() -> Entry:
            begun = time.time()  # an answer that took long is as old as the data that it saw
            made = compare(asked)
            described = made.metadata(
                asked.base,
                alpha=asked.alpha,
                correction="holm",
                min_sample=MIN_SAMPLE,
                cluster_interval=cluster_interval(asked.base.end - asked.base.start),
            )
            document = fields.keep(chosen, {"metadata": described, **made.blocks})
            return answers.entry_of(document, computed_at=begun)

        entry, cached = _kept(request._request, principal_of(request), request.data, compute)
        return _response(entry, request._request, cached)


def _kept(request: HttpRequest, principal: Principal, body: Any, compute: Any) -> tuple[Entry, bool]:
    """The answer to this body, kept or made by one of all who ask; made anew where the caller wants it fresh."""
    seconds: int = settings.HUB.cache_ttl_compare
    if seconds <= 0 or not caching.enabled():
        return compute(), False
    # Whose it is, the projects in the query string and `fields` are in the key of the request; the body comes on top.
    text = f"{key_of(AREA, principal, request)} ".encode() + json.dumps(body, sort_keys=True).encode()
    key = f"hub:{AREA}:{principal.organization_id}:{hashlib.sha256(text).hexdigest()[:32]}"
    kept = None if answers.wants_fresh(request) else caching.get(key)
    if kept is not None and kept.age < seconds:
        telemetry.cache_hit(AREA)
        return kept, True
    if answers.wants_fresh(request):
        entry, others = compute(), False
        caching.put(key, entry, seconds)
    else:
        entry, others = caching.single(key, compute, seconds)
    (telemetry.cache_hit if others else telemetry.cache_miss)(AREA)
    return entry, others


def _response(entry: Entry, request: HttpRequest, cached: bool) -> HttpResponse:
    """The answer without ETag: a conditional POST would mean something else."""
    computed = datetime.fromtimestamp(entry.computed_at, UTC)
    meta = {"request_id": request_id(request), "cached": cached, "computed_at": computed}
    body = b"".join((entry.body, b',"meta":', jsontext.dumps(meta), b"}"))
    headers = {"Cache-Control": "private, no-store", "Vary": answers.VARY}
    return HttpResponse(body, content_type="application/json", headers=headers)


COMPARE_NAMES = (*names(openapi.COMPARE), "models.quality.*")
