"""What a GET costs at the edge: requests a second and CPU microseconds a request, by process.

    python -m bench.edge [--seconds 3] [--rounds 5] [--connections 8] [--spans 100000] [--only cached]

A hub as `make up` starts it (two web workers, signed in, limited, audited, logged) with ENVIRONMENT=production, behind
a proxy that is believed; one dashboard question over seven days. In turn, several rounds: recomputed by every request
(`Cache-Control: no-cache`), from the cache, 304 by If-None-Match; each with an API key and with an access token;
beside them GET /health and an empty WSGI application under the same server. The load generator shares the cores.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import statistics
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import psycopg

from bench import processes
from bench.client import BenchError, Result, build, drive, fetch
from bench.floor import running_floor
from bench.hub import Hub, running_hub, wait_for
from bench.load import load

WORKERS, THREADS = 2, 4
GOAL_RATE, GOAL_MICROS = 2_500, 600
# As a proxy on the same machine that ends TLS would send them.
PROXY = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
PRODUCTION = {
    "ENVIRONMENT": "production",
    "ALLOWED_HOSTS": "localhost,127.0.0.1",
    "TRUSTED_PROXIES": "127.0.0.1/32",
    "WEB_WORKERS": str(WORKERS),
    "WEB_THREADS": str(THREADS),
}
PARTS = ("web", "valkey", "postgres", "client")


@dataclass
class Case:
    """One kind of request, and what its rounds measured."""

    name: str
    request: bytes
    status: int
    port: int
    web: int  # the process above the web workers
    rates: list[float] = field(default_factory=list)
    micros: list[dict[str, float]] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    lengths: set[int] = field(default_factory=set)

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)

    def cost(self, part: str) -> float:
        return statistics.median(one[part] for one in self.micros)

    @property
    def cores(self) -> float:
        """How many cores the bench got, itself included: below the machine's number where other work ran."""
        return self.rate * (self.server + self.cost("client")) / 1e6

    @property
    def server(self) -> float:
        """Microseconds of everything but the load generator."""
        return statistics.median(sum(one[part] for part in PARTS[:-1]) for one in self.micros)


class Meter:
    """CPU of the web workers, Valkey, PostgreSQL and this process from now on."""

    def __init__(self, hub: Hub, web: int) -> None:
        self.pids = {
            "web": processes.descendants(web),
            "valkey": processes.matching(hub.process.pid, "valkey"),
        }
        self.postmaster = min(processes.matching(hub.process.pid, "postgres"))
        self.before = self._read()

    def _read(self) -> dict[str, float]:
        found = {name: processes.cpu_seconds(pids) for name, pids in self.pids.items()}
        found["postgres"] = processes.cpu_seconds(processes.descendants(self.postmaster))
        found["client"] = time.process_time()
        return found

    def micros(self, result: Result) -> dict[str, float]:
        now = self._read()
        return {name: (now[name] - self.before[name]) / result.answers * 1e6 for name in PARTS}


def measure(hub: Hub, case: Case, *, seconds: float, connections: int) -> None:
    """One round of one case."""
    meter = Meter(hub, case.web)
    result = drive(case.port, case.request, status=case.status, seconds=seconds, connections=connections)
    case.micros.append(meter.micros(result))
    case.rates.append(result.rate)
    case.p99.append(result.percentile_ms(99))
    case.lengths |= set(result.lengths)


def fill_up(hub: Hub, spans: int) -> str:
    """Seven days of spans, folded; limits that the bench does not reach. Returns the question's path."""
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    start = end - timedelta(days=7)
    load(hub.database_url, project_id=hub.project_id, spans=spans, start=start, days=6.95)
    with psycopg.connect(hub.database_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO orgs_ratelimit (organization_id, bucket, per_minute, burst) "
            "SELECT id, 'requests:admin', 100000000, 100000000 FROM orgs_organization WHERE slug = 'bench'"
        )
        marks = "SELECT count(*) FROM span_mark"
        wait_for(lambda: connection.execute(marks).fetchone() == (0,), "the rollup", 600)
    asked = {
        "metrics": "request_count,total_cost,error_rate",
        "group_by": "model",
        "interval": "1day",
        "start_time": start.isoformat(),
        "end_time": end.isoformat(),
    }
    return f"/api/v1/metrics?{urlencode(asked)}"


def access_token(hub: Hub) -> str | None:
    """A token of the bench's user; None where the hub has no sign-in over the API."""
    body = json.dumps({"email": "bench@example.com", "password": "bench-password-1"})
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **PROXY}
    status, _, answer = fetch(hub.port, build("POST", "/api/v1/auth/token", headers) + body.encode())
    if status == 404:
        return None
    if status != 200:
        raise BenchError(f"no access token: {status} {answer[:300]!r}")
    return str(json.loads(answer)["access_token"])


