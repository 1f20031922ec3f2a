"""The words that somebody searches for: `parcel "on its way" deliver* -refund OR return`.

Words side by side must all be there, OR stands between alternatives and binds weaker, `-` in front means not, quotes
make a phrase, a star behind a word makes it a beginning of words. As in every text, signs separate words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from apps.common.reads.reading import bad

MAX_QUERY: Final = 1_000
MAX_TERMS: Final = 50
_PIECE = re.compile(r'(-?)(?:"([^"]*)"?|([^\s"]+))(\*?)')


@dataclass(frozen=True, slots=True)
class Term:
    """A word or a phrase.

    Args:
        text: without quotes, backslashes and stars.
        prefix: its words are beginnings of words.
    """

    text: str
    prefix: bool = False
    negated: bool = False


Alternatives = tuple[tuple[Term, ...], ...]


def parsed(text: str, where: str) -> Alternatives:
    """Alternatives, each of terms that must all hold.

    Raises:
        ApiError: 1202 where nothing is asked for, 1205 for too much.
    """
    if len(text) > MAX_QUERY:
        raise bad(where, f"A search is at most {MAX_QUERY} characters long.", 1205)
    groups: list[list[Term]] = [[]]
    for minus, phrase, word, star in _PIECE.findall(text):
        if word == "OR" and not minus:
            groups.append([])
            continue
        term = _term(phrase or word, bool(minus), bool(star))
        if term is not None:
            groups[-1].append(term)
    found = tuple(tuple(group) for group in groups if group)
    if not found:
        raise bad(where, "There is no word to search for: words are made of letters and digits.")
    if sum(map(len, found)) > MAX_TERMS:
        raise bad(where, f"A search has at most {MAX_TERMS} words and phrases.", 1205)
    return found


def _term(text: str, negated: bool, star: bool) -> Term | None:
    prefix = star or text.endswith("*")
    plain = re.sub(r"['\\*]", " ", text)
    return Term(plain, prefix, negated) if any(letter.isalnum() for letter in plain) else None
