"""Prices ready to multiply: a price list's entry as integers per kind of usage.

Usage is cut into disjoint kinds (every token falls into exactly one), and each kind has one price: that of the most
specific unit which the entry prices. Prices are whole numbers of trillionths of a dollar, times `scale` where they
are finer than that, so sums are exact; the end result is rounded once.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cache
from math import lcm
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from genai_prices.types import ModelPrice

PICO = 10**12


def _tokens(direction: str, **rest: str) -> dict[str, str]:
    return {"family": "tokens", "direction": direction, **rest}


# What one unit of each kind is, in the price list's own terms.
KINDS: dict[str, dict[str, str]] = {
    "input": _tokens("input", modality="text"),
    "input_audio": _tokens("input", modality="audio"),
    "input_image": _tokens("input", modality="image"),
    "input_video": _tokens("input", modality="video"),
    "cached": _tokens("input", modality="text", token_type="cache_read"),
    "cached_audio": _tokens("input", modality="audio", token_type="cache_read"),
    "cached_image": _tokens("input", modality="image", token_type="cache_read"),
    "cache_write": _tokens("input", modality="text", token_type="cache_write"),
    "cache_write_5m": _tokens("input", modality="text", token_type="cache_write", cache_ttl="5m"),
    "cache_write_1h": _tokens("input", modality="text", token_type="cache_write", cache_ttl="1h"),
    "output": _tokens("output", modality="text"),
    "output_audio": _tokens("output", modality="audio"),
    "output_image": _tokens("output", modality="image"),
    "output_video": _tokens("output", modality="video"),
    "reasoning": _tokens("output", modality="text", token_type="reasoning"),
    "citation": _tokens("output", modality="text", token_type="citation"),
    "audio_seconds": {"family": "durations", "modality": "audio"},
    "input_audio_seconds": {"family": "durations", "direction": "input", "modality": "audio"},
    "output_audio_seconds": {"family": "durations", "direction": "output", "modality": "audio"},
    "input_characters": {"family": "characters", "direction": "input"},
    "input_pages": {"family": "document_pages", "direction": "input"},
    "input_annotated_pages": {"family": "document_pages", "direction": "input", "page_type": "annotated"},
    "web_searches": {"family": "tool_calls", "tool_type": "web_search"},
    "social_searches": {"family": "tool_calls", "tool_type": "social_search"},
    "storage_searches": {"family": "tool_calls", "tool_type": "storage_search"},
    "code_executions": {"family": "tool_calls", "tool_type": "code_execution"},
    "rerank_searches": {"family": "rerank"},
    "requests": {"family": "requests"},
}
INPUT, OUTPUT, FEE = 0, 1, 2
_SIDES = {"input": INPUT, "output": OUTPUT}


class Rates(NamedTuple):
    """The prices of one band of prompt sizes: the everyday kinds as fields, all of them in `of`."""

    input: int | None
    cached: int | None
    cache_write: int | None
    output: int | None
    reasoning: int | None
    of: Mapping[str, int]


class Book(NamedTuple):
    """The prices of one model at one time. `starts[i]` tokens are left behind to reach `bands[i + 1]`.

    `sides` says on which side of the bill a kind counts: an hour of audio that is priced whoever speaks is a fee.
    """

    name: str
    scale: int
    starts: tuple[int, ...]
    bands: tuple[Rates, ...]
    sides: Mapping[str, int]
    shortest_audio: int = 0

    def rates(self, prompt_tokens: int) -> Rates:
        """The prices that hold for a prompt of this size: a band begins above its threshold."""
        return self.bands[bisect_left(self.starts, prompt_tokens)]


@cache
def _units() -> dict[str, dict[str, Any]]:
    from genai_prices.data_units import unit_data

    return {unit["price_key"]: unit for unit in unit_data.values()}


def _price_keys(priced: Mapping[str, Any]) -> dict[str, str]:
    """For each kind the price key of the most specific unit that covers it, where any does."""
    chosen: dict[str, str] = {}
    for kind, dimensions in KINDS.items():
        covering = [key for key in priced if _units()[key]["dimensions"].items() <= dimensions.items()]
        if covering:
            chosen[kind] = max(covering, key=lambda key: len(_units()[key]["dimensions"]))
    return chosen


def _at(price: Any, band: int | None) -> Fraction:
    """A price in dollars for the band that begins above `band` prompt tokens (None: the lowest)."""
    tiers = getattr(price, "tiers", None)
    if tiers is None:
        return Fraction(price)
    reached = [tier.price for tier in tiers if band is not None and tier.start <= band]
    return Fraction(reached[-1] if reached else price.base)


def compile_book(name: str, prices: ModelPrice, shortest_audio: int = 0) -> Book:
    """Make a price list's entry ready to multiply."""
    priced = {key: value for key, value in vars(prices).items() if value is not None and key in _units()}
    starts = tuple(sorted({tier.start for value in priced.values() for tier in getattr(value, "tiers", ())}))
    per = {key: _units()[key]["per"] for key in priced}
    bands = [{key: _at(value, band) / per[key] for key, value in priced.items()} for band in (None, *starts)]
    return assemble(name, starts, bands, shortest_audio)


def assemble(
    name: str, starts: tuple[int, ...], prices: Sequence[Mapping[str, Fraction]], shortest_audio: int = 0
) -> Book:
    """A book out of dollars a unit by price key, for each band of prompt sizes; all bands price the same keys."""
    keys = _price_keys(prices[0])
    exact = [{kind: band[key] * PICO for kind, key in keys.items()} for band in prices]
    scale = lcm(*(value.denominator for band in exact for value in band.values())) if keys else 1
    bands = tuple(_rates({kind: int(value * scale) for kind, value in band.items()}) for band in exact)
    sides = {kind: _SIDES.get(_units()[key]["dimensions"].get("direction", ""), FEE) for kind, key in keys.items()}
    return Book(name, scale, starts, bands, sides, shortest_audio)


def _rates(of: dict[str, int]) -> Rates:
    get = of.get
    return Rates(get("input"), get("cached"), get("cache_write"), get("output"), get("reasoning"), of)
