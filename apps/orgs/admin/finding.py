"""One search over everything that has a name: each list's own, a few of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest
from django.urls import reverse
from django.utils.text import capfirst

MOST_EACH = 6


@dataclass(frozen=True, slots=True)
class Found:
    """What was found of one kind; `more` leads to its list with the same search."""

    kind: str
    lines: list[tuple[str, str]]
    more: str


def found(request: HttpRequest, site: AdminSite, asked: str) -> list[Found]:
    """The kinds of which there is something, in the order of the index."""
    groups = []
    for section in site.get_app_list(request):
        for line in section["models"]:
            model_admin: Any = line["model"] and site.get_model_admin(line["model"])
            if model_admin and getattr(model_admin, "findable", False):
                groups.append(_of(request, model_admin, asked))
    return [group for group in groups if group.lines]


def _of(request: HttpRequest, model_admin: Any, asked: str) -> Found:
    rows, doubled = model_admin.get_search_results(request, model_admin.get_queryset(request), asked)
    if isinstance(model_admin.list_select_related, tuple):
        rows = rows.select_related(*model_admin.list_select_related)
    if doubled:
        rows = rows.distinct()
    opts = model_admin.opts
    page = f"admin:{opts.app_label}_{opts.model_name}"
    rows = rows.order_by(*model_admin.get_ordering(request))[: MOST_EACH + 1]
    lines = [(reverse(f"{page}_change", args=[one.pk]), model_admin.described(one)) for one in rows]
    more = reverse(f"{page}_changelist", query={"q": asked}) if len(lines) > MOST_EACH else ""
    return Found(capfirst(opts.verbose_name_plural), lines[:MOST_EACH], more)
