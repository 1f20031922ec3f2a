"""Questions about costs to a world with generated traffic in it."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from apps.metrics.refresh import refresh
from apps.traces.columns import SpanRow
from apps.traces.writer import write
from tests.metrics.test_oracle import NOW, late_arrivals, traffic
from tests.support.world import World


class Asking:
    """A world and what was written to its project `default`; answers keep their decimals."""

    def __init__(self, world: World) -> None:
        self.world, self.rows = world, list[SpanRow]()
        self.slugs = {world.default.pk: world.default.slug}

    def store(self, rows: list[SpanRow]) -> None:
        rows = [replace(row, project_id=self.world.default.pk) for row in rows]
        write(rows)
        self.rows += rows

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        answer = self.world.send("GET", f"/api/v1{path}?{urlencode(query)}", key=self.world.key)
        assert answer.status_code == 200, answer.content
        found: dict[str, Any] = json.loads(answer.content, parse_float=Decimal)
        return found


def over(world: World, how: str) -> Asking:
    """Random traffic: all in raw spans, all in cells, or in cells with late, repeated and replaced spans on top."""
    made = Asking(world)
    made.store(traffic(31, 220))
    if how != "raw":
        refresh(NOW)
    if how == "late":
        made.store(late_arrivals(made.rows))
    return made
