"""`POST /api/v1/traces/search`."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from django.core import signing
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.common.errors import ApiError
from apps.common.ids import request_id
from apps.common.parameters import check_parameters
from apps.common.reads import fields, paging
from apps.common.reads.reading import bad, check_keys, choice, time_range
from apps.orgs.door import require
from apps.orgs.scopes import Scope, principal_of, scope_of
from apps.traces.api import openapi_search
from apps.traces.filters import DEFAULT_RANGE
from apps.traces.listing import SORTS, UNKNOWN, Place, Sorting, place_of
from apps.traces.schema import EPOCH
from apps.traces.search.answer import RELEVANCE, read, words_of
from apps.traces.search.filters import Node, leaves, tree_of
from apps.traces.shown import NAMES

KEYS: Final = (
    "filter", "project", "start_time", "end_time", "sort", "sort_by", "sort_order", "fields", "limit", "cursor"
)  # fmt: skip
ORDERS: Final = (*SORTS, RELEVANCE)
_SALT: Final = "hub.cursor:/api/v1/traces/search"


class SearchView(APIView):
    """Traces that fulfil a filter."""

    required_permission = "traces:read"
    bucket = "traces/search"

    @extend_schema(**openapi_search.SEARCH)
    def post(self, request: Request) -> Response:
        check_parameters(request, ("project", fields.NAME))
        body = request.data
        if not isinstance(body, Mapping):
            raise ApiError(1200, "The body must be a JSON object.")
        check_keys(body, KEYS, "")
        if "filter" not in body:
            raise bad("filter", "filter is missing.", 1201)
        began, now = time.monotonic(), datetime.now(UTC)
        scope, tree = _scope(request, body), tree_of(body["filter"])
        if any(leaf.field.content for leaf in leaves(tree)):
            require(request._request, principal_of(request), "traces:content")
        after, bounds = _cursor(body, scope, now)
        sorting, limit, chosen = _sorting(body, tree), _limit(body), _chosen(request, body)
        ids = sorted(scope.projects.values())
        found = read(tree, ids, bounds, sorting, after, limit, {n: slug for slug, n in scope.projects.items()})
        following = found.next_place
        document = {
            "metadata": {
                "start_time": bounds[0],
                "end_time": bounds[1],
                "complete": found.complete,
                "searched_to": found.searched_to,
                "query_ms": round((time.monotonic() - began) * 1000, 2),
            },
            "data": found.rows,
            "pagination": {
                "limit": limit,
                "next_cursor": None if following is None else _signed(following, body, scope, bounds),
                "has_more": following is not None,
            },
            "meta": {"request_id": request_id(request._request), "cached": False, "computed_at": now},
        }
        return Response(fields.keep(chosen, document))


def _scope(request: Request, body: Mapping[str, Any]) -> Scope:
    """The projects named in the body or, as everywhere, in the query string."""
    named = body.get("project", request.query_params.get("project"))
    if isinstance(named, list) and all(isinstance(slug, str) for slug in named):
        named = ",".join(named)
    if named is not None and not isinstance(named, str):
        raise bad("project", "project must be a slug or a list of slugs.", 1203)
    return scope_of(principal_of(request), named)


def _sorting(body: Mapping[str, Any], tree: Node) -> Sorting:
    """`sort` as {"field", "order"}, or `sort_by` and `sort_order` as the list has them."""
    name, order = body.get("sort_by", "start_time"), body.get("sort_order", "desc")
    if body.get("sort") is not None:
        sort = body["sort"]
        if not isinstance(sort, Mapping) or "sort_by" in body or "sort_order" in body:
            message = 'sort is an object such as {"field": "start_time", "order": "desc"}, in place of sort_by.'
            raise bad("sort", message, 1203)
        check_keys(sort, ("field", "order"), "sort")
        name, order = sort.get("field", "start_time"), sort.get("order", "desc")
    made = Sorting(choice(name, ORDERS, "sort"), choice(order, ("desc", "asc"), "sort_order") == "desc")
    if made.name == RELEVANCE:
        if not words_of(tree):
            raise bad("sort", "relevance needs a `search` over text, input or output.")
        if not made.descending:
            raise bad("sort", "relevance goes from the most relevant down: its order is desc.")
    return made


def _limit(body: Mapping[str, Any]) -> int:
    limit = body.get("limit", paging.DEFAULT_LIMIT)
    if not isinstance(limit, int) or isinstance(limit, bool):
        raise bad("limit", f"limit must be a whole number from 1 to {paging.MAX_LIMIT}.", 1203)
    if not 1 <= limit <= paging.MAX_LIMIT:
        raise bad("limit", f"limit must be from 1 to {paging.MAX_LIMIT}.")
    return limit


def _chosen(request: Request, body: Mapping[str, Any]) -> fields.Node | None:
    named = body.get("fields")
    if named is None:
        return fields.requested(request, (*NAMES, RELEVANCE))
    if isinstance(named, str):
        named = [named]
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        raise bad("fields", "fields must be a text or a list of texts.", 1203)
    return fields.requested(named, (*NAMES, RELEVANCE))


def _digest(body: Mapping[str, Any], scope: Scope) -> str:
    """What a cursor is tied to: all that says which traces are meant and in which order."""
    asked = [(key, repr(body.get(key))) for key in KEYS if key not in ("limit", "cursor", "fields")]
    return hashlib.sha256(repr((asked, sorted(scope.projects))).encode("utf-8", "replace")).hexdigest()[:16]


def _signed(at: Place, body: Mapping[str, Any], scope: Scope, bounds: tuple[datetime, datetime]) -> str:
    value = UNKNOWN if at.value is None else str(at.value)
    start, edges = _us(at.start), [_us(edge) for edge in bounds]
    parts = [_digest(body, scope), value, f"{start}:{at.project_id}:{at.trace_id}", *edges]
    return signing.dumps(parts, salt=_SALT)


def _us(moment: datetime) -> int:
    return (moment - EPOCH) // (datetime.resolution)


def _cursor(body: Mapping[str, Any], scope: Scope, now: datetime) -> tuple[Place | None, tuple[datetime, datetime]]:
    """Where the page begins, and the range: that of the first page, which may have ended at its `now`."""
    text = body.get("cursor")
    if text is None:
        start, end = time_range(body, now, DEFAULT_RANGE)
        if start >= end:
            raise bad("start_time", "start_time must lie before end_time.", 1204)
        return None, (start, end)
    stale = bad("cursor", "The cursor is not one of this search. Start without a cursor.", 1203)
    if not isinstance(text, str) or len(text) > paging.MAX_CURSOR:
        raise stale
    try:
        digest, value, place, lo, hi = signing.loads(text, salt=_SALT)
    except (signing.BadSignature, ValueError, TypeError):
        raise stale from None
    if digest != _digest(body, scope):
        raise stale
    return place_of([value, place]), (EPOCH + lo * datetime.resolution, EPOCH + hi * datetime.resolution)
