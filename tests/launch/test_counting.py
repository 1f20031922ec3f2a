"""A running hub of two web processes: its counts are exact whoever answers a scrape, and every line is JSON."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.launch.test_up import Up, wait_for
from tests.support.prepared import prepared_folder

# One worker runs them all: a hub takes seconds to start.
pytestmark = [pytest.mark.processes, pytest.mark.xdist_group("counting")]
FIELDS = {"time", "level", "logger", "message", "request_id", "user", "organization", "process"}
HEALTH = 'http_requests_total{method="GET",route="/health",status="200"}'


@pytest.fixture(scope="module")
def up() -> Iterator[Up]:
    with prepared_folder() as folder:
        hub = Up(
            folder / "data",
            WEB_WORKERS="2",
            LOG_FORMAT="json",
            ACCESS_LOG="all",
            SLOW_QUERY_MS="1",
            ROLLUP_REFRESH_SECONDS="1",
        )
        try:
            yield hub.ready()
        finally:
            hub.end(signal.SIGTERM)


def get(up: Up, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{up.port}{path}", timeout=60) as answer:
        body: bytes = answer.read()
        return body


def ask(up: Up, count: int) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda _: get(up, "/health"), range(count)))


def scraped(up: Up, sample: str) -> float:
    lines = get(up, "/metrics").decode().splitlines()
    found = [float(line.removeprefix(sample)) for line in lines if line.startswith(f"{sample} ")]
    assert len(found) < 2, found
    return found[0] if found else 0.0


def told(up: Up) -> list[dict[str, Any]]:
    return [json.loads(line) for line in list(up.lines)]


def web_processes(up: Up) -> set[int]:
    return {line["pid"] for line in told(up) if line["logger"] == "hub.access"}


def test_requests_are_counted_exactly_while_processes_come_and_go(up: Up) -> None:
    done = int(scraped(up, HEALTH))  # the other tests ask, too
    while len(web_processes(up)) < 2:
        ask(up, 20)
        done += 20
        time.sleep(0.1)
    assert [scraped(up, HEALTH) for _ in range(6)] == [done] * 6
    first = web_processes(up)
    dead = min(first)
    gauges = up.data_dir / "metrics" / f"gauge_livesum_{dead}.db"
    assert gauges.exists()

    os.kill(dead, signal.SIGKILL)
    wait_for(lambda: not Path(f"/proc/{dead}").exists())
    while not web_processes(up) - first:
        try:
            get(up, "/health")
            done += 1
        except OSError:
            continue
        finally:
            time.sleep(0.02)
    ask(up, 30)
    done += 30
    assert [scraped(up, HEALTH) for _ in range(6)] == [done] * 6
    assert not gauges.exists()


def statements_of_tasks(up: Up) -> list[dict[str, Any]]:
    return [line for line in told(up) if line["process"] == "worker" and line["logger"] == "hub.sql"]


def test_the_background_counts_too(up: Up) -> None:
    wait_for(lambda: statements_of_tasks(up), up.text)
    pids = {line["pid"] for line in statements_of_tasks(up)}
    assert [pid for pid in pids if (up.data_dir / "metrics" / f"histogram_{pid}.db").exists()]


def test_every_line_is_an_object_with_the_fields(up: Up) -> None:
    ask(up, 3)
    wait_for(lambda: statements_of_tasks(up) and web_processes(up), up.text)
    lines = told(up)
    assert {"hub", "web", "worker"} <= {line["process"] for line in lines}
    assert not [line for line in lines if not set(line) >= FIELDS]
    task = statements_of_tasks(up)[0]
    assert task["request_id"] and "statement" in task
    assert any("is ready at" in line["message"] for line in lines if line["process"] == "hub")
