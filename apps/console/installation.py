"""What those who run the installation see of it: storage, rollups, background work. Each panel fails alone."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from django.db import connection, transaction

from apps.common.observe import background
from apps.common.observe.workers import workers
from apps.console.figures import count, ms, size
from apps.metrics import ledger
from apps.metrics.ranges import EPOCH
from apps.orgs.models import Organization, Project
from apps.traces import upgrade
from apps.traces.sizes import database_size

logger = logging.getLogger(__name__)
PATIENCE_MS: Final = 3_000
MOST_RUNS: Final = 5
WAIT_SECONDS: Final = 0.5  # for the workers' answers


@dataclass(slots=True)
class Panel:
    """A table with a sentence above it."""

    title: str
    more: str  # the page of the administration that has all of it
    about: str = ""
    warning: str = ""
    names: tuple[str, ...] = ()
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    failed: bool = False


def panels() -> list[Panel]:
    """All of them; one that cannot be read says so."""
    return [
        _made(Panel("Storage", "/admin/storage/"), _storage),
        _made(Panel("Rollups", "/admin/storage/"), _rollups),
        _made(Panel("Background work", "/admin/background/"), _work),
    ]


def _made(panel: Panel, fill: Callable[[Panel, Any], None]) -> Panel:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = %s", [PATIENCE_MS])
            fill(panel, cursor)
    except Exception:  # the outer loop of a panel: the others are shown all the same
        logger.exception("the panel %s could not be made", panel.title)
        return Panel(panel.title, panel.more, failed=True)
    return panel


def _storage(panel: Panel, cursor: Any) -> None:
    status = upgrade.status()
    whole = size(_number(database_size(cursor)))
    extension = f", TimescaleDB {status['timescaledb']}" if status["timescaledb"] else ""
    panel.about = (
        f"Tier {status['tier']}, PostgreSQL {status['postgresql']}{extension}. The whole database takes {whole}; "
        f"{_whole(Organization.objects.count())} organizations, {_whole(Project.objects.count())} projects."
    )
    if status["upgrade_unfinished"]:
        panel.warning = "An upgrade was cut short: run manage.py storage upgrade again."
    panel.names = ("Table", "Size", "Rows, about", "Days")
    for table, facts in sorted(status["tables"].items(), key=lambda item: -item[1]["bytes"]):
        days = f"{facts['first_day']} to {facts['last_day']}" if facts.get("first_day") else "–"
        panel.rows.append((table, size(_number(facts["bytes"])), _whole(facts["rows_estimate"]), days))


def _rollups(panel: Panel, cursor: Any) -> None:
    lag = ledger.rollup_lag_seconds()
    panel.about = f"The oldest write that nothing has folded waits for {ms(_number(lag * 1000))}. The last refreshes:"
    built = ledger.watermarks(cursor)
    unbuilt = sorted(name for name, mark in built.items() if mark <= EPOCH)
    if unbuilt:
        panel.warning = f"Never built: {', '.join(unbuilt)}. Does the worker run?"
    panel.names = ("Began", "State", "Took", "Spans", "Cells")
    for state, began, ended, _, _, spans, cells in ledger.last_runs(cursor, MOST_RUNS):
        took = ms(_number((ended - began).total_seconds() * 1000)) if ended else "–"
        figures = [_whole(one) for one in (spans, cells)]
        panel.rows.append((f"{began.astimezone(UTC):%d %b %H:%M:%S} UTC", state.lower(), took, *figures))


def _work(panel: Panel, cursor: Any) -> None:
    depths, holder = background.queue_depths() or {}, background.lease_holder()
    there = workers(WAIT_SECONDS)
    sender = f"The beat {holder.name} sends." if holder else "No beat sends: nothing periodic is done."
    panel.about = f"{len(there)} workers with {sum(one.processes for one in there)} processes. {sender}"
    ended = background.last_runs().values()
    wrong = sorted((one for one in ended if one.state != "success"), key=lambda one: -one.at)
    if wrong:
        told = ", ".join(
            f"{one.task} ({one.state}, {datetime.fromtimestamp(one.at, UTC):%d %b %H:%M} UTC)" for one in wrong
        )
        panel.warning = f"Ended badly the last time: {told}."
    panel.names = ("Queue", "Waiting", "Taken", "Workers")
    for queue in background.QUEUES:
        takers = sum(queue in one.queues for one in there)
        panel.rows.append((queue, *(_depth(depths.get((queue, state))) for state in ("waiting", "taken")), str(takers)))
        if not takers:
            panel.warning = f"{panel.warning} Nobody takes from {queue}.".strip()


def _depth(value: float | None) -> str:
    return "–" if value is None else f"{int(value):,}"


def _whole(value: float) -> str:
    return count(_number(value))


def _number(value: float) -> Decimal:
    return Decimal(str(value))
