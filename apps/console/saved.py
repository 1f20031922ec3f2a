"""Saved views: each is one person's within one organization; a shared one is everybody's to open there."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final
from urllib.parse import urlencode

from django.db import transaction
from django.db.models import Q
from django.http import QueryDict

from apps.common.errors import ApiError
from apps.common.reads.reading import bad
from apps.console.models import SavedView
from apps.orgs.access import Principal

MOST: Final = 50
MOST_QUERY: Final = 4_000
MOST_NAME: Final = 80
MOST_SHOWN: Final = 100


def views_for(principal: Principal) -> list[SavedView]:
    """Those that a person may open: the own ones first, then what others share."""
    seen = Q(owner_id=principal.user_id) | Q(shared=True)
    found = SavedView.objects.filter(seen, organization_id=principal.organization_id).select_related("owner")
    first = sorted(found.order_by("name", "pk")[:MOST_SHOWN], key=lambda view: view.owner_id != principal.user_id)
    return list(first)


def save_view(principal: Principal, name: str, query: str, *, shared: bool, known: Collection[str]) -> SavedView:
    """Keep a list under a name; one of the person's own with this name is replaced.

    Args:
        query: as it stands behind the `?`; parameters that are not `known` are left out.

    Raises:
        ApiError: 1201 or 1202 for the name, 1205 for too much.
    """
    name = " ".join(name.split())
    if not name or "\x00" in name:
        raise bad("name", "A view needs a name.", 1201)
    if len(name) > MOST_NAME:
        raise bad("name", f"The name of a view has at most {MOST_NAME} characters.")
    given = QueryDict(query[: MOST_QUERY * 4]).lists()
    kept = urlencode([(key, value) for key, values in given if key in known for value in values if "\x00" not in value])
    if len(kept) > MOST_QUERY:
        raise bad("query", f"The filters of a view have at most {MOST_QUERY} characters.", 1205)
    mine: dict[str, Any] = {"organization_id": principal.organization_id, "owner_id": principal.user_id}
    with transaction.atomic():
        # Two requests at once may pass by one or two; the limit is against an endless list, not exact.
        if SavedView.objects.filter(**mine).exclude(name=name).count() >= MOST:
            raise bad("name", f"You have {MOST} saved views. Delete one first.", 1205)
        view, _ = SavedView.objects.update_or_create(**mine, name=name, defaults={"query": kept, "shared": shared})
    return view


def delete_view(principal: Principal, number: int) -> None:
    """Delete one's own view, or, as who manages the organization, a shared one.

    Raises:
        ApiError: 1300 for what is not there or not one's to delete.
    """
    allowed = Q(owner_id=principal.user_id)
    if "org:manage" in principal.permissions:
        allowed |= Q(shared=True)
    gone, _ = SavedView.objects.filter(allowed, organization_id=principal.organization_id, pk=number).delete()
    if not gone:
        raise ApiError(1300, "There is no such view.")
