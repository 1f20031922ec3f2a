"""What the price book's endpoints take and answer."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from apps.common.reads import paging
from apps.costs.pricebook.checks import MAX_NAME, SERVICE_TIERS
from apps.costs.pricebook.kinds import PRICE_KINDS
from apps.costs.pricebook.models import PriceVersion
from apps.orgs.api.base import HIGHEST_ID, Body, Moment, Text, Whole

_PRICES: dict[str, Any] = {
    "type": "object",
    "properties": {
        name: {"type": "number", "description": f"Dollars a {kind.unit}"} for name, kind in PRICE_KINDS.items()
    },
}
_PRICE: dict[str, Any] = {"oneOf": [{"type": "number", "minimum": 0}, {"type": "string"}]}
_GIVEN: dict[str, Any] = {
    "type": "object",
    "properties": {name: {**_PRICE, "description": f"Dollars a {kind.unit}"} for name, kind in PRICE_KINDS.items()},
    "additionalProperties": False,
    "minProperties": 1,
}
_ABOVE = {"type": "integer", "description": "Larger prompts than this, in tokens"}


def _tiers(prices: dict[str, Any]) -> dict[str, Any]:
    tier = {"type": "object", "properties": {"above": _ABOVE, "prices": prices}, "required": ["above", "prices"]}
    return {"type": "array", "items": tier}


SENT = {
    "provider": "openai",
    "model": "gpt-4o",
    "effective_from": "2026-10-01T00:00:00Z",
    "prices": {"input": 2, "cache_read": 1, "output": 8},
    "source": "Contract 2026-17",
}
TIERED = {
    "match": "prefix",
    "model": "gemini-3-",
    "prices": {"input": 1, "output": 6},
    "tiers": [{"above": 200000, "prices": {"input": 2, "output": 9}}],
}
STATE: dict[str, Any] = {
    "version": 1,
    "price_version_id": "override:12.1",
    "match": "exact",
    "service_tier": None,
    "effective_to": None,
    "tiers": [],
    "note": "",
    "author": "ada@acme.example",
    "recorded_at": "2026-11-05T09:30:00Z",
    "superseded_at": None,
    **SENT,
}
LISTED: dict[str, Any] = {
    "price_version_id": "genai-prices:0.2.3:openai/gpt-4o",
    "provider": "openai",
    "model": "gpt-4o",
    "service_tier": None,
    "prices": {"input": 2.5, "cache_read": 1.25, "output": 10},
    "tiers": [],
}


def _answers(**value: Any) -> Any:
    return extend_schema_serializer(examples=[OpenApiExample("Such as", value=value, response_only=True)])


@extend_schema_field(_GIVEN)
class GivenPrices(serializers.Field[Any, Any, Any, Any]):
    """Prices as they are sent; the service checks them."""

    def to_internal_value(self, data: Any) -> Any:
        return data


@extend_schema_field(_tiers(_GIVEN))
class GivenTiers(GivenPrices):
    """Tiers as they are sent."""


@extend_schema_field(_PRICES)
class ShownPrices(serializers.Field[Any, Any, Any, Any]):
    """Prices as exact JSON numbers."""

    def to_representation(self, value: Any) -> Any:
        return {kind: Decimal(price) for kind, price in value.items()}


@extend_schema_field(_tiers(_PRICES))
class ShownTiers(serializers.Field[Any, Any, Any, Any]):
    """Tiers with their prices as exact JSON numbers."""

    def to_representation(self, value: Any) -> Any:
        return [
            {"above": tier["above"], "prices": {kind: Decimal(price) for kind, price in tier["prices"].items()}}
            for tier in value
        ]


class PriceState(serializers.Serializer[Any]):
    """What an entry says, or said."""

    version = serializers.IntegerField(source="number", help_text="Counts the states of the entry from 1")
    price_version_id = serializers.CharField(help_text="What spans name that were priced with this state")
    provider = serializers.CharField(allow_null=True, help_text="null: any")
    match = serializers.ChoiceField(PriceVersion.Match.choices)
    model = serializers.CharField(help_text="A name, the beginning of one, or a regular expression")
    service_tier = serializers.ChoiceField(SERVICE_TIERS, allow_null=True, help_text="null: any")
    effective_from = serializers.DateTimeField(allow_null=True, help_text="null: from the beginning")
    effective_to = serializers.DateTimeField(allow_null=True, help_text="Not included; null: until further notice")
    prices = ShownPrices()
    tiers = ShownTiers()
    source = serializers.CharField()  # type: ignore[assignment]
    note = serializers.CharField()
    author = serializers.CharField()
    recorded_at = serializers.DateTimeField(help_text="Since when this was believed")
    superseded_at = serializers.DateTimeField(allow_null=True, help_text="Until when; null: it still is")


@_answers(id=12, **STATE)
class Price(PriceState):
    """An entry of the price book in one of its states."""

    id = serializers.IntegerField(source="entry_id")


@_answers(id=12, **STATE, history=[STATE])
class PriceWithHistory(Price):
    """An entry of the price book with every state that it had, the first one first."""

    history = PriceState(many=True, source="entry.states")


class ListedPrice(serializers.Serializer[Any]):
    """A bundled price."""

    price_version_id = serializers.CharField()
    provider = serializers.CharField(help_text="As the price list calls it")
    model = serializers.CharField(help_text="As the price list calls it")
    service_tier = serializers.CharField(allow_null=True, help_text="null: the everyday price")
    prices = ShownPrices()
    tiers = ShownTiers()


class Holding(serializers.Serializer[Any]):
    """What a call would be priced with."""

    origin = serializers.ChoiceField(("override", "list", "none"))
    price_version_id = serializers.CharField(allow_null=True)
    reason = serializers.CharField(allow_null=True, help_text="Why there is no price")


@_answers(
    data=[{"id": 12, **STATE}],
    pagination={"limit": 50, "next_cursor": None, "has_more": False},
    listed=[LISTED],
    holds={"origin": "override", "price_version_id": "override:12.1", "reason": None},
)
class PricePage(serializers.Serializer[Any]):
    """A page of the price book; with `model`, also what holds for it."""

    data = Price(many=True)  # type: ignore[assignment]
    pagination = paging.Pagination()
    listed = ListedPrice(many=True, help_text="The bundled prices of `model`; empty without it")
    holds = Holding(allow_null=True, help_text="What a call of `model` is priced with; null without it")


@extend_schema_serializer(
    examples=[
        OpenApiExample("A price of one's own", value=SENT, request_only=True),
        OpenApiExample("Tiers, for every model of a family", value=TIERED, request_only=True),
    ]
)
class PriceChange(Body):
    """What can be said of an entry."""

    provider = Text(required=False, allow_null=True, max_length=MAX_NAME, help_text="none or null: any")
    match = serializers.ChoiceField(PriceVersion.Match.choices, required=False)
    model = Text(max_length=MAX_NAME, help_text="A name, the beginning of one, or a regular expression")
    service_tier = serializers.ChoiceField(SERVICE_TIERS, required=False, allow_null=True)
    effective_from = Moment(required=False, allow_null=True, help_text="null: from the beginning; not given: now")
    effective_to = Moment(required=False, allow_null=True)
    prices = GivenPrices()
    tiers = GivenTiers(required=False)
    source = Text(  # type: ignore[assignment]
        required=False, allow_blank=True, max_length=500, help_text="Where the price is written down"
    )
    note = Text(required=False, allow_blank=True, max_length=1000)


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A new price",
            value={"model": "gpt-4o", "prices": {"input": 1.8, "output": 7.5}, "note": "Renegotiated"},
            request_only=True,
        )
    ]
)
class PriceUpdate(PriceChange):
    """What changes of an entry."""

    expected_version = Whole(
        required=False, min_value=1, max_value=HIGHEST_ID, help_text="Refuse if it is in another state by now"
    )
