"""The bundled price list, to be read: which price holds for a model at a time, and why."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from apps.costs.matching import Entry, find
from apps.costs.pricebook.kinds import MILLION, PRICE_KINDS
from apps.costs.pricebook.overrides import OrganizationPrices, Rule, micros
from apps.costs.pricing import REASONS, SPECIAL, Reason, listed_name, prices_at, special_tier

if TYPE_CHECKING:
    from genai_prices.types import ModelPrice

_NAMES = {kind.key: (name, kind.per) for name, kind in PRICE_KINDS.items()}
# What the list gives for a thousand is given here for one, as in the book.
_THOUSANDS = ("_kcount", "_kpages")


def listed_prices(provider: str | None, model: str, at: datetime) -> list[dict[str, Any]]:
    """The bundled prices of a model at a time: the everyday one, then those of special service tiers."""
    entry = find(provider, model)
    if entry is None:
        return []
    found = [(tier, prices_at(entry, at, tier)) for tier in (None, *SPECIAL)]
    return [_shown(entry, tier, prices) for tier, prices in found if prices is not None]


def _shown(entry: Entry, tier: str | None, prices: ModelPrice) -> dict[str, Any]:
    base: dict[str, Decimal] = {}
    higher: dict[int, dict[str, Decimal]] = {}
    for key, value in vars(prices).items():
        if value is None:
            continue
        base_price = getattr(value, "base", value)
        if not isinstance(base_price, Decimal):
            continue
        name, divisor = _named(key)
        base[name] = base_price / divisor
        for step in getattr(value, "tiers", ()):
            higher.setdefault(step.start, {})[name] = step.price / divisor
    return {
        "price_version_id": listed_name(entry, tier),
        "provider": entry.provider.id,
        "model": entry.model.id,
        "service_tier": tier,
        "prices": base,
        "tiers": [{"above": start, "prices": prices} for start, prices in sorted(higher.items())],
    }


def _named(key: str) -> tuple[str, int]:
    """A price's name in the book and what to divide it by; what the book does not know keeps the list's name."""
    name, per = _NAMES.get(key, (key, MILLION))
    return name, 1000 if key.endswith(_THOUSANDS) and per == 1 and key in _NAMES else 1


def holding(
    book: OrganizationPrices | None, provider: str | None, model: str, service_tier: str | None, at: datetime
) -> Mapping[str, Any]:
    """What a call of this model would be priced with: an entry of the book, the list, or nothing and why."""
    for rule in book.fitting(provider, model, service_tier) if book is not None else ():
        if rule.begin <= micros(at) < rule.end:
            return _answer("override", rule)
    entry = find(provider, model)
    tier = special_tier(service_tier)
    if entry is not None and prices_at(entry, at, tier) is not None:
        return {"origin": "list", "price_version_id": listed_name(entry, tier), "reason": None}
    reason: Reason = "unknown_model" if entry is None else "no_price_for_tier"
    return {"origin": "none", "price_version_id": None, "reason": f"{reason}: {REASONS[reason]}"}


def _answer(origin: str, rule: Rule) -> Mapping[str, Any]:
    return {"origin": origin, "price_version_id": rule.book.name, "reason": None}
