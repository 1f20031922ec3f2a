"""Where the people of an application are to be found: their ids are any text, and addresses are not."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlencode

from django.urls import NoReverseMatch, reverse

from apps.console.bar import Bar

# Browsers take these parts out of a path, however they are written.
_DOTS: Final = re.compile(r"(?:^|/)\.{1,2}(?:/|$)")


def address_of(user_id: str, bar: Bar | None, costs: bool) -> str:
    """The page of a user, or their traces.

    Args:
        bar: whose range and filters are kept.
        costs: whether the one who looks may see costs.
    """
    listed = bar.elsewhere(user_id=user_id) if bar else urlencode({"user_id": user_id})
    if not costs:
        return f"/traces?{listed}"
    if _DOTS.search(user_id):
        return f"/users?{listed}"
    try:
        page = reverse("user", kwargs={"user_id": user_id})
    except NoReverseMatch:  # a line break
        return f"/users?{listed}"
    query = bar.elsewhere(user_id=None) if bar else ""
    return f"{page}?{query}" if query else page
