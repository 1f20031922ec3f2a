"""What a call cost: usage times the price that held at its time.

A price is looked up once per provider, model, service tier and day and kept in the process; after that a call is
priced with a few integer multiplications. Costs are whole trillionths of a dollar (1e-12), rounded once.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from apps.costs.books import FEE, INPUT, OUTPUT, Book, Rates, compile_book
from apps.costs.matching import Entry, find
from apps.costs.usage import Usage, split

if TYPE_CHECKING:
    from genai_prices.types import ModelPrice

__all__ = ["REASONS", "Priced", "Usage", "price"]

DAY_US = 86_400_000_000
LARGEST = 2**63 - 1
_KEPT = 16_384

Reason = Literal[
    "no_model", "unknown_model", "no_usage", "no_price_for_usage", "no_price_for_tier", "usage_out_of_range"
]
REASONS: dict[Reason, str] = {
    "no_model": "The span names no model.",
    "unknown_model": "The price list has no such model for this provider.",
    "no_usage": "The span reports no usage.",
    "no_price_for_usage": "The model is listed, but a kind of usage that it reports has no price.",
    "no_price_for_tier": "The model is listed, but not for this service tier.",
    "usage_out_of_range": "The usage is too large to be true.",
}


class Priced(NamedTuple):
    """Costs in picodollars, or a reason why there are none. Fees belong to no side, so the total may exceed the sum."""

    prompt_cost: int | None = None
    completion_cost: int | None = None
    total_cost: int | None = None
    price_version_id: str | None = None
    unpriced_reason: Reason | None = None


class Day(NamedTuple):
    """The books of one model on one day, and the time of day (microseconds) at which each begins.

    Where an organization's own price holds for a part of the day only, the rest may be unpriced.
    """

    begins: tuple[int, ...]
    books: tuple[Book | Priced, ...]


Key = tuple[str | None, str | None, str | None, int]  # provider, model, service tier, day
_days: dict[Key, Day | Priced] = {}


class Overrides(Protocol):
    """An organization's own prices (apps.costs.pricebook.overrides)."""

    @property
    def days(self) -> dict[Key, Day | Priced]:
        """What was resolved before."""

    def resolve(self, key: Key) -> Day | Priced:
        """The prices of one model on one day."""


