"""What an entry of the price book may say."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from apps.common.errors import ApiError
from apps.common.patterns import fault
from apps.common.reads.reading import EARLIEST, LATEST, bad, number
from apps.costs.pricebook.kinds import PRICE_KINDS
from apps.costs.pricebook.models import PriceVersion
from apps.costs.pricebook.overrides import STANDARD
from apps.costs.pricing import SPECIAL
from apps.costs.providers import normalise_provider

MAX_NAME = 256
MAX_PRICE = Decimal(1_000_000)
PLACES = 12
MAX_TIERS = 8
MAX_THRESHOLD = 1_000_000_000
SERVICE_TIERS = (STANDARD, *SPECIAL)
# A name has at most 256 characters and is looked at once a day for each model.
_MAX_STEPS = 1_000_000


def money(value: Any, field: str) -> str:
    """A price in dollars as it is stored: no sign, no exponent, at most twelve decimals.

    Raises:
        ApiError: 1202 or 1203.
    """
    if isinstance(value, str) and not re.fullmatch(r"[0-9]{1,7}(\.[0-9]{1,40})?", value):
        raise bad(field, f"{field} must be a number of dollars such as 2.5.", 1203)
    amount = number(value, field)
    if amount < 0 or amount.is_signed():
        raise bad(field, f"{field} must not be negative.")
    if amount > MAX_PRICE:
        raise bad(field, f"{field} must be at most {MAX_PRICE} dollars.")
    text = format(amount, "f")
    places = len(text.partition(".")[2].rstrip("0"))
    if places > PLACES:
        raise bad(field, f"{field} has {places} decimals; at most {PLACES} are kept.")
    return text.rstrip("0").rstrip(".") if "." in text else text


def prices(value: Any, field: str = "prices", known: Sequence[str] = tuple(PRICE_KINDS)) -> dict[str, str]:
    """Prices by kind.

    Raises:
        ApiError: 12xx.
    """
    if not isinstance(value, Mapping) or not value:
        raise bad(field, f"{field} must be an object that prices at least one kind, such as input.", 1203)
    for kind in value:
        if kind not in known:
            message = f"{field} may price these kinds: {', '.join(known)}."
            raise bad(f"{field}.{str(kind)[:64]}", message, known=list(known))
    return {kind: money(value[kind], f"{field}.{kind}") for kind in PRICE_KINDS if kind in value}


def tiers(value: Any, base: Mapping[str, str]) -> list[dict[str, Any]]:
    """Prices of larger prompts, in the order of their thresholds. They price what the entry prices.

    Raises:
        ApiError: 12xx.
    """
    if not isinstance(value, list) or len(value) > MAX_TIERS:
        raise bad("tiers", f"tiers must be a list of at most {MAX_TIERS} objects with above and prices.", 1203)
    found: list[dict[str, Any]] = []
    for place, tier in enumerate(value):
        where = f"tiers.{place}"
        if not isinstance(tier, Mapping) or set(tier) != {"above", "prices"}:
            raise bad(where, "A tier has above, a number of prompt tokens, and prices.", 1203)
        above = tier["above"]
        if type(above) is not int or not 0 < above <= MAX_THRESHOLD:
            raise bad(f"{where}.above", f"above is a whole number of prompt tokens, 1 to {MAX_THRESHOLD}.")
        found.append({"above": above, "prices": prices(tier["prices"], f"{where}.prices", tuple(base))})
    if len({tier["above"] for tier in found}) < len(found):
        raise bad("tiers", "Each tier begins at a threshold of its own.")
    return sorted(found, key=lambda tier: tier["above"])


def pattern(match: str, text: str) -> str:
    """A model's name, the beginning of one, or an expression, as it is stored and compared: names in lower case.

    Raises:
        ApiError: 1202.
    """
    if not 0 < len(text.strip()) <= MAX_NAME or "\x00" in text:
        raise bad("model", f"model must be 1 to {MAX_NAME} characters, none of them null.")
    if match != PriceVersion.Match.REGEX:
        return text.strip().lower()
    problem = fault(text, longest=MAX_NAME, window=MAX_NAME, most_steps=_MAX_STEPS)
    if problem:
        raise bad("model", f"The expression {problem}.")
    return text


def provider(text: str | None) -> str | None:
    """A provider in the form in which spans keep it; none: any.

    Raises:
        ApiError: 1202.
    """
    if text is None:
        return None
    if not 0 < len(text.strip()) <= MAX_NAME or "\x00" in text:
        raise bad("provider", f"provider must be 1 to {MAX_NAME} characters, none of them null.")
    return normalise_provider(text)


def span_of_time(begin: datetime | None, end: datetime | None) -> None:
    """Refuse a time that ends before it begins, and years that no call lies in.

    Raises:
        ApiError: 1204.
    """
    for name, moment in (("effective_from", begin), ("effective_to", end)):
        if moment is not None and not EARLIEST <= moment.year <= LATEST:
            raise ApiError(1204, f"{name} must lie in the years {EARLIEST} to {LATEST}.", field=name)
    if begin is not None and end is not None and begin >= end:
        raise ApiError(1204, "effective_to must be after effective_from.", field="effective_to")


def checked(given: Mapping[str, Any], before: PriceVersion | None = None) -> dict[str, Any]:
    """An entry's whole state out of what is given and, for the rest, what it was before.

    Raises:
        ApiError: 12xx, naming the field.
    """
    whole = {**(stated(before) if before is not None else BLANK), **given}
    base = prices(whole["prices"])
    found = {
        **whole,
        "provider": provider(whole["provider"]),
        "model": pattern(whole["match"], whole["model"]),
        "prices": base,
        "tiers": tiers(whole["tiers"], base),
    }
    span_of_time(found["effective_from"], found["effective_to"])
    return found


FIELDS = (
    *("provider", "match", "model", "service_tier", "effective_from", "effective_to"),
    *("prices", "tiers", "source", "note"),
)
BLANK: dict[str, Any] = {
    "provider": None,
    "match": PriceVersion.Match.EXACT,
    "service_tier": None,
    "effective_to": None,
    "tiers": [],
    "source": "",
    "note": "",
}


def stated(version: PriceVersion) -> dict[str, Any]:
    """What a state says."""
    return {name: getattr(version, name) for name in FIELDS}
