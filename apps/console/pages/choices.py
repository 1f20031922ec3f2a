"""What the filters' fields suggest: the greatest values of a dimension in the range."""

from __future__ import annotations

from collections import Counter

from django.http import HttpRequest, HttpResponse

from apps.common.errors import ApiError
from apps.console.asking import ask
from apps.console.bar import read_bar
from apps.console.page import page, part
from apps.console.showing import SUGGESTED

MOST = 100


@page("metrics:read")
def choices(request: HttpRequest, name: str) -> HttpResponse:
    """Options of a datalist, fetched when a field is entered; none where they cannot be had."""
    if name not in SUGGESTED:
        raise ApiError(1300, "There is no such filter.")
    bar = read_bar(request)
    asked = bar.question(metrics="request_count", group_by=name, interval="1day", **{name: None})
    found = ask(request, "metrics", asked)
    sums: Counter[str] = Counter()
    for row in found.data if found.ok else ():
        if row.get(name):
            sums[str(row[name])] += int(row["request_count"] or 0)
    return part(request, "console/parts/choices.html", {"values": [value for value, _ in sums.most_common(MOST)]})
