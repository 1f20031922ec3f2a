"""Why a cost changed: its change as the exact sum of the changes of the factors it is a product of.

Of each model i (a pair of provider and model):

    cost_i = N * m_i * q_i * c_i * p_i

N requests of all models, m_i the model's share of them, q_i its tokens a request, c_i the share of its requests that
have a price, p_i the price a token of those. The effect of a factor is its Shapley value: what changing it from the
earlier to the later period changes, averaged over all orders in which the five may be changed. It is symmetric, depends
on no order, is zero for a factor that did not change, and the five add up to the difference exactly (A. Shorrocks,
"Decomposition procedures for distributional analysis: a unified framework based on the Shapley value", Journal of
Economic Inequality 11, 2013).

A factor that one of the periods does not know is taken to be what it is in the other, so that it has no effect: a new
or a gone model changes the mix and the volume alone. A model that has no tokens in one of the periods has no effect of
tokens; its price is then a request's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from math import factorial, lcm

FACTORS = ("volume", "mix", "tokens_per_request", "priced_share", "price")
_ALL = range(len(FACTORS))
_ORDERS = factorial(len(FACTORS))


@dataclass(frozen=True, slots=True)
class Side:
    """A model in one of the periods; the cost in picodollars."""

    requests: int = 0
    priced: int = 0
    tokens: int = 0
    cost: int = 0

    def __add__(self, other: Side) -> Side:
        return Side(
            self.requests + other.requests,
            self.priced + other.priced,
            self.tokens + other.tokens,
            self.cost + other.cost,
        )


def effects(before: Side, after: Side, all_before: int, all_after: int) -> tuple[Fraction, ...]:
    """The exact effect of each factor on one model's cost, in picodollars.

    Args:
        all_before, all_after: the requests of all models.
    """
    pairs = _factors(before, after, all_before, all_after)
    # Over one denominator a factor, products of whole numbers are all there is to do.
    bottoms = [lcm(low.denominator, high.denominator) for low, high in pairs]
    tops = [(int(low * bottom), int(high * bottom)) for (low, high), bottom in zip(pairs, bottoms, strict=True)]
    products = [1]
    for low, high in tops:
        products = [value * low for value in products] + [value * high for value in products]
    scale = _ORDERS
    for bottom in bottoms:
        scale *= bottom
    return tuple(Fraction(_weighted(products, factor), scale) for factor in _ALL)


def _weighted(products: Sequence[int], factor: int) -> int:
    """The Shapley value of a factor, times the number of orders; a bit of the index says which factors have changed."""
    others = [other for other in _ALL if other != factor]
    total = 0
    for size in range(len(others) + 1):
        weight = factorial(size) * factorial(len(others) - size)
        for changed in combinations(others, size):
            at = sum(1 << other for other in changed)
            total += weight * (products[at | 1 << factor] - products[at])
    return total


def _factors(before: Side, after: Side, all_before: int, all_after: int) -> list[tuple[Fraction, Fraction]]:
    tokens = bool(before.tokens or not before.requests) and bool(after.tokens or not after.requests)
    known = [_ratios(side, whole, tokens=tokens) for side, whole in ((before, all_before), (after, all_after))]
    pairs = [(Fraction(all_before), Fraction(all_after))]
    for low, high in zip(*known, strict=True):
        either = next((value for value in (low, high) if value is not None), Fraction(0))
        pairs.append((either if low is None else low, either if high is None else high))
    return pairs


def _ratios(side: Side, whole: int, *, tokens: bool) -> list[Fraction | None]:
    """Mix, tokens a request, priced share, price; None for what this period does not know."""
    if not side.requests:
        return [Fraction(0) if whole else None, None, None, None]
    amount = Fraction(side.tokens if tokens else side.requests)
    share = Fraction(side.priced, side.requests)
    return [
        Fraction(side.requests, whole),
        amount / side.requests,
        share,
        Fraction(side.cost) / (amount * share) if side.priced else None,
    ]


def rounded(exact: Sequence[Fraction]) -> tuple[int, ...]:
    """Whole numbers that add up to what the exact ones add up to, which must be whole.

    All are rounded down; what is then missing goes, one each, to those that lost most, in order where equal.
    """
    floors = [value.numerator // value.denominator for value in exact]
    missing = int(sum(exact, Fraction(0))) - sum(floors)
    lost = sorted(range(len(exact)), key=lambda index: floors[index] - exact[index])
    for index in lost[:missing]:
        floors[index] += 1
    return tuple(floors)
