"""Kill -9 web, worker and PostgreSQL again and again while spans come in; then count.

    python -m bench.kill [--kills 24] [--pause 4]

Clients send batches, retry what was not acknowledged, and remember what was. Afterwards every acknowledged span must
be stored once, and `manage.py reconcile` must find no difference.
"""

from __future__ import annotations

import argparse
import http.client
import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bench import processes
from bench.hub import ROOT, Hub, ready, running_hub
from bench.traffic import request

TARGETS = {"web": ("granian",), "worker": ("celery",), "postgres": ("postgres",)}


@dataclass
class Sender:
    """A client that keeps sending until stopped and remembers every acknowledged span."""

    port: int
    key: str
    seed: int
    acknowledged: set[tuple[str, str]] = field(default_factory=set)
    retried: int = 0
    refused: list[str] = field(default_factory=list)

    def run(self, stop: threading.Event) -> None:
        rng = random.Random(self.seed)
        while not stop.is_set():
            body = request(rng, spans=20, content=200, start_ns=time.time_ns() - rng.randint(1, 120) * 10**9)
            if self._deliver(body, stop):
                spans = ExportTraceServiceRequest.FromString(body).resource_spans[0].scope_spans[0].spans
                self.acknowledged.update((span.trace_id.hex(), span.span_id.hex()) for span in spans)

    def _deliver(self, body: bytes, stop: threading.Event) -> bool:
        """Send until acknowledged; False when told to stop first, or refused for good."""
        headers = {"Content-Type": "application/x-protobuf", "Authorization": f"Bearer {self.key}"}
        while not stop.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
            try:
                connection.request("POST", "/v1/traces", body, headers)
                answer = connection.getresponse()
                text = answer.read()
            except (OSError, http.client.HTTPException):
                status = 0
            else:
                status = answer.status
            finally:
                connection.close()
            if status == 200:
                return True
            if status and status not in (429, 502, 503, 504):
                self.refused.append(f"{status} {text[:200]!r}")
                return False
            self.retried += 1
            time.sleep(0.1)
        return False


def victim(hub: Hub, target: str) -> int | None:
    """A process to kill: a web worker, a Celery process, or the postmaster."""
    found = processes.matching(hub.process.pid, *TARGETS[target])
    if target == "postgres":
        return min(found, default=None)
    return random.choice(found) if found else None


def missing_or_double(hub: Hub, acknowledged: set[tuple[str, str]]) -> tuple[int, int]:
    """How many acknowledged spans are absent, and how many are stored more than once."""
    with psycopg.connect(hub.database_url) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE acknowledged (trace_id text, span_id text)")
        with cursor.copy("COPY acknowledged FROM STDIN") as copy:
            for pair in acknowledged:
                copy.write_row(pair)
        cursor.execute(
            "SELECT count(*) FILTER (WHERE n = 0), count(*) FILTER (WHERE n > 1) FROM ("
            " SELECT count(s.span_id) n FROM acknowledged a LEFT JOIN span s USING (trace_id, span_id)"
            " GROUP BY a.trace_id, a.span_id) counted"
        )
        row = cursor.fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def settle(hub: Hub, seconds: float = 120) -> None:
    """Wait until the refresh has folded every mark."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with psycopg.connect(hub.database_url, autocommit=True) as connection:
            row = connection.execute("SELECT count(*) FROM span_mark").fetchone()
        if row and row[0] == 0:
            return
        time.sleep(1)
    raise SystemExit(f"marks are left after {seconds:.0f} s: the refresh does not catch up")


def reconcile(hub: Hub) -> tuple[int, str]:
    """Exit code and last lines of `manage.py reconcile` over the last hours."""
    now = datetime.now(UTC)
    command = [sys.executable, "manage.py", "reconcile", "--start", (now - timedelta(hours=3)).isoformat()]
    command += ["--end", (now + timedelta(minutes=1)).isoformat()]
    result = subprocess.run(command, cwd=ROOT, env=hub.environment, capture_output=True, text=True, check=False)
    return result.returncode, (result.stdout + result.stderr).strip()[-2000:]


def wreck(hub: Hub, *, kills: int, pause: float, senders: int = 3) -> dict[str, Any]:
    """Kill `kills` times during ingest; return what was counted afterwards."""
    stop = threading.Event()
    clients = [Sender(hub.port, hub.api_key, seed) for seed in range(senders)]
    threads = [threading.Thread(target=client.run, args=(stop,)) for client in clients]
    for thread in threads:
        thread.start()
    done = dict.fromkeys(TARGETS, 0)
    try:
        for number in range(kills):
            time.sleep(random.uniform(0.3, 1.0) * pause)
            target = list(TARGETS)[number % len(TARGETS)]
            if pid := victim(hub, target):
                os.kill(pid, signal.SIGKILL)
                done[target] += 1
        time.sleep(pause)
        ready(hub.port)
        time.sleep(pause)
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    ready(hub.port)
    settle(hub)
    acknowledged = set().union(*(client.acknowledged for client in clients))
    missing, double = missing_or_double(hub, acknowledged)
    code, text = reconcile(hub)
    return {
        "kills": done,
        "acknowledged": len(acknowledged),
        "retried": sum(client.retried for client in clients),
        "refused": [line for client in clients for line in client.refused],
        "missing": missing,
        "double": double,
        "reconcile": code,
        "reconcile_text": text,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=24)
    parser.add_argument("--pause", type=float, default=4)
    options = parser.parse_args()
    with running_hub(ROLLUP_REFRESH_SECONDS="2") as hub:
        counted = wreck(hub, kills=options.kills, pause=options.pause)
    for name, value in counted.items():
        print(f"  {name:<14} {value}")
    if counted["missing"] or counted["double"] or counted["refused"] or counted["reconcile"]:
        raise SystemExit("FAILED: see above")


if __name__ == "__main__":
    main()
