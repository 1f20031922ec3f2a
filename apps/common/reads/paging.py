"""Lists by cursor: `limit`, `cursor`, `include_total`.

Pages go by keyset over (sort column, id): a deep page costs what the first does, and rows that are added or removed
meanwhile neither repeat nor hide others.

A cursor is opaque and signed. It is good for the path and the filters it was made with, whoever sends it: it says only
where the page before ended, and what may be seen is decided anew each time.

    page = paging.paginate(request, AuditEntry.objects.all(), paging.Order("at", descending=True))
    return Response({"data": [shown(row) for row in page.rows], "pagination": page.pagination})

Whoever reads rows from somewhere other than a queryset uses `asked` and `next_cursor` themselves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from django.core import signing
from django.db import models
from django.http import HttpRequest
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request

from apps.common.errors import ApiError
from apps.common.parameters import boolean, whole

R = TypeVar("R")
M = TypeVar("M", bound=models.Model)
DEFAULT_LIMIT, MAX_LIMIT = 50, 1000
MAX_CURSOR = 2_000
# What chooses a page of an answer rather than the answer.
_OF_THE_PAGE = frozenset({"limit", "cursor", "include_total", "fields"})
NAMES = ("limit", "cursor", "include_total")
PARAMETERS = [
    OpenApiParameter("limit", OpenApiTypes.INT, description=f"Rows on a page, 1 to {MAX_LIMIT}", default=DEFAULT_LIMIT),
    OpenApiParameter("cursor", str, description="`next_cursor` of the page before, with the same filters"),
    OpenApiParameter("include_total", bool, description="Count all rows too: `pagination.total`", default=False),
]
Value = str | int | datetime


class Pagination(serializers.Serializer[Any]):
    """What a list says of its page."""

    limit = serializers.IntegerField()
    next_cursor = serializers.CharField(allow_null=True, help_text="null on the last page")
    has_more = serializers.BooleanField()
    total = serializers.IntegerField(required=False, help_text="With include_total alone")


@dataclass(frozen=True, slots=True)
class Order:
    """By one column that is never null, then by id, both in the same direction."""

    column: str = "id"
    descending: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        return ("id",) if self.column == "id" else (self.column, "id")


@dataclass(frozen=True, slots=True)
class Asked:
    """Which page is wanted. `after` holds the sort values of the last row of the page before."""

    limit: int
    after: tuple[Value, ...] | None
    include_total: bool
    salt: str
    digest: str


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    """Rows, and what the answer says about them."""

    rows: Sequence[R]
    pagination: Mapping[str, Any]


def asked(request: HttpRequest | Request, order: Order) -> Asked:
    """What the query parameters ask for.

    Raises:
        ApiError: 1202 or 1203 for a limit, 1203 for a cursor that is not ours, of another list or of other filters.
    """
    plain = request._request if isinstance(request, Request) else request
    limit = whole(plain.GET.get("limit", str(DEFAULT_LIMIT)), "limit", least=1, most=MAX_LIMIT)
    total = boolean(plain.GET.get("include_total", "false"), "include_total")
    salt, digest = f"hub.cursor:{plain.path}", _digest(plain, order)
    text = plain.GET.get("cursor")
    return Asked(limit, None if text is None else _read(text, salt, digest, order), total, salt, digest)


def next_cursor(page: Asked, values: Sequence[Value]) -> str:
    """The cursor that leads on behind a row with these sort values."""
    plain = [{"at": value.isoformat()} if isinstance(value, datetime) else value for value in values]
    return signing.dumps([page.digest, *plain], salt=page.salt)


def paginate(request: HttpRequest | Request, rows: models.QuerySet[M], order: Order | None = None) -> Page[M]:
    """One page of a queryset; its own ordering is replaced.

    Raises:
        ApiError: as `asked` does.
    """
    order = order or Order()
    page = asked(request, order)
    total = rows.order_by().count() if page.include_total else None
    found = list(behind(rows, order, page.after)[: page.limit + 1])
    return finish(page, found, lambda row: [getattr(row, column) for column in order.columns], total)


def behind(rows: models.QuerySet[M], order: Order, after: tuple[Value, ...] | None) -> models.QuerySet[M]:
    """The rows in order, behind the one with these sort values."""
    sign = "-" if order.descending else ""
    ordered = rows.order_by(*(sign + column for column in order.columns))
    if after is None:
        return ordered
    beyond, within = ("lt", "lte") if order.descending else ("gt", "gte")
    if len(after) == 1:
        return ordered.filter(**{f"id__{beyond}": after[0]})
    # A range that an index on (column, id) serves, less what of the last value was on the page before.
    column, (value, last) = order.column, after
    seen = {column: value, f"id__{'gte' if order.descending else 'lte'}": last}
    return ordered.filter(**{f"{column}__{within}": value}).exclude(**seen)


def finish(
    page: Asked, found: Sequence[R], values: Callable[[R], Sequence[Value]], total: int | None = None
) -> Page[R]:
    """A page out of up to `limit` + 1 rows; the one too many tells that there are more."""
    rows, more = found[: page.limit], len(found) > page.limit
    pagination: dict[str, Any] = {
        "limit": page.limit,
        "next_cursor": next_cursor(page, values(rows[-1])) if more else None,
        "has_more": more,
    }
    return Page(rows, pagination if total is None else {**pagination, "total": total})


def answer_of(name: str, row: type[serializers.Serializer[Any]]) -> serializers.Serializer[Any]:
    """How a page of such rows is documented."""
    return inline_serializer(name, {"data": row(many=True), "pagination": Pagination()})


def _digest(request: HttpRequest, order: Order) -> str:
    """What a cursor is tied to beside the path: the filters, the order."""
    filters = sorted((name, values) for name, values in request.GET.lists() if name not in _OF_THE_PAGE)
    return hashlib.sha256(repr((filters, order)).encode("utf-8", "replace")).hexdigest()[:16]


def _read(text: str, salt: str, digest: str, order: Order) -> tuple[Value, ...]:
    stale = ApiError(
        1203, "The cursor is not one of this list with these filters. Start without a cursor.", field="cursor"
    )
    if len(text) > MAX_CURSOR:
        raise stale
    try:
        found, *values = signing.loads(text, salt=salt)
    except (signing.BadSignature, ValueError, TypeError):
        raise stale from None
    if found != digest or len(values) != len(order.columns):
        raise stale
    return tuple(datetime.fromisoformat(value["at"]) if isinstance(value, dict) else value for value in values)
