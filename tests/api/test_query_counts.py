"""How many statements each GET costs, against a checked-in table.

The process is warm: it knows the caller. `anew` is an answer that is computed, `again` the same question a moment
later. After a change that is meant: UPDATE_GOLDEN=1, and read the difference.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import urlencode

import pytest
from django.db import connection, transaction

from apps.orgs.services import api_key_create
from apps.traces.tiers import detect
from tests.support.callers import MAKERS, Caller, Stage, fill
from tests.support.counted import STANDING, counted
from tests.support.surface import Route, api_routes
from tests.support.table import INSTALLATION, PUBLIC

# One worker runs them all: what they begin with asks every route.
pytestmark = [pytest.mark.django_db, pytest.mark.xdist_group("query-counts")]
GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "query_counts.json"
READS = [route for route in api_routes() if route.needs("GET") is not None]
CALLERS = {"key": "admin key", "token": "admin user", "session": "admin session"}
_END = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
# What a question needs to be one.
QUERIES = {
    "/api/v1/metrics": {
        "metrics": "request_count,total_cost",
        "start_time": (_END - timedelta(days=3)).isoformat(),
        "end_time": _END.isoformat(),
    },
    "/api/v1/metrics/summary": {
        "start_time": (_END - timedelta(days=3)).isoformat(),
        "end_time": _END.isoformat(),
    },
}


def callers_of(stage: Stage, route: Route) -> dict[str, Caller]:
    by_name = {one.name: one for one in stage.roles}
    needed = route.needs("GET")
    if needed == PUBLIC:
        return {"nobody": by_name["nobody"]}
    if needed == INSTALLATION:
        return {"token": next(one for one in stage.roles if one.superuser)}
    return {name: by_name[full] for name, full in CALLERS.items()}


def read(stage: Stage, url: str, headers: dict[str, str]) -> Any:
    """An answer, read to its end."""
    answer: Any = stage.client.get(url, headers=headers)
    if answer.streaming:
        b"".join(answer)
    return answer


def cost(stage: Stage, route: Route, caller: Caller) -> dict[str, int] | None:
    """Statements of a GET whose caller is known; None where this caller is not let in."""
    path = fill(route, stage.examples)
    url = f"{path}?{urlencode(QUERIES.get(route.path, {}))}"
    # Not by `ask`, which takes back what a request writes, the note of a key's use too. What the process knows of a
    # caller would be looked up again after ten seconds, wherever they are over.
    # A slow machine would have its statements' limit set again on the way.
    patient = mock.patch("apps.common.edge.deadline.SLACK_SECONDS", 1e9)
    with mock.patch("apps.common.cells.monotonic", lambda: STANDING), patient, transaction.atomic():
        for _ in range(2):
            warm = read(stage, url, caller.headers)
        with counted() as anew:
            read(stage, url, {**caller.headers, "Cache-Control": "no-cache"})
        with counted() as again:
            read(stage, url, caller.headers)
        transaction.set_rollback(True)
    assert warm.status_code < 500
    if warm.status_code in (401, 403):
        return None
    assert warm.status_code < 400, f"{url}: {warm.status_code}; give it what it needs in QUERIES"
    return {"anew": len(anew), "again": len(again)}


def measured(stage: Stage) -> dict[str, dict[str, dict[str, int]]]:
    table: dict[str, dict[str, dict[str, int]]] = {}
    for route in READS:
        costs = {name: cost(stage, route, caller) for name, caller in callers_of(stage, route).items()}
        table[f"GET {route.path}"] = {name: one for name, one in costs.items() if one is not None}
    return dict(sorted(table.items()))


@pytest.fixture(scope="module")
def table(stage: Stage) -> dict[str, dict[str, dict[str, int]]]:
    return measured(stage)


def test_every_read_costs_what_the_table_says(table: dict[str, Any]) -> None:
    if os.environ.get("UPDATE_GOLDEN"):
        lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(costs)}" for name, costs in table.items())
        GOLDEN.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
    expected = json.loads(GOLDEN.read_text(encoding="utf-8"))
    if detect(connection).hypertables:
        expected["GET /ready"] = table["GET /ready"]  # asks TimescaleDB a little more
    assert table == expected, "run with UPDATE_GOLDEN=1 if the change is meant"


def test_the_number_of_rows_changes_nothing(stage: Stage, table: dict[str, Any]) -> None:
    """Ten more of everything: no statement more."""
    world = stage.world
    with transaction.atomic():
        for number in range(10):
            for name, make in MAKERS.items():
                if name in ("keys", "invitations", "members", "audit"):
                    make(world.acme, world.default, world.ada)
            api_key_create(organization=world.acme, project=world.web, name=f"more {number}", role="viewer")
        grown = measured(stage)
        transaction.set_rollback(True)
    assert grown == table
