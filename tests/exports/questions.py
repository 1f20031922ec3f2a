"""Exports of metrics and costs made in a test's world, and read back."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from apps.exports.asking import spec_of
from apps.exports.produce import Produced, produce
from apps.exports.spec import ExportSpec, Kind
from apps.metrics.refresh import refresh
from apps.orgs.principals import user_principal
from apps.traces.columns import SpanRow
from apps.traces.writer import write
from tests.metrics.test_oracle import NOW, late_arrivals, traffic
from tests.support.world import World

START, END = datetime(2026, 10, 31, 5, 17, tzinfo=UTC), datetime(2026, 11, 5, 12, 31, tzinfo=UTC)
RANGE = {"start_time": START.isoformat(), "end_time": END.isoformat()}


def asked(world: World, kind: Kind, body: Mapping[str, Any]) -> ExportSpec:
    """The export that Ada would get for a body."""
    return spec_of(kind, {**RANGE, "format": "jsonl", **body}, user_principal(world.ada, world.acme.slug), NOW)


def exported(world: World, kind: Kind, body: Mapping[str, Any]) -> tuple[list[dict[str, Any]], Produced]:
    """The rows of an export, times as times, and what is said of it."""
    out = io.BytesIO()
    made = produce(asked(world, kind, body), out, job_id="1", progress=lambda done, total: None)
    rows = [json.loads(line, parse_float=Decimal) for line in out.getvalue().splitlines()]
    assert made.rows == made.manifest["rows"] == len(rows)
    assert json.loads(json.dumps(made.manifest)) == made.manifest
    return [timed(row) for row in rows], made


def timed(row: dict[str, Any]) -> dict[str, Any]:
    """A row whose timestamp is one."""
    return row | {"timestamp": datetime.fromisoformat(row["timestamp"])} if "timestamp" in row else row


def answered(world: World, body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What POST /metrics/query answers, in the order of an export."""
    order = [*(["timestamp"] if body.get("interval") else []), *body.get("group_by", [])]
    answer = world.send("POST", "/api/v1/metrics/query", {**RANGE, **body, "sort_by": order})
    assert answer.status_code == 200, answer.content
    return [timed(row) for row in json.loads(answer.content, parse_float=Decimal)["data"]]


def fill_world(world: World, how: str) -> list[SpanRow]:
    """Random traffic in two projects: raw, in cells, or in cells with late, replaced and deleted spans on top."""
    projects = {1: world.default.pk, 2: world.web.pk}
    rows = traffic(31, 220)
    more = late_arrivals(rows)
    for row in {id(row): row for row in (*rows, *more)}.values():
        row.project_id = projects[row.project_id]
    write(rows)
    if how != "raw":
        refresh(NOW)
    if how == "late":
        write(more)
        for row in rows[:6]:
            answer = world.send("DELETE", f"/api/v1/traces/{row.trace_id}?project=default")
            assert answer.status_code in (200, 404), answer.content
    return rows