def price(
    *,
    provider: str | None,
    model: str | None,
    at_us: int,
    usage: Usage,
    service_tier: str | None = None,
    overrides: Overrides | None = None,
) -> Priced:
    """Price one call.

    Args:
        provider: who was called, as sent or normalised; None lets the model's name decide.
        model: the billed model, as sent.
        at_us: when the call began, microseconds since the Unix epoch: prices hold from a date on.
        usage: inclusive counts.
        service_tier: batch, flex, priority and the like, as sent.
        overrides: the organization's own prices, which come before the price list's.
    """
    key = (provider, model, service_tier, at_us // DAY_US)
    day = (_days if overrides is None else overrides.days).get(key)
    if day is None:
        day = _remember(key, overrides)
    if isinstance(day, Priced):
        return day
    books = day.books
    book = books[0] if len(books) == 1 else books[bisect_right(day.begins, at_us % DAY_US) - 1]
    if isinstance(book, Priced):
        return book
    if usage.prompt is None and usage.completion is None and not usage.other:
        return _unpriced("no_usage")
    return _cost(book, usage)


def forget_prices() -> None:
    """Empty the process's cache of prices."""
    _days.clear()


def _unpriced(reason: Reason) -> Priced:
    return Priced(unpriced_reason=reason)


def _cost(book: Book, usage: Usage) -> Priced:
    prompt, completion, cached, written, reasoning, other = usage
    rates = book.rates(prompt or 0) if book.starts else book.bands[0]
    if other or None in rates or "requests" in rates.of:
        return _detailed_cost(book, rates, usage)
    text_in, text_cached, text_write, text_out, text_reasoning, _ = rates
    cached, written = max(0, cached or 0), max(0, written or 0)
    uncached = max(0, (prompt or 0) - cached - written)
    out = max(0, completion or 0)
    thought = max(0, min(reasoning or 0, out))
    # `None in rates` has ruled out that any of these is None.
    spent_in = uncached * text_in + cached * text_cached + written * text_write  # type: ignore[operator]
    spent_out = (out - thought) * text_out + thought * text_reasoning  # type: ignore[operator]
    return _rounded(book, usage, spent_in, spent_out, 0)


def _detailed_cost(book: Book, rates: Rates, usage: Usage) -> Priced:
    counts = split(usage, book.shortest_audio)
    if not counts and usage.prompt is None and usage.completion is None:
        return _unpriced("no_usage")
    if "requests" in rates.of:
        counts["requests"] = 1
    spent = [0, 0, 0]
    for kind, count in counts.items():
        rate = rates.of.get(kind)
        if rate is None:
            return _unpriced("no_price_for_usage")
        spent[book.sides[kind]] += count * rate
    return _rounded(book, usage, spent[INPUT], spent[OUTPUT], spent[FEE])


def _rounded(book: Book, usage: Usage, spent_in: int, spent_out: int, fees: int) -> Priced:
    scale, total = book.scale, spent_in + spent_out + fees
    if scale != 1:
        spent_in, spent_out, total = _half_even(spent_in, scale), _half_even(spent_out, scale), _half_even(total, scale)
    if total > LARGEST:
        return _unpriced("usage_out_of_range")
    return Priced(
        None if usage.prompt is None and not spent_in else spent_in,
        None if usage.completion is None and not spent_out else spent_out,
        total,
        book.name,
    )


def _half_even(numerator: int, denominator: int) -> int:
    whole, rest = divmod(numerator, denominator)
    twice = 2 * rest
    return whole + (twice > denominator or (twice == denominator and whole % 2 == 1))


def _remember(key: Key, overrides: Overrides | None) -> Day | Priced:
    days = _days if overrides is None else overrides.days
    if len(days) >= _KEPT:
        days.clear()  # a flood of invented model names must not hold memory
    found = days[key] = listed_day(key) if overrides is None else overrides.resolve(key)
    return found


def listed_day(key: Key) -> Day | Priced:
    """The price list's prices of one model on one day, or why there are none."""
    provider, model, tier, day = key
    if not model or not model.strip():
        return _unpriced("no_model")
    entry = find(provider, model)
    if entry is None:
        return _unpriced("unknown_model")
    midnight = datetime.fromtimestamp(day * 86_400, tz=UTC) if -719_162 < day < 2_932_896 else None
    if midnight is None:
        return _unpriced("unknown_model")
    begins: list[int] = []
    books: list[Book] = []
    for moment in sorted(_changes(entry)):
        prices = prices_at(entry, midnight + timedelta(microseconds=moment), special_tier(tier))
        if prices is None:
            return _unpriced("no_price_for_tier")
        begins.append(moment)
        books.append(compile_book(listed_name(entry, special_tier(tier)), prices, _shortest_audio(entry)))
    return Day(tuple(begins), tuple(books))


def listed_name(entry: Entry, tier: str | None) -> str:
    """The price version of an entry of the price list."""
    return f"{data_version()}:{entry.name}{f':{tier}' if tier else ''}"


@cache
def data_version() -> str:
    """The name of the bundled price list."""
    return f"genai-prices:{version('genai-prices')}"


def _changes(entry: Entry) -> set[int]:
    """The times of day, in microseconds, at which this model's price may change (some are cheaper at night)."""
    moments = {0}
    for constraint in _constraints(entry):
        for clock in (getattr(constraint, "start_time", None), getattr(constraint, "end_time", None)):
            if isinstance(clock, time):
                offset = clock.utcoffset() or timedelta()
                local = timedelta(hours=clock.hour, minutes=clock.minute, seconds=clock.second)
                moments.add(int((local - offset) / timedelta(microseconds=1)) % DAY_US)
    return moments


def _constraints(entry: Entry) -> Iterator[object]:
    prices = entry.model.prices
    yield from (item.constraint for item in prices) if isinstance(prices, list) else ()
    yield from (item.constraint for item in entry.model.price_variants or ())


# Tiers that are billed at the listed price, and those that never are.
_STANDARD = frozenset({"", "auto", "default", "standard", "standard_only", "on_demand", "ondemand", "none"})
SPECIAL: dict[str, tuple[dict[str, str], ...]] = {
    "batch": ({"processing": "batch"},),
    "flex": ({"service_tier": "flex"},),
    "priority": ({"service_tier": "priority"},),
    "fast": ({"service_tier": "fast"}, {"speed": "fast"}),
}


def special_tier(raw: str | None) -> str | None:
    """The special tier that a sender named, or None for the listed price."""
    text = (raw or "").strip().lower().replace("-", "_")
    return text if text in SPECIAL and text not in _STANDARD else None


def prices_at(entry: Entry, moment: datetime, tier: str | None) -> ModelPrice | None:
    """The price that holds at a moment; None where the tier has a price of its own that is not listed."""
    if tier is None:
        return entry.model.get_prices(moment)
    if entry.lent:
        return None  # the maker's tiers are not those of whoever sells its model
    for context in SPECIAL[tier]:
        for variant in entry.model.price_variants or ():
            holds = variant.constraint is None or variant.constraint.active(moment)
            if holds and variant.when == context:
                return entry.model.get_prices(moment, context)
    return None


def _shortest_audio(entry: Entry) -> int:
    """Groq bills at least ten seconds a transcription."""
    return 10 if entry.provider.id == "groq" and entry.model.id.startswith("whisper-large-v3") else 0
