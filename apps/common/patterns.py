"""Regular expressions that users write, run by `re`, which knows no time limit: refused if they could run for long."""

from __future__ import annotations

import re
from collections.abc import Iterable
from re import _constants as sre  # type: ignore[attr-defined, unused-ignore]
from re import _parser as sre_parser  # type: ignore[attr-defined, unused-ignore]
from typing import Any


class _Runaway(Exception):
    """The pattern can backtrack without a useful bound."""


def fault(pattern: object, *, longest: int, window: int, most_steps: int) -> str | None:
    """What is wrong with a pattern, as the end of a sentence; None where it may be run.

    Args:
        longest: how many characters the pattern may have.
        window: how long the texts are that it will be run on.
        most_steps: how many ways of matching may be tried in such a text, at most.
    """
    if not isinstance(pattern, str) or not 0 < len(pattern) <= longest:
        return f"must be text of 1 to {longest} characters"
    try:
        tree = sre_parser.parse(pattern)
        if re.compile(pattern).match(""):
            return "matches the empty text"
        steps = window * _steps(tree, window)
    except (re.error, RecursionError, OverflowError) as error:
        return f"is no regular expression ({error})"
    except _Runaway as error:
        return str(error)
    return "could take too long; use bounded repeats such as {1,40}" if steps > most_steps else None


def _steps(tree: Iterable[tuple[Any, Any]], window: int) -> int:
    """An upper bound on the ways in which a pattern can try to match from one place of a window."""
    ways = 1
    for operator, argument in tree:
        if operator in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
            least, most, inner = argument
            inside = _steps(inner, window)
            spread = min(int(most), window) - min(int(least), window) + 1
            if inside > 1 and most > 1:
                raise _Runaway("has a repeat or a choice inside a repeated group, which can backtrack without end")
            ways *= spread * inside
        elif operator is sre.BRANCH:
            ways *= sum(_steps(branch, window) for branch in argument[1])
        elif operator is sre.SUBPATTERN:
            ways *= _steps(argument[-1], window)
        elif operator is sre.ATOMIC_GROUP:
            ways *= _steps(argument, window)
        elif operator in (sre.ASSERT, sre.ASSERT_NOT):
            ways *= _steps(argument[1], window)
        elif operator in (sre.GROUPREF, sre.GROUPREF_EXISTS):
            raise _Runaway("refers back to a group, which is not allowed")
    return ways
