"""`/api/v1/costs/prices`: the price book of an organization, its history, and the bundled prices beside it."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any

from django.db.models import Q, QuerySet
from django.urls import URLPattern, path
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.parameters import boolean, check_parameters, moment, plain_text
from apps.common.reads import fields, paging
from apps.common.reads.schemas import query
from apps.costs.api.price_forms import (
    Holding,
    ListedPrice,
    Price,
    PriceChange,
    PricePage,
    PriceUpdate,
    PriceWithHistory,
)
from apps.costs.pricebook.checks import BLANK, MAX_NAME
from apps.costs.pricebook.listed import holding, listed_prices
from apps.costs.pricebook.models import PriceVersion
from apps.costs.pricebook.overrides import believed, compile_book_of
from apps.costs.pricebook.services import price_create, price_end, price_update
from apps.orgs.api.base import HIGHEST_ID, ONE, View, body, documented, existing, made, one

TAG = "costs"
FILTERS = ("as_of", "at", "provider", "model", "service_tier")
_PARAMETERS = [
    query("as_of", "Entries that hold for calls at this time; all if not given", type=OpenApiTypes.DATETIME),
    query("at", "As the book was believed at this time; now if not given", type=OpenApiTypes.DATETIME),
    query(
        "model",
        "Entries that fit this model, the first one first, and the bundled prices for it",
        examples=[OpenApiExample("A model", value="gpt-4o")],
    ),
    query("provider", "With model: the provider of the call", examples=[OpenApiExample("A provider", value="openai")]),
    query("service_tier", "With model: the service tier of the call"),
]
_NAMES = (
    *fields.names_of(Price),
    *(f"listed.{name}" for name in fields.names_of(ListedPrice)),
    *(f"holds.{name}" for name in fields.names_of(Holding)),
)


class _PricesView(View):
    def rows(self, request: Request) -> QuerySet[PriceVersion]:
        """The states of the caller's organization."""
        return PriceVersion.objects.filter(organization_id=self.principal(request).organization_id)


class PricesView(_PricesView):
    required_permission = {"GET": "costs:read", "POST": "costs:manage"}

    @documented(
        "costs_prices_list",
        "The price book",
        TAG,
        PricePage,
        parameters=[*_PARAMETERS, *paging.PARAMETERS, fields.PARAMETER],
        description="`as_of` asks for which calls a price holds, `at` what was believed when. With `model` the entries "
        "that fit it come in the order in which they are tried, and beside them the bundled prices and what holds.",
    )
    def get(self, request: Request) -> Response:
        check_parameters(request, {fields.NAME, *paging.NAMES, *FILTERS})
        chosen = fields.requested(request, _NAMES)
        asked = {name: request.query_params[name] for name in FILTERS if name in request.query_params}
        when, at = _moment(asked, "as_of"), _moment(asked, "at")
        rows = believed(self.principal(request).organization_id, at)
        listed: list[dict[str, Any]] = []
        holds = None
        if "model" in asked:
            call = [plain_text(asked[name], name) if name in asked else None for name in ("provider", "service_tier")]
            model = plain_text(asked["model"], "model", most=MAX_NAME)
            book = compile_book_of(rows)
            fitting = book.fitting(call[0], model, call[1]) if book is not None else []
            rows = rows.filter(entry_id__in=[rule.entry for rule in fitting])
            listed = listed_prices(call[0], model, when or timezone.now())
            holds = holding(book, call[0], model, call[1], when or timezone.now())
        page = paging.paginate(request, _in_force(rows, when), paging.Order("entry_id"))
        answer = {"data": page.rows, "pagination": page.pagination, "listed": listed, "holds": holds}
        shown: dict[str, Any] = PricePage(answer).data  # type: ignore[assignment]
        return Response(fields.keep(chosen, shown))

    @documented(
        "costs_prices_create",
        "Add a price",
        TAG,
        Price,
        status=201,
        request=PriceChange,
        errors=(409, 413),
        description="It holds for calls from `effective_from` on, now if not given, and is used at ingest within ten "
        "seconds. What is stored already keeps its cost until `/costs/reprice`. 409 if an entry for the same provider, "
        "pattern and tier holds at a part of that time.",
    )
    def post(self, request: Request) -> Response:
        given = body(request, PriceChange)
        version = price_create(**self.change(request), organization=self.organization(request), **given)
        return made(Price, version, 201)


def _in_force(rows: QuerySet[PriceVersion], when: datetime | None) -> QuerySet[PriceVersion]:
    if when is None:
        return rows
    return rows.filter(
        Q(effective_from=None) | Q(effective_from__lte=when), Q(effective_to=None) | Q(effective_to__gt=when)
    )


def _moment(asked: dict[str, str], name: str) -> datetime | None:
    return moment(asked[name], name) if name in asked else None


class PriceView(_PricesView):
    required_permission = {
        "GET": "costs:read",
        "PUT": "costs:manage",
        "PATCH": "costs:manage",
        "DELETE": "costs:manage",
    }

    def found(self, request: Request, number: int) -> PriceVersion:
        """The last state of an entry, whether or not it still holds."""
        rows = self.rows(request).filter(entry_id=number) if number <= HIGHEST_ID else self.rows(request).none()
        version = existing(rows.select_related("entry__organization").order_by("-number").first(), "price")
        version.entry.states = list(rows.order_by("number"))  # type: ignore[attr-defined]
        return version

    @documented("costs_prices_read", "A price and its history", TAG, PriceWithHistory, parameters=ONE)
    def get(self, request: Request, number: int) -> Response:
        return one(request, PriceWithHistory, partial(self.found, request, number))

    @documented(
        "costs_prices_replace",
        "Let a price say something else",
        TAG,
        Price,
        request=PriceUpdate,
        errors=(409,),
        description="What is not given is as for a new entry, but for `effective_from`, which stays. The state before "
        "stays in the history.",
    )
    def put(self, request: Request, number: int) -> Response:
        entry = self.found(request, number).entry
        given = {**BLANK, **body(request, PriceUpdate)}
        return made(Price, price_update(**self.change(request), entry=entry, **given))

    @documented(
        "costs_prices_update",
        "Change a part of a price",
        TAG,
        Price,
        request=PriceUpdate,
        errors=(409,),
        description="What is not given stays. The state before stays in the history.",
    )
    def patch(self, request: Request, number: int) -> Response:
        entry = self.found(request, number).entry
        given = body(request, PriceUpdate, partial=True)
        return made(Price, price_update(**self.change(request), entry=entry, **given))

    @documented(
        "costs_prices_end",
        "End a price",
        TAG,
        None,
        status=204,
        parameters=[query("withdraw", "Let it hold for no call at all, past ones included", type=bool, default=False)],
        errors=(409,),
        description="It holds for no call from now on; its history stays. One that has not begun is withdrawn.",
    )
    def delete(self, request: Request, number: int) -> Response:
        check_parameters(request, {"withdraw"})
        withdraw = boolean(request.query_params.get("withdraw", "false"), "withdraw")
        price_end(**self.change(request), entry=self.found(request, number).entry, withdraw=withdraw)
        return Response(status=204)


urlpatterns: list[URLPattern] = [
    path("api/v1/costs/prices", PricesView.as_view(), name="costs-prices"),
    path("api/v1/costs/prices/<int:number>", PriceView.as_view(), name="costs-price"),
]
