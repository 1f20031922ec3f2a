"""Spans a second over OTLP/HTTP, beside COPY of the same rows, and CPU microseconds a span by stage.

    python -m bench.ingest [--seconds 10] [--rounds 3] [--connections 4]

Both sides write to the same indexed tables of the same embedded PostgreSQL, 100 spans a transaction (or request), over
the same number of connections, in turn: COPY, OTLP, COPY, OTLP... The ratio is taken round by round.
"""

from __future__ import annotations

import argparse
import http.client
import random
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg

from bench import processes, rows
from bench.hub import Hub, running_hub
from bench.rows import Batch
from bench.traffic import Template

SPANS = 100


@dataclass
class Run:
    """What one round measured."""

    spans: int = 0
    failed: int = 0
    seconds: float = 0.0
    client_cpu: float = 0.0
    web_cpu: float = 0.0
    database_cpu: float = 0.0
    background_cpu: float = 0.0
    lag: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return self.spans / self.seconds if self.seconds else 0.0


class Meter:
    """CPU seconds of this process and of the hub's web, database and background processes."""

    def __init__(self, hub: Hub) -> None:
        root = hub.process.pid
        self.web = processes.matching(root, "granian")
        self.database = [pid for pid in processes.descendants(root) if "postgres" in processes.command_line(pid)]
        known = {*self.web, *self.database}
        self.background = [pid for pid in processes.descendants(root) if pid not in known]
        self.postmaster = min(self.database)
        self.before = self._read()

    def _read(self) -> tuple[float, float, float, float]:
        # A backend that ended is counted in the postmaster's ended children, a living one by itself.
        database = processes.cpu_seconds(processes.descendants(self.postmaster))
        return (
            time.process_time(),
            processes.cpu_seconds(self.web),
            database,
            processes.cpu_seconds(self.background),
        )

    def into(self, run: Run) -> None:
        now = self._read()
        run.client_cpu, run.web_cpu, run.database_cpu, run.background_cpu = (
            after - before for after, before in zip(now, self.before, strict=True)
        )


def in_threads(count: int, work: Callable[[int], None]) -> float:
    """Run `work(index)` in that many threads; the seconds until the last one ends."""
    began = time.perf_counter()
    threads = [threading.Thread(target=work, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began


def send(hub: Hub, *, content: int, seconds: float, connections: int) -> Run:
    """Send stamped requests until the time is over; count the spans acknowledged in full."""
    run, lock = Run(), threading.Lock()
    templates = [Template(random.Random(seed), spans=SPANS, content=content) for seed in range(8)]
    headers = {"Content-Type": "application/x-protobuf", "Authorization": f"Bearer {hub.api_key}"}
    stop = time.monotonic() + seconds

    def client(index: int) -> None:
        rng = random.Random(time.time_ns() + index)
        connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=60)
        sent = failed = 0
        while time.monotonic() < stop:
            connection.request("POST", "/v1/traces", rng.choice(templates).stamp(rng), headers)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status == 200 and not body:
                sent += SPANS
            else:
                failed += SPANS
        with lock:
            run.spans += sent
            run.failed += failed

    meter = Meter(hub)
    run.seconds = in_threads(connections, client)
    meter.into(run)
    return run


def copy(hub: Hub, batches: list[Batch], *, seconds: float, connections: int) -> Run:
    """COPY prebuilt 100-row buffers into span and span_content, one transaction each, until the time is over."""
    run, lock = Run(), threading.Lock()
    stop = time.monotonic() + seconds

    def client(index: int) -> None:
        rng = random.Random(time.time_ns() + index)
        sent = 0
        with psycopg.connect(hub.database_url) as connection, connection.cursor() as cursor:
            while time.monotonic() < stop:
                span, content = rng.choice(batches).stamp(rng)
                with cursor.copy(rows.COPY_SPAN) as sink:
                    sink.write(span)
                if content:
                    with cursor.copy(rows.COPY_CONTENT) as sink:
                        sink.write(content)
                connection.commit()
                sent += SPANS
        with lock:
            run.spans += sent

    meter = Meter(hub)
    run.seconds = in_threads(connections, client)
    meter.into(run)
    return run


def micros(seconds: float, spans: int) -> str:
    return f"{seconds / spans * 1e6:7.1f}" if spans else "      -"


def report(name: str, run: Run) -> None:
    """One line: rate, and CPU microseconds a span by process."""
    print(
        f"  {name:<6} {run.rate:10,.0f} spans/s   CPU us/span: client {micros(run.client_cpu, run.spans)}"
        f"  web {micros(run.web_cpu, run.spans)}  database {micros(run.database_cpu, run.spans)}"
        f"  refresh etc. {micros(run.background_cpu, run.spans)}" + (f"  FAILED {run.failed}" if run.failed else "")
    )


def lag_seconds(database_url: str) -> float:
    """Age of the oldest mark that no refresh has folded yet."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        row = connection.execute(
            "SELECT coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0) FROM span_mark"
        ).fetchone()
    return float(row[0]) if row else 0.0


def watch_lag(hub: Hub, seen: list[float], stop: threading.Event) -> None:
    """Sample the lag every second until told to stop."""
    while not stop.wait(1.0):
        seen.append(lag_seconds(hub.database_url))


def bytes_per_span(database_url: str) -> float:
    """Disk bytes of the span and content tables, indexes and TOAST counted, per stored span."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        row = connection.execute(
            "SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('span') "
            "UNION ALL SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('span_content') "
            "UNION ALL SELECT count(*) FROM span"
        ).fetchall()
    return float((row[0][0] + row[1][0]) / max(1, row[2][0]))


def compare(hub: Hub, *, content: int, seconds: float, rounds: int, connections: int) -> list[float]:
    """Run COPY and OTLP in turn; print each round and return the ratios."""
    batches = rows.batches(hub.database_url, hub.project_id, content=content)
    label = f"{content} characters of content a span" if content else "no content"
    print(f"\nIngest, {label}, {connections} connections, {SPANS} spans a request")
    steps = ", ".join(f"{name} {cost:.1f}" for name, cost in rows.stages(hub.database_url, content=content).items())
    print(f"  CPU us/span by stage, in one process: {steps}")
    ratios = []
    for number in range(rounds + 1):
        base = copy(hub, batches, seconds=seconds, connections=connections)
        ours = send(hub, content=content, seconds=seconds, connections=connections)
        if number == 0:
            continue  # warm-up: imports, caches, first partitions' pages
        report("COPY", base)
        report("OTLP", ours)
        ratios.append(ours.rate / base.rate)
    print(f"  ratio OTLP / COPY: median {statistics.median(ratios):.3f}  ({', '.join(f'{r:.3f}' for r in ratios)})")
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=4)
    options = parser.parse_args()
    with running_hub() as hub:
        lag: list[float] = []
        stop = threading.Event()
        watcher = threading.Thread(target=watch_lag, args=(hub, lag, stop), daemon=True)
        watcher.start()
        for content in (1000, 0):
            compare(
                hub,
                content=content,
                seconds=options.seconds,
                rounds=options.rounds,
                connections=options.connections,
            )
        stop.set()
        watcher.join()
        web = processes.matching(hub.process.pid, "granian")
        peak = max(processes.peak_rss_bytes(pid) for pid in web) / 1e6
        print(f"\n  rollup lag while it ran: max {max(lag):.1f} s, median {statistics.median(lag):.1f} s")
        print(f"  web worker memory: peak {peak:.0f} MB")
        print(f"  disk: {bytes_per_span(hub.database_url):,.0f} bytes a span (with and without content mixed)")


if __name__ == "__main__":
    main()
