"""What changed between two periods, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from apps.console.figures import number_of

# Effect of costs/change, what it is called, what it means where the money grew, and where it shrank.
EFFECTS: Final = (
    ("volume_usd", "Volume", "more requests", "fewer requests"),
    ("mix_usd", "Mix", "a greater part of them to dearer models", "a greater part of them to cheaper models"),
    ("tokens_per_request_usd", "Tokens", "more tokens a request", "fewer tokens a request"),
    ("price_usd", "Price", "dearer tokens", "cheaper tokens"),
    ("priced_share_usd", "Priced share", "more of the requests have a price", "fewer of the requests have a price"),
)


def change_of(now: Any, was: Any) -> Any:
    """In percent; None where there was nothing."""
    new, old = number_of(now), number_of(was)
    return None if new is None or not old else (new - old) / old * 100


def effects_of(effects: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The effects of `costs/change`, the greatest first, each with its length beside the greatest."""
    found: list[dict[str, Any]] = [
        {"label": label, "text": more if value > 0 else less if value < 0 else "no change", "value": value}
        for name, label, more, less in EFFECTS
        if (value := number_of(effects.get(name))) is not None
    ]
    greatest = max((abs(row["value"]) for row in found), default=0)
    found.sort(key=lambda row: -abs(row["value"]))
    return [
        {
            **row,
            "width": f"{abs(row['value']) / greatest * 100 if greatest else 0:.2f}",
            "way": "up" if row["value"] > 0 else "down",
        }
        for row in found
    ]
