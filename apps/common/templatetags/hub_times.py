"""Lengths of time for people."""

from __future__ import annotations

from datetime import datetime, timedelta

from django import template

register = template.Library()


@register.filter
def seconds(length: timedelta) -> str:
    """0.4 s, 12 s, 3 min, 2 h, 5 d: the largest unit that is not 1.

    >>> seconds(timedelta(seconds=0.41)), seconds(timedelta(seconds=95)), seconds(timedelta(hours=30))
    ('0.41 s', '95 s', '30 h')
    """
    total = length.total_seconds()
    if total < 10:
        return f"{total:.2f} s"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if total >= 2 * size:
            return f"{total / size:.0f} {unit}"
    return f"{total:.0f} s"


@register.filter
def since(moment: datetime, now: datetime) -> str:
    """How long ago, as `seconds` says it."""
    return seconds(max(timedelta(), now - moment))
