"""Effects add up to the difference exactly, whatever the data, and a factor that did not change has none."""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from apps.costs.reports.change import MODELS, Name, decomposed
from apps.costs.reports.decompose import FACTORS, Side, effects, rounded

COUNTS = st.one_of(st.integers(0, 5), st.integers(0, 10**7))


@st.composite
def sides(draw: Any) -> Side:
    requests = draw(COUNTS)
    if not requests:
        return Side()
    priced = draw(st.integers(0, requests))
    cost = draw(st.integers(0, 10**17)) if priced else 0
    return Side(requests, priced, draw(COUNTS), cost)


PERIODS = st.dictionaries(st.tuples(st.just("p"), st.sampled_from("abcdef")), sides(), max_size=6)


def by_orders(before: Side, after: Side, all_before: int, all_after: int) -> tuple[Fraction, ...]:
    """The definition, word by word, for a model that both periods know in full: mean over all orders of change."""

    def factors(side: Side, whole: int) -> list[Fraction]:
        return [
            Fraction(whole),
            Fraction(side.requests, whole),
            Fraction(side.tokens, side.requests),
            Fraction(side.priced, side.requests),
            Fraction(side.cost * side.requests, side.tokens * side.priced),
        ]

    low, high = factors(before, all_before), factors(after, all_after)
    sums = [Fraction(0)] * len(FACTORS)
    orders = list(permutations(range(len(FACTORS))))
    for order in orders:
        at, was = list(low), product(low)
        for factor in order:
            at[factor] = high[factor]
            sums[factor] += product(at) - was
            was = product(at)
    return tuple(value / len(orders) for value in sums)


def product(values: list[Fraction]) -> Fraction:
    made = Fraction(1)
    for value in values:
        made *= value
    return made


@settings(max_examples=300, deadline=None)
@given(before=PERIODS, after=PERIODS)
def test_effects_add_up_to_the_difference(before: Any, after: Any) -> None:
    listed, rest = decomposed(before, after)
    assert rest is None
    assert {name for name, _ in listed} == {*before, *after}
    for _, item in listed:
        assert sum(item.effects) == item.difference
    total = sum(sum(item.effects) for _, item in listed)
    assert total == sum(s.cost for s in after.values()) - sum(s.cost for s in before.values())


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(1, 10**6), min_size=8, max_size=8),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
)
def test_effects_are_means_over_all_orders(numbers: list[int], more_before: int, more_after: int) -> None:
    requests = numbers[0] + 1, numbers[1] + 1
    low = Side(requests[0], 1 + numbers[2] % requests[0], numbers[4], numbers[6])
    high = Side(requests[1], 1 + numbers[3] % requests[1], numbers[5], numbers[7])
    sums = low.requests + more_before, high.requests + more_after
    assert effects(low, high, *sums) == by_orders(low, high, *sums)


BASE = Side(requests=10, priced=10, tokens=1000, cost=50_000)
OTHER = Side(requests=30, priced=30, tokens=600, cost=9_000)


def named(*items: tuple[Side, Side]) -> dict[str, int]:
    before: dict[Name, Side] = {("p", str(n)): low for n, (low, _) in enumerate(items)}
    after: dict[Name, Side] = {("p", str(n)): high for n, (_, high) in enumerate(items)}
    listed, _ = decomposed(before, after)
    sums = [sum(item.effects[at] for _, item in listed) for at in range(len(FACTORS))]
    return {name: value for name, value in zip(FACTORS, sums, strict=True) if value}


def test_only_what_changed_has_an_effect() -> None:
    assert named((BASE, BASE), (OTHER, OTHER)) == {}
    assert named((BASE, Side(20, 20, 2000, 100_000)), (OTHER, Side(60, 60, 1200, 18_000))) == {"volume": 59_000}
    assert named((BASE, Side(20, 20, 2000, 100_000)), (OTHER, Side(20, 20, 400, 6_000))) == {"mix": 47_000}
    assert named((BASE, Side(10, 10, 3000, 150_000)), (OTHER, OTHER)) == {"tokens_per_request": 100_000}
    assert named((BASE, Side(10, 10, 1000, 70_000)), (OTHER, OTHER)) == {"price": 20_000}
    assert named((BASE, Side(10, 5, 1000, 25_000)), (OTHER, OTHER)) == {"priced_share": -25_000}
    # Without tokens the price is a request's.
    flat = Side(10, 10, 0, 40)
    assert named((flat, Side(10, 10, 0, 90))) == {"price": 50}


def test_a_new_or_gone_model_is_a_matter_of_mix_and_volume() -> None:
    for pair in ((Side(), BASE), (BASE, Side())):
        found = named(pair, (OTHER, OTHER))
        assert set(found) == {"volume", "mix"}
        assert abs(sum(found.values())) == BASE.cost
    assert named((Side(), BASE)) == {"volume": BASE.cost}, "where nothing was, there was no mix"


def test_what_is_left_over_by_rounding_goes_to_those_that_lost_most() -> None:
    third = Fraction(1, 3)
    assert rounded([third, third, third]) == (1, 0, 0)
    assert rounded([-third, -2 * third, Fraction(2)]) == (0, -1, 2)
    assert rounded([Fraction(5), Fraction(0)]) == (5, 0)


def test_more_models_than_are_looked_at_one_by_one_are_taken_as_one() -> None:
    before: dict[Name, Side] = {("p", str(n)): Side(1 + n % 7, 1, 10 + n, 100 * n) for n in range(MODELS + 40)}
    after: dict[Name, Side] = {("p", str(n)): Side(1 + n % 5, 1, 20 + n, 130 * n) for n in range(20, MODELS + 60)}
    listed, rest = decomposed(before, after)
    assert len(listed) == MODELS
    assert rest is not None
    total = sum(sum(item.effects) for _, item in listed) + sum(rest.effects)
    assert total == sum(s.cost for s in after.values()) - sum(s.cost for s in before.values())
