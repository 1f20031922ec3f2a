"""What templates need of the bar beside the bar itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.http import HttpRequest

from apps.console.bar import DEFAULT, RANGES, ROLLING, ZONE_COOKIE, Bar, browser_zone

LABELS: Final[dict[str, str]] = {
    "project": "Project",
    "provider": "Provider",
    "model": "Model",
    "environment": "Environment",
    "user_id": "User",
}
SUGGESTED: Final = ("provider", "model", "environment")  # there may be too many users to suggest them


def bar_context(
    request: HttpRequest,
    bar: Bar,
    *,
    compares: bool = False,
    further: Mapping[str, str] | None = None,
    drawn: Collection[str] = (),
) -> dict[str, Any]:
    """For templates that draw the bar.

    Args:
        compares: whether the page can show the period before.
        further: labels of the page's own parameters that are filters, shown beside the shared ones.
        drawn: the page's own parameters that have a field of their own in the bar, in one of the templates that the
            page names as `bar_first` (above the range) and `bar_extra` (among the filters).
    """
    labels = {**LABELS, **(further or {})}
    values = {**bar.own, **bar.filters}
    zone = ZoneInfo(bar.zone)
    return {
        "bar": bar,
        "bar_kept": [(name, value) for name, value in bar.own.items() if name not in drawn],
        "ranges": list(RANGES.items()),
        "compares": compares,
        "suggested": SUGGESTED,
        "filter_labels": [(name, label) for name, label in LABELS.items() if name != "project"],
        "named_filters": [
            (name, labels[name], value, bar.query(**{name: None})) for name, value in values.items() if name in labels
        ],
        "local_start": bar.start.astimezone(zone).strftime("%Y-%m-%dT%H:%M"),
        "local_end": bar.end.astimezone(zone).strftime("%Y-%m-%dT%H:%M"),
    }


def zone_only(request: HttpRequest) -> dict[str, Any]:
    """For templates of pages without a bar: times are in the browser's zone."""
    end = datetime.now(UTC)
    named = ZONE_COOKIE in request.COOKIES
    return {"bar": Bar(DEFAULT, end - ROLLING[DEFAULT], end, browser_zone(request), False, {}, {}, named)}
