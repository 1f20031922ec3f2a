"""Exports of metrics and costs from the asking to the download; what makes no sense is refused when it is asked for."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import time_machine

from apps.common.errors import ApiError
from apps.exports.jobs import work
from apps.exports.spec import Kind
from tests.exports.questions import RANGE, answered, asked, fill_world
from tests.metrics.test_oracle import NOW
from tests.support.cells import clear_cells
from tests.support.world import World, make_world

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world(transactional_db: None, own_storage: Path) -> Iterator[World]:
    clear_cells()
    with time_machine.travel(NOW, tick=False):
        yield make_world()
    clear_cells()


def finished(world: World, kind: str, body: dict[str, Any]) -> tuple[dict[str, Any], bytes, dict[str, Any]]:
    """The job, its file and its manifest."""
    answer = world.send("POST", f"/api/v1/export/{kind}", {**RANGE, **body})
    assert answer.status_code == 202, answer.content
    job = answer.json()["job_id"]
    work.run(job, lambda: False)
    shown = world.get(f"/api/v1/export/jobs/{job}").json()
    download = world.get(f"/api/v1/export/jobs/{job}/download")
    data = b"".join(download.streaming_content) if download.streaming else download.content
    manifest = world.get(f"/api/v1/export/jobs/{job}/manifest").content
    return shown, data, json.loads(manifest, parse_float=Decimal)


def test_costs_from_the_asking_to_the_download(world: World) -> None:
    fill_world(world, "refreshed")
    body = {"format": "csv", "compression": "gzip", "interval": "1day", "group_by": "team,model"}
    _, data, manifest = finished(world, "costs", body)
    rows = list(csv.DictReader(io.StringIO(gzip.decompress(data).decode())))
    totals = json.loads(world.get("/api/v1/costs", **RANGE).content, parse_float=Decimal)["totals"]
    assert sum(Decimal(row["total_cost_usd"] or 0) for row in rows) == totals["total_cost_usd"]
    assert sum(int(row["request_count"]) for row in rows) == totals["requests"]
    assert (manifest["rows"], manifest["sums"]["total_cost_usd"]) == (len(rows), totals["total_cost_usd"])
    assert manifest["question"]["group_by"] == ["team", "model"]
    assert manifest["proof"]["not_compared"] == {}


def test_metrics_from_the_asking_to_the_download(world: World) -> None:
    fill_world(world, "late")
    body = {"metrics": ["request_count", "total_cost"], "interval": "1day", "group_by": ["model"]}
    shown, data, _ = finished(world, "metrics", {**body, "format": "json"})
    found = json.loads(data, parse_float=Decimal)
    right = answered(world, body)
    assert [(row["model"], row["sum_total_cost"]) for row in found] == [
        (row["model"], row["sum_total_cost"]) for row in right
    ]
    assert shown["status"] == "completed"


REFUSED: tuple[tuple[Kind, dict[str, Any], int], ...] = (
    ("metrics", {}, 1201),
    ("metrics", {"metrics": ["request_cuont"]}, 1202),
    ("metrics", {"metrics": ["request_count"], "group_by": ["tag"]}, 1202),
    ("metrics", {"metrics": ["request_count"], "having": []}, 1202),
    ("metrics", {"metrics": ["request_count"], "fill": "blank"}, 1202),
    ("metrics", {"metrics": [{"metric": "request_count", "alias": "model"}], "group_by": ["model"]}, 1202),
    ("metrics", {"metrics": ["request_count"], "fields": ["total_cost"]}, 1202),
    ("metrics", {"metrics": ["request_count"], "filters": {"project": "nowhere"}}, 1300),
    ("metrics", {"metrics": ["request_count"], "start_time": "2023-12-01T00:00:00Z"}, 1204),
    ("costs", {"interval": "1min"}, 1202),
    ("costs", {"interval": "1day", "granularity": "1hour"}, 1202),
    ("costs", {"group_by": ["tag"]}, 1202),
    ("costs", {"tag": ["a", "b"]}, 1203),
    ("costs", {"model": []}, 1205),
    ("costs", {"timezone": "Mars/Base"}, 1202),
    ("costs", {"modle": "gpt-4o"}, 1202),
    ("costs", {"project": "nowhere"}, 1300),
    ("costs", {"metrics": ["request_count"]}, 1202),
)


def test_what_makes_no_sense_is_refused(world: World) -> None:
    for kind, body, code in REFUSED:
        with pytest.raises(ApiError) as refused:
            asked(world, kind, body)
        assert refused.value.entry.code == code, body