def cases_of(hub: Hub, path: str, name: str, token: str, web: int) -> list[Case]:
    """Recomputed, cached and 304 for one kind of credential."""
    headers = {"Authorization": f"Bearer {token}", **PROXY}
    status, got, body = fetch(hub.port, build("GET", path, headers))
    if status != 200 or not json.loads(body)["data"]:
        raise BenchError(f"{path} answers {status} {body[:300]!r}")
    anew = build("GET", path, {**headers, "Cache-Control": "no-cache"})
    made = [
        Case(f"recomputed, {name}", anew, 200, hub.port, web),
        Case(f"cached, {name}", build("GET", path, headers), 200, hub.port, web),
    ]
    if tag := got.get("etag"):
        known = build("GET", path, {**headers, "If-None-Match": tag})
        made.append(Case(f"304, {name}", known, 304, hub.port, web))
    else:
        print("  (the answer has no ETag: no 304)")
    status, _, body = fetch(hub.port, build("GET", path, headers))
    if not json.loads(body)["meta"]["cached"]:
        print("  (the second answer did not come from the cache)")
    return made


def report(cases: list[Case]) -> None:
    """One line a case, then ratios."""
    print(
        f"\n  {'':22} {'req/s':>8}  {'rounds':>15}  {'p99 ms':>7} {'cores':>5}   CPU us a request: {'server':>7}",
        end="",
    )
    print("".join(f" {part:>9}" for part in PARTS) + "   body bytes")
    for case in cases:
        span = f"{min(case.rates):,.0f}-{max(case.rates):,.0f}"
        sizes = "/".join(str(length) for length in sorted(case.lengths)[:3])
        print(
            f"  {case.name:22} {case.rate:8,.0f}  {span:>15}  {statistics.median(case.p99):7.1f} {case.cores:5.2f}"
            f"   {'':17} {case.server:7.0f}" + "".join(f" {case.cost(part):9.1f}" for part in PARTS) + f"   {sizes}"
        )
    by_name = {case.name: case for case in cases}
    print("\n  ratios of requests a second, round by round, median:")
    for name in ("API key", "JWT"):
        cached = by_name.get(f"cached, {name}")
        if cached is None:
            continue
        others = [f"recomputed, {name}", f"304, {name}", "GET /health", "empty WSGI"]
        for other in (by_name[one] for one in others if one in by_name):
            ratios = [ours / theirs for ours, theirs in zip(cached.rates, other.rates, strict=True)]
            print(f"    {cached.name} / {other.name}: {statistics.median(ratios):.2f}")
        rate = "met" if cached.rate >= GOAL_RATE else "MISSED"
        cost = "met" if cached.server <= GOAL_MICROS else "MISSED"
        print(
            f"    goals for {cached.name}: {GOAL_RATE:,} requests a second: {cached.rate:,.0f}, {rate} "
            f"(with {cached.cores:.2f} cores); {GOAL_MICROS} us of CPU a request: {cached.server:.0f}, {cost}"
        )


def run(hub: Hub, options: argparse.Namespace) -> None:
    path = fill_up(hub, options.spans)
    web = min(processes.matching(hub.process.pid, "granian"))
    cases = cases_of(hub, path, "API key", hub.api_key, web)
    if token := access_token(hub):
        cases += cases_of(hub, path, "JWT", token, web)
    else:
        print("  (no sign-in over the API: no JWT)")
    cases = [case for case in cases if options.only in case.name]
    cases.append(Case("GET /health", build("GET", "/health", PROXY), 200, hub.port, web))
    with running_floor(WORKERS, THREADS) as (port, pid):
        cases.append(Case("empty WSGI", build("GET", "/", {}), 200, port, pid))
        for number in range(options.rounds + 1):
            for case in cases:
                measure(hub, case, seconds=options.seconds if number else 1.0, connections=options.connections)
            if number == 0:  # warm-up
                for case in cases:
                    case.rates, case.micros, case.p99 = [], [], []
    report(cases)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--spans", type=int, default=100_000)
    parser.add_argument("--only", default="", help="cases whose name contains this, the empty ones always")
    options = parser.parse_args()
    settings = {**PRODUCTION, "SECRET_KEY": secrets.token_urlsafe(48)}
    print(f"Edge: {WORKERS} web workers x {THREADS} threads, {options.connections} connections, {os.cpu_count()} cores")
    with running_hub(**settings) as hub:
        run(hub, options)


if __name__ == "__main__":
    main()
