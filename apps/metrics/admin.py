"""The page "Storage" under /admin/: tier, sizes, days kept, and how far the rollups are. Each panel fails alone."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.admin import AdminSite
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.defaultfilters import filesizeformat

from apps.metrics import ledger
from apps.metrics.probes import LAG_LIMIT_SECONDS
from apps.metrics.ranges import EPOCH
from apps.metrics.rollups import ROLLUPS
from apps.orgs.adminsite import Page, add_page
from apps.orgs.models import Project
from apps.traces import storage, upgrade
from apps.traces.sizes import database_size, sizes_of

logger = logging.getLogger(__name__)

PATIENCE_MS = 3_000
MOST_MARKS = 10_000
MOST_RUNS = 10
TABLES = ("score", "score_cell", "session_cell", "trace_tombstone", "ingest_deadletter", "orgs_auditentry",
          "exports_exportjob", "reprice_change", "django_session")  # fmt: skip
KEPT = {
    "Raw spans": "raw_retention_days",
    "Content": "content_retention_days",
    "Scores": "score_retention_days",
    "Cells by minute": "rollup_1m_retention_days",
    "Cells by 15 minutes and hour": "rollup_1h_retention_days",
    "Cells by day": "rollup_1d_retention_days",
    "Cells of users and sessions by hour": "cells_1h_retention_days",
}


@dataclass(slots=True)
class Panel:
    """A table with a sentence above it, or the word that it could not be made."""

    title: str
    about: str = ""
    names: tuple[str, ...] = ()
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    warning: str = ""
    failed: bool = False


def storage_view(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """The page; it answers whatever fails."""
    makers = {"Tier": _tier, "Tables of spans": _spans, "Other tables": _others, "Rollups": _rollups, "Runs": _runs,
              "Kept for": _kept}  # fmt: skip
    panels = [_panel(title, make) for title, make in makers.items()]
    context = {**site.each_context(request), "title": "Storage", "now": datetime.now(UTC), "panels": panels}
    return render(request, "admin/storage.html", context)


def _panel(title: str, make: Callable[[Panel, Any], None]) -> Panel:
    panel = Panel(title)
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = %s", [PATIENCE_MS])
            make(panel, cursor)
    except Exception:  # the outer loop of a panel: the others are shown all the same
        logger.exception("the panel %s of the storage page could not be made", title)
        return Panel(title, failed=True)
    return panel


def _tier(panel: Panel, cursor: Any) -> None:
    server, extension = upgrade.versions(cursor)
    panel.names = ("", "")
    panel.rows = [
        ("Tier", str(storage.tier())),
        ("PostgreSQL", server),
        ("TimescaleDB", extension or "not installed"),
        *((name.replace("_", " ").capitalize(), tell(connection)) for name, tell in upgrade.further_status.items()),
        ("Whole database", filesizeformat(database_size(cursor))),
    ]
    if upgrade.unfinished(cursor):
        panel.warning = "An upgrade was cut short: run manage.py storage upgrade again."


def _spans(panel: Panel, cursor: Any) -> None:
    panel.about = "Sizes with indexes. Rows are PostgreSQL's estimate, made when it last looked; nothing is counted."
    panel.names = ("Table", "Size", "Rows, about", "Partitions", "Days made", "Days with data")
    for table, facts in upgrade.tables(connection).items():
        days = (_days(facts, "first_day", "last_day"), _days(facts, "oldest_data_day", "newest_data_day"))
        parts = facts.get("partitions", "-")
        columnar = f" ({facts['columnar']} in columns)" if facts.get("columnar") else ""
        size = filesizeformat(facts["bytes"])
        panel.rows.append((table, size, f"{facts['rows_estimate']:,}", f"{parts}{columnar}", *days))


def _days(facts: dict[str, Any], first: str, last: str) -> str:
    return f"{facts[first]} to {facts[last]}" if facts.get(first) else "-"


def _others(panel: Panel, cursor: Any) -> None:
    panel.names = ("Table", "Size", "Rows, about")
    found = sizes_of(cursor, (*TABLES, *ROLLUPS))
    panel.rows = [(one.name, filesizeformat(one.bytes), f"{one.rows_estimate:,}") for one in found]


def _rollups(panel: Panel, cursor: Any) -> None:
    lag, waiting = ledger.rollup_lag_seconds(), ledger.marks_waiting(cursor, MOST_MARKS)
    many = f"{waiting:,}{' or more' if waiting == MOST_MARKS else ''}"
    panel.about = f"The oldest write that no refresh has folded waits for {lag:.0f} s; marks that wait: {many}."
    if lag > LAG_LIMIT_SECONDS:
        panel.warning = "They are far behind: answers stay right, but are slower. Does the worker run?"
    panel.names = ("Cells", "Complete to", "Behind")
    now = datetime.now(UTC)
    for name, mark in ledger.watermarks(cursor).items():
        built = mark > EPOCH
        panel.rows.append(
            (name, f"{mark:%Y-%m-%d %H:%M}" if built else "never built", _whole(now - mark) if built else "-")
        )


def _whole(time: timedelta) -> str:
    minutes = max(0, int(time.total_seconds() // 60))
    days, minutes = divmod(minutes, 1_440)
    hours, minutes = divmod(minutes, 60)
    return f"{days} d {hours} h" if days else f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _runs(panel: Panel, cursor: Any) -> None:
    panel.about = f"The last {MOST_RUNS} refreshes of the rollups."
    panel.names = ("Began", "State", "Took", "Marks", "Minutes", "Spans", "Cells")
    for state, began, ended, *figures in ledger.last_runs(cursor, MOST_RUNS):
        took = f"{(ended - began).total_seconds():.2f} s" if ended else "-"
        panel.rows.append((f"{began:%Y-%m-%d %H:%M:%S}", state.lower(), took, *(f"{number:,}" for number in figures)))


def _kept(panel: Panel, cursor: Any) -> None:
    now = datetime.now(UTC)
    own = len(storage.project_floors("span", now)) + len(storage.project_floors("span_content", now))
    shorter = f" {own} shorter settings of projects hold beside it." if own else ""
    panel.about = f"The installation's settings, of {Project.objects.count():,} projects.{shorter}"
    panel.names = ("What", "Days", "Setting")
    panel.rows = [(what, getattr(settings.HUB, name), name.upper()) for what, name in KEPT.items()]
    panel.rows.append(("Raw spans are whole from", f"{storage.raw_floor(now):%Y-%m-%d}", ""))


add_page(Page("Storage", "storage", storage_view))
