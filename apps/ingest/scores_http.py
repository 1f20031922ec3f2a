"""`POST /api/v1/scores`: one score, or a list of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.errors import ApiError
from apps.common.parameters import check_parameters
from apps.common.reads.reading import bad, check_keys
from apps.ingest.json_http import document_of
from apps.ingest.scores_reader import read_score
from apps.ingest.service import rules_for
from apps.orgs.projects import project_for_ingest
from apps.orgs.scopes import principal_of
from apps.traces.api import openapi_scores as openapi
from apps.traces.api.scores import ScoresList
from apps.traces.scores import Score
from apps.traces.scores_writer import write_scores
from apps.traces.writer import WriteUnavailable


class ScoresView(ScoresList):
    """The list of scores, and the way by which they come."""

    required_permission = {"GET": "traces:read", "POST": "scores:write"}
    parser_classes = ()

    @extend_schema(**openapi.SEND)
    def post(self, request: Request) -> Response:
        check_parameters(request, ("project",))
        items = _items_of(document_of(request))
        project = project_for_ingest(principal_of(request), request._request, request.query_params.get("project"))
        rules, now = rules_for(project), datetime.now(UTC)
        if isinstance(items, Mapping):
            return Response(_stored([read_score(items, rules, now)]))
        taken: list[Score | ApiError] = []
        for item in items:
            try:
                taken.append(read_score(item, rules, now))
            except ApiError as error:
                taken.append(error)
        return Response(_stored(taken))


def _items_of(document: Any) -> Mapping[str, Any] | list[Any]:
    """The score, or the list of them."""
    if not isinstance(document, dict):
        raise ApiError(1200, 'The body must be one score or {"scores": [...]}.')
    if "scores" not in document:
        return document
    check_keys(document, ("scores",), "")
    items = document["scores"]
    if not isinstance(items, list):
        raise bad("scores", "scores must be a list.", 1203)
    if len(items) > openapi.MAX_ITEMS:
        raise bad("scores", f"{len(items)} scores in one request; at most {openapi.MAX_ITEMS} are taken.", 1205)
    return items


def _stored(taken: list[Score] | list[Score | ApiError]) -> dict[str, Any]:
    try:
        new = set(write_scores([one for one in taken if isinstance(one, Score)]).new)
    except WriteUnavailable as error:
        headers = {"Retry-After": str(error.retry_after)}
        raise ApiError(1601, "The scores cannot be stored just now. Send them again.", headers=headers) from error
    results: list[dict[str, Any]] = []
    counts = {"accepted": 0, "updated": 0, "rejected": 0}
    for index, one in enumerate(taken):
        if isinstance(one, Score):
            key = (one.project_id, one.id)
            result = {"index": index, "id": one.id, "status": "accepted" if key in new else "updated"}
            new.discard(key)  # the second of one id in one list replaces the first
        else:
            refusal = {"code": one.entry.code, "field": one.field, "message": one.message}
            result = {"index": index, "id": None, "status": "rejected", **refusal}
        counts[str(result["status"])] += 1
        results.append(result)
    return {**counts, "results": results}
