"""Metrics questions through the API beside the same questions in hand-written SQL on the raw table.

    python -m bench.queries [--spans 10000000] [--days 30] [--times 20]

Loads the spans by COPY, lets the hub's own refresh fold them, then asks every question over HTTP without any cache.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import time
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import psycopg

from bench import processes
from bench.hub import Hub, running_hub
from bench.load import load
from bench.questions import Question, questions


def fold(hub: Hub, spans: int) -> None:
    """Wait until the marks of the load are folded; print the refresh's throughput."""
    began = time.perf_counter()
    with psycopg.connect(hub.database_url, autocommit=True) as connection:
        while connection.execute("SELECT 1 FROM span_mark LIMIT 1").fetchone():
            time.sleep(0.5)
        seconds = time.perf_counter() - began
        print(f"  refresh folded {spans:,} spans in {seconds:.0f} s: {spans / seconds:,.0f} spans/s")
        connection.execute("VACUUM ANALYZE")


def ask(hub: Hub, connection: http.client.HTTPConnection, question: Question) -> tuple[float, dict[str, object]]:
    """Milliseconds and answer of one request."""
    headers = {"Authorization": f"Bearer {hub.api_key}", "Cache-Control": "no-cache"}
    began = time.perf_counter()
    if question.body is not None:
        headers["Content-Type"] = "application/json"
        connection.request("POST", question.path, json.dumps(question.body), headers)
    else:
        connection.request("GET", f"{question.path}?{urlencode(question.params)}", headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    elapsed = (time.perf_counter() - began) * 1000
    if answer.status != 200:
        raise SystemExit(f"{question.name}: {answer.status} {body[:500]!r}")
    value: dict[str, object] = json.loads(body)
    return elapsed, value


def by_hand(hub: Hub, question: Question, end: datetime) -> float:
    """Median milliseconds of the hand-written statement on the raw table, three runs after one warm-up."""
    values = {
        "project": hub.project_id,
        "start": end - timedelta(days=question.days),
        "middle": end - timedelta(days=question.days / 2),
        "end": end,
    }
    times = []
    with psycopg.connect(hub.database_url) as connection:
        for _ in range(4):
            began = time.perf_counter()
            connection.execute(question.sql, values).fetchall()
            times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times[1:])


def measure(hub: Hub, end: datetime, times: int) -> None:
    """Ask every question and print one line each."""
    print(f"\n  {'question':<64} {'p50 ms':>8} {'p95 ms':>8} {'by hand ms':>11} {'ratio':>7}  source")
    for question in questions(end):
        # A connection each: the hand-written statement takes longer than the server keeps an idle one.
        connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=120)
        for _ in range(12):
            ask(hub, connection, question)
        taken, source = [], ""
        for _ in range(times):
            elapsed, answer = ask(hub, connection, question)
            taken.append(elapsed)
            metadata = answer.get("metadata")
            source = ",".join(metadata.get("data_source", [])) if isinstance(metadata, dict) else ""
        taken.sort()
        p95 = taken[max(0, int(len(taken) * 0.95 + 0.5) - 1)]
        hand = by_hand(hub, question, end)
        median = statistics.median(taken)
        print(f"  {question.name:<64} {median:8.1f} {p95:8.1f} {hand:11.0f} {hand / median:7.0f}  {source}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spans", type=int, default=10_000_000)
    parser.add_argument("--days", type=float, default=30)
    parser.add_argument("--times", type=int, default=20)
    options = parser.parse_args()
    # The range ends at midnight so that a question over whole days meets whole days, as dashboards ask them; the last
    # hours before "now" are covered by the ingest bench, where they are dirty.
    end = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    with running_hub() as hub:
        print(f"Loading {options.spans:,} spans over {options.days:g} days by COPY")
        load(
            hub.database_url,
            project_id=hub.project_id,
            spans=options.spans,
            start=end - timedelta(days=options.days),
            days=options.days,
        )
        fold(hub, options.spans)
        measure(hub, end, options.times)
        web = processes.matching(hub.process.pid, "granian")
        print(f"\n  web worker memory: peak {max(processes.peak_rss_bytes(pid) for pid in web) / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
