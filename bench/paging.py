"""Page through all traces by cursor, listed and searched, and watch the memory of the web worker and of the client.

    python -m bench.paging [--traces 1000000] [--limit 1000]

Loads the traces by COPY, lets the hub fold them, then follows `next_cursor` to the end: of the list, of a search that
every trace fulfils, and of one that few do. Prints memory in ten places along the way; it should not grow.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import psycopg

from bench import processes
from bench.hub import Hub, running_hub
from bench.load import load
from bench.queries import fold

PER_TRACE = 5
MB = 1024 * 1024
Page = dict[str, Any]
Ask = Callable[[str | None], Page]


def rss_bytes(pid: int) -> int:
    """The process's resident memory now (VmRSS)."""
    try:
        with open(f"/proc/{pid}/status") as status:
            return next((int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS:")), 0)
    except OSError:
        return 0


class Reader:
    """Asks one hub for pages; a full bucket is waited for."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=60)

    def ask(self, method: str, path: str, body: Any = None) -> Page:
        headers = {"Authorization": f"Bearer {self.hub.api_key}", "Content-Type": "application/json"}
        while True:
            self.connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = self.connection.getresponse()
            text = answer.read()
            if answer.status != 429:
                break
            time.sleep(float(answer.headers.get("Retry-After", "1")))
        if answer.status != 200:
            raise SystemExit(f"{path}: {answer.status} {text[:300]!r}")
        page: Page = json.loads(text)
        return page


def pages(ask: Ask) -> Iterator[Page]:
    cursor: str | None = None
    while True:
        page = ask(cursor)
        yield page
        cursor = page["pagination"]["next_cursor"]
        if cursor is None:
            return


def follow(hub: Hub, name: str, ask: Ask, expected: int) -> None:
    """Go to the end; print how it went and what memory it took along the way."""
    workers = processes.matching(hub.process.pid, "granian")
    rows = count = early = 0
    slowest, began = 0.0, time.perf_counter()
    notes: list[tuple[int, float, float]] = []
    step = max(1, expected // 10)
    moment = time.perf_counter()
    for page in pages(ask):
        slowest = max(slowest, time.perf_counter() - moment)
        rows, count = rows + len(page["data"]), count + 1
        early += not page.get("metadata", {}).get("complete", True)
        if rows >= len(notes) * step:
            web = max((rss_bytes(pid) for pid in workers), default=0)
            notes.append((rows, web / MB, rss_bytes(os.getpid()) / MB))
        moment = time.perf_counter()
    seconds = time.perf_counter() - began
    how = f"in {seconds:.0f} s, slowest {slowest * 1000:.0f} ms, {early} ended early"
    print(f"\n  {name}: {rows:,} traces on {count:,} pages {how}")
    for at, of_web, of_client in notes:
        print(f"    {at:>10,} traces: web worker {of_web:6.1f} MB, client {of_client:6.1f} MB")


def main() -> None:
    """Load, fold, follow."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--traces", type=int, default=1_000_000)
    parser.add_argument("--limit", type=int, default=1_000)
    options = parser.parse_args()
    with running_hub(CACHE_ENABLED="false") as hub:
        start = datetime.now(UTC) - timedelta(days=29)
        spans = options.traces * PER_TRACE
        load(hub.database_url, project_id=hub.project_id, spans=spans, start=start, days=28.9)
        fold(hub, spans)
        _lift_limits(hub)
        reader, bounds = Reader(hub), {"start_time": start.isoformat(), "end_time": datetime.now(UTC).isoformat()}

        def listed(cursor: str | None) -> Page:
            query = {**bounds, "limit": options.limit, **({} if cursor is None else {"cursor": cursor})}
            return reader.ask("GET", f"/api/v1/traces?{urlencode(query)}")

        def searched(field: str, operator: str, value: Any) -> Ask:
            body = {**bounds, "limit": options.limit, "filter": {"field": field, "operator": operator, "value": value}}

            def page(cursor: str | None) -> Page:
                behind = {} if cursor is None else {"cursor": cursor}
                return reader.ask("POST", "/api/v1/traces/search", {**body, **behind})

            return page

        follow(hub, "list", listed, options.traces)
        follow(hub, "search, all fulfil it", searched("kind", "eq", "llm"), options.traces)
        follow(hub, "search, few fulfil it", searched("duration_ms", "gt", 3_000), options.traces // 100)


def _lift_limits(hub: Hub) -> None:
    with psycopg.connect(hub.database_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO orgs_ratelimit (organization_id, bucket, per_minute, burst)"
            " SELECT o.id, n.name, 10000000, 10000000 FROM orgs_organization o,"
            " unnest(ARRAY['requests', 'traces/search']) AS n (name) WHERE o.slug = 'bench'"
        )


if __name__ == "__main__":
    main()
