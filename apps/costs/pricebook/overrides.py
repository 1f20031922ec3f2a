"""An organization's prices in use: which entry holds for a call, kept in the process, at most ten seconds old.

The first of these that matches and holds at the time of the call is the answer: exact names before prefixes before
regular expressions; of prefixes and expressions the longer one; then an entry for the call's provider before one for
any, and one for its service tier before one for any; then the older entry. Without one, the price list decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from django.db.models import Q, QuerySet

from apps.common.cells import Expiring
from apps.costs.books import Book
from apps.costs.matching import names_of
from apps.costs.pricebook.kinds import compile_prices
from apps.costs.pricebook.models import PriceVersion
from apps.costs.pricing import DAY_US, Day, Key, Priced, listed_day, special_tier
from apps.costs.providers import infer_provider, normalise_provider

CACHE_SECONDS = 10.0
STANDARD = "standard"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ALWAYS = (-(2**63), 2**63)
Rank = tuple[int, ...]


class Rule(NamedTuple):
    """A state of an entry, compiled. Times are microseconds since the Unix epoch, half-open."""

    entry: int
    provider: str | None
    match: str
    model: str
    tier: str | None
    begin: int
    end: int
    book: Book
    pattern: re.Pattern[str] | None

    def rank(self, names: Sequence[str], provider: str | None, tier: str) -> Rank | None:
        """How well it fits a call, smaller is better; None where it does not fit."""
        if self.provider not in (None, provider) or self.tier not in (None, tier):
            return None
        closeness = self._closeness(names)
        return closeness and (*closeness, self.provider is None, self.tier is None, self.entry)

    def _closeness(self, names: Sequence[str]) -> Rank | None:
        if self.match == PriceVersion.Match.EXACT:
            return (0, names.index(self.model)) if self.model in names else None
        if self.match == PriceVersion.Match.PREFIX:
            return (1, -len(self.model)) if any(name.startswith(self.model) for name in names) else None
        assert self.pattern is not None
        return (2, -len(self.model)) if any(self.pattern.search(name) for name in names) else None


class OrganizationPrices:
    """The compiled price book of one organization; `days` fills as calls are priced."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.days: dict[Key, Day | Priced] = {}
        self._exact: dict[str, list[Rule]] = {}
        self._others: list[Rule] = []
        for rule in rules:
            if rule.match == PriceVersion.Match.EXACT:
                self._exact.setdefault(rule.model, []).append(rule)
            else:
                self._others.append(rule)

    def fitting(self, provider: str | None, model: str, service_tier: str | None) -> list[Rule]:
        """The entries that fit a model at any time, the first before the others."""
        names = names_of(provider, model)
        asked = normalise_provider(provider) if provider else infer_provider(model)
        tier = special_tier(service_tier) or STANDARD
        candidates = [rule for name in names for rule in self._exact.get(name, ())] + self._others
        ranked = [(rank, rule) for rule in candidates if (rank := rule.rank(names, asked, tier)) is not None]
        return [rule for _, rule in sorted(ranked, key=lambda pair: pair[0])]

    def resolve(self, key: Key) -> Day | Priced:
        """The prices of one model on one day."""
        provider, model, tier, day = key
        listed = listed_day(key)
        if not model or not model.strip():
            return listed
        midnight = day * DAY_US
        rules = [
            rule
            for rule in self.fitting(provider, model, tier)
            if rule.begin < midnight + DAY_US and rule.end > midnight
        ]
        if not rules:
            return listed
        edges = {edge - midnight for rule in rules for edge in (rule.begin, rule.end) if 0 < edge - midnight < DAY_US}
        begins = sorted({0, *edges, *(listed.begins if isinstance(listed, Day) else ())})
        parts = [_book_at(rules, listed, midnight, moment) for moment in begins]
        return Day(tuple(begins), tuple(parts))


def _book_at(rules: Sequence[Rule], listed: Day | Priced, midnight: int, moment: int) -> Book | Priced:
    for rule in rules:
        if rule.begin <= midnight + moment < rule.end:
            return rule.book
    if isinstance(listed, Priced):
        return listed
    return [book for begin, book in zip(listed.begins, listed.books, strict=True) if begin <= moment][-1]


def micros(moment: datetime) -> int:
    """Microseconds since the Unix epoch."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def compiled(version: PriceVersion) -> Rule:
    """A state of an entry, ready to price."""
    begin, end = version.effective_from, version.effective_to
    return Rule(
        entry=version.entry_id,
        provider=version.provider,
        match=version.match,
        model=version.model,
        tier=version.service_tier,
        begin=_ALWAYS[0] if begin is None else micros(begin),
        end=_ALWAYS[1] if end is None else micros(end),
        book=compile_prices(version.price_version_id, version.prices, version.tiers),
        pattern=re.compile(version.model, re.IGNORECASE) if version.match == PriceVersion.Match.REGEX else None,
    )


def believed(organization_id: int, at: datetime | None = None) -> QuerySet[PriceVersion]:
    """What the book of an organization said at a time; what it says where none is given."""
    rows = PriceVersion.objects.filter(organization_id=organization_id)
    if at is None:
        return rows.filter(superseded_at=None)
    return rows.filter(Q(superseded_at=None) | Q(superseded_at__gt=at), recorded_at__lte=at)


def compile_book_of(versions: Iterable[PriceVersion]) -> OrganizationPrices | None:
    """The book that these states make, or None for an empty one."""
    rules = [compiled(version) for version in versions]
    return OrganizationPrices(rules) if rules else None


class _Held(NamedTuple):
    """A compiled book and the states that it was made from."""

    states: tuple[int, ...]
    prices: OrganizationPrices | None


_recent: Expiring[int, _Held] = Expiring(CACHE_SECONDS)
_compiled: dict[int, _Held] = {}
_KEPT = 1024


def prices_of(organization_id: int) -> OrganizationPrices | None:
    """The prices that an organization set for itself, None where it set none; up to ten seconds old."""
    found = _recent.get(organization_id)
    if found is None:
        found = _looked_up(organization_id)
        _recent.put(organization_id, found)
    return found.prices


def _looked_up(organization_id: int) -> _Held:
    """Compiled anew only where the book has changed, since what was resolved is worth keeping."""
    states = tuple(believed(organization_id).order_by("pk").values_list("pk", flat=True))
    held = _compiled.get(organization_id)
    if held is None or held.states != states:
        versions = PriceVersion.objects.filter(pk__in=states, organization_id=organization_id)
        held = _Held(states, compile_book_of(versions) if states else None)
        if len(_compiled) >= _KEPT:
            _compiled.clear()
        _compiled[organization_id] = held
    return held


def forget_books() -> None:
    """Empty this process's cache of price books."""
    _recent.clear()
    _compiled.clear()
