"""What a role does not open is no link: taken out of a finished page in one place, for all pages there are and will be.

Templates lead wherever a figure comes from without asking who looks. Anchors do not nest in HTML, and what stands in a
page is escaped, so that an anchor ends at the first `</a>`.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache
from typing import Final

# Where pages lead, and what it takes to open it; the longest that fits an address counts.
PLACES: Final = {
    "/traces": "traces:read",
    "/conversations": "traces:read",
    "/quality/scores": "traces:read",
    "/ingest": "traces:read",
    "/start": "traces:read",
    "/costs": "costs:read",
    "/settings/prices": "costs:read",
    "/settings/budgets": "costs:read",
    "/exports": "exports:read",
    "/exports/new": "exports:create",
}


def within_reach(html: str, permissions: Collection[str]) -> str:
    """A page in which links to what these permissions do not open are text, and charts lead to no such place."""
    closed = tuple(path for path, needed in PLACES.items() if needed not in permissions)
    if not closed:
        return html
    anchor, address = _patterns(closed)
    return address.sub(r'"\1": ""', anchor.sub(r"<span \1\2>\3</span>", html))


@lru_cache(maxsize=64)
def _patterns(closed: tuple[str, ...]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Anchors, and the addresses in a chart's data, that lead to one of these places."""
    place = rf"(?:{'|'.join(map(re.escape, closed))})(?=[\"/?#])[^\"]*"
    anchor = rf'<a\b([^>]*?)\s*href="{place}"([^>]*)>(.*?)</a>'
    return re.compile(anchor, re.DOTALL), re.compile(rf'"(drill|link)": "{place}"')
