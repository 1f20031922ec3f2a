"""Figures as people read them: the examples beside their functions hold."""

from __future__ import annotations

import doctest

from apps.console import figures


def test_the_examples_hold() -> None:
    found = doctest.testmod(figures)
    assert found.attempted >= 7
    assert found.failed == 0
