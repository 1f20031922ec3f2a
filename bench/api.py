"""Every read of the analytics API on millions of spans: p50 and p95 over HTTP without any cache, and what each reads.

    python -m bench.api [--spans 10000000] [--days 30] [--times 20] [--only costs]

Loads spans, texts and scores by COPY and lets the hub fold them; BENCH_KEEP=folder keeps the data for another run.
Ranges are the last seven days unless the name says otherwise; ids, users, words and ranges change from one request to
the next. The last columns say, from EXPLAIN ANALYZE of the same statements, how many day partitions of spans and of
content an answer reads, and how many of them from end to end.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import psycopg

from bench.hub import Hub, running_hub
from bench.load import load
from bench.queries import fold
from bench.texts import load_content, load_scores, rare_word, vocabulary

GOAL_MS, TEXT_GOAL_MS = 100, 200


@dataclass
class Facts:
    """What requests are made of."""

    end: datetime
    traces: list[str]
    sessions: list[str]
    users: list[str]
    words: list[str]
    numbers: int
    rng: random.Random = field(default_factory=lambda: random.Random(5))

    def week(self) -> dict[str, str]:
        """Seven days that end within the last three hours of the data, at a whole minute."""
        end = self.end - timedelta(minutes=self.rng.randrange(180))
        return {"start_time": (end - timedelta(days=7)).isoformat(), "end_time": end.isoformat()}


Request = tuple[str, str, dict[str, Any] | None]  # method, path with query, body


@dataclass(frozen=True)
class Ask:
    """A kind of request."""

    name: str
    make: Callable[[Facts], Request]
    goal_ms: int = GOAL_MS


def get(path: str, **parameters: Any) -> Callable[[Facts], Request]:
    def make(facts: Facts) -> Request:
        made = {name: value(facts) if callable(value) else value for name, value in parameters.items()}
        return "GET", f"{path}?{urlencode({**facts.week(), **made})}", None

    return make


def one(path: str, pick: Callable[[Facts], str]) -> Callable[[Facts], Request]:
    return lambda facts: ("GET", path.format(pick(facts)), None)


def search(leaf: Callable[[Facts], dict[str, Any]], **more: Any) -> Callable[[Facts], Request]:
    return lambda facts: ("POST", "/api/v1/traces/search", {**facts.week(), "filter": leaf(facts), **more})


def post(path: str, **body: Any) -> Callable[[Facts], Request]:
    return lambda facts: ("POST", path, {**facts.week(), **body})


def trace_of(facts: Facts) -> str:
    return facts.rng.choice(facts.traces)


def user_of(facts: Facts) -> str:
    return facts.rng.choice(facts.users)


def leaf(field: str, operator: str, value: Any) -> dict[str, Any]:
    return {"field": field, "operator": operator, "value": value}


def frequent(facts: Facts) -> str:
    return facts.rng.choice(facts.words[:20])


def seldom(facts: Facts) -> str:
    return facts.rng.choice(facts.words[3_000:])


def questions() -> list[Ask]:
    """Every read, by area."""
    return [
        Ask("traces: newest", get("/api/v1/traces")),
        Ask("traces: of a user", get("/api/v1/traces", user_id=user_of)),
        Ask("traces: of a model, dearest first", get("/api/v1/traces", model="gpt-4.1", sort_by="total_cost_usd")),
        Ask("traces: slowest with an error", get("/api/v1/traces", has_error="true", sort_by="duration_ms")),
        Ask("traces: of a tag", get("/api/v1/traces", tag="feature:7")),
        Ask("traces: one", one("/api/v1/traces/{}", trace_of)),
        Ask("search: rare word", search(lambda f: leaf("text", "search", rare_word(f.rng.randrange(f.numbers)))), 200),
        Ask("search: seldom word", search(lambda f: leaf("text", "search", seldom(f))), TEXT_GOAL_MS),
        Ask("search: frequent word", search(lambda f: leaf("text", "search", frequent(f))), TEXT_GOAL_MS),
        Ask("search: two words", search(lambda f: leaf("text", "search", f"{frequent(f)} {seldom(f)}")), TEXT_GOAL_MS),
        Ask("search: phrase", search(lambda f: leaf("text", "search", f'"{frequent(f)} {frequent(f)}"')), TEXT_GOAL_MS),
        Ask("search: prefix", search(lambda f: leaf("text", "search", f"{seldom(f)[:4]}*")), TEXT_GOAL_MS),
        Ask("search: attribute", search(lambda f: leaf("attributes.customer.id", "eq", f"c{f.rng.randrange(50_000)}"))),
        Ask("search: model and duration", search(lambda f: {"operator": "AND", "filters": [
            leaf("model", "eq", "gpt-4.1"), leaf("duration_ms", "gt", 3_000)]})),
        Ask("search: a user's errors", search(lambda f: {"operator": "AND", "filters": [
            leaf("user_id", "eq", user_of(f)), leaf("status", "eq", "error")]})),
        Ask("sessions: newest", get("/api/v1/sessions")),
        Ask("sessions: dearest", get("/api/v1/sessions", sort_by="total_cost_usd")),
        Ask("sessions: one", one("/api/v1/sessions/{}", lambda f: f.rng.choice(f.sessions))),
        Ask("users: dearest", get("/api/v1/users")),
        Ask("scores: newest", get("/api/v1/scores")),
        Ask("metrics/summary, 24 hours", lambda f: ("GET", "/api/v1/metrics/summary?" + urlencode({
            "end_time": f.week()["end_time"],
            "start_time": (datetime.fromisoformat(f.week()["end_time"]) - timedelta(days=1)).isoformat()}), None)),
        Ask("metrics/summary", get("/api/v1/metrics/summary")),
        Ask("performance", get("/api/v1/performance")),
        Ask("metrics/quality", get("/api/v1/metrics/quality")),
        Ask("metrics/conversations", get("/api/v1/metrics/conversations")),
        Ask("metrics/models", get("/api/v1/metrics/models")),
        Ask("metrics/trends", get("/api/v1/metrics/trends")),
        Ask("metrics/{name}: duration", get("/api/v1/metrics/duration")),
        Ask("metrics/{name}: unique_users", get("/api/v1/metrics/unique_users")),
        Ask("metrics/{name}/timeseries: total_cost", get("/api/v1/metrics/total_cost/timeseries", interval="1hour")),
        Ask("metrics: score.relevance by day", get("/api/v1/metrics", metrics="score.relevance", interval="1day")),
        Ask("models/compare", post("/api/v1/models/compare", models=["gpt-4o", "claude-sonnet-4-5"])),
        Ask("costs", get("/api/v1/costs", interval="1day")),
        Ask("costs, 30 days by model", lambda f: ("GET", "/api/v1/costs?" + urlencode({
            "start_time": (f.end - timedelta(days=30)).isoformat(), "end_time": f.end.isoformat(),
            "interval": "1day", "group_by": "model"}), None)),
        Ask("costs/summary", get("/api/v1/costs/summary")),
        *(Ask(f"costs/breakdown by {by}", get("/api/v1/costs/breakdown", by=by))
          for by in ("model", "user", "session", "tag", "environment")),
        Ask("costs/attribution: team", get("/api/v1/costs/attribution", dimension="team")),
        Ask("costs/attribution: tag", get("/api/v1/costs/attribution", dimension="tag")),
        Ask("costs/change", get("/api/v1/costs/change")),
        Ask("costs/unpriced", get("/api/v1/costs/unpriced")),
        Ask("costs/forecast", lambda f: ("GET", "/api/v1/costs/forecast?forecast_period=next_month", None)),
        Ask("costs/prices", lambda f: ("GET", "/api/v1/costs/prices", None)),
    ]  # fmt: skip


def lift_limits(hub: Hub) -> None:
    """Let the bench ask dear endpoints as often as it likes."""
    with psycopg.connect(hub.database_url, autocommit=True) as connection:
        for bucket in ("traces/search", "models/compare"):
            connection.execute(
                "INSERT INTO orgs_ratelimit (organization_id, bucket, per_minute, burst)"
                " SELECT id, %s, 1000000, 1000000 FROM orgs_organization ON CONFLICT DO NOTHING",
                [bucket],
            )


def facts_of(hub: Hub, end: datetime, numbers: int) -> Facts:
    with psycopg.connect(hub.database_url) as connection:

        def column(sql: str) -> list[str]:
            return [row[0] for row in connection.execute(sql.encode()).fetchall()]

        return Facts(
            end,
            column("SELECT trace_id FROM trace TABLESAMPLE SYSTEM (0.1) LIMIT 2000"),
            column("SELECT DISTINCT session_id FROM trace TABLESAMPLE SYSTEM (0.1) LIMIT 2000"),
            column("SELECT DISTINCT user_id FROM trace TABLESAMPLE SYSTEM (0.1) LIMIT 2000"),
            vocabulary(),
            numbers,
        )


class Client:
    """One kept connection."""

    def __init__(self, hub: Hub) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=120)
        self.headers = {"Authorization": f"Bearer {hub.api_key}", "Cache-Control": "no-cache"}

    def ask(self, request: Request) -> tuple[float, int, bytes]:
        """Milliseconds, status and body of a request."""
        method, path, body = request
        headers = {**self.headers, **({"Content-Type": "application/json"} if body is not None else {})}
        began = time.perf_counter()
        self.connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = self.connection.getresponse()
        content = answer.read()
        return (time.perf_counter() - began) * 1000, answer.status, content


def parts_of(asks: list[Ask], facts: Facts, hub: Hub) -> dict[str, str]:
    """What each answer reads, with the hub's code in this process."""
    os.environ |= {"DATABASE_URL": hub.database_url, "DJANGO_SETTINGS_MODULE": "analytics_hub.settings"}
    os.environ |= {"HUB_DATA_DIR": str(hub.data_dir), "CACHE_ENABLED": "false"}
    import django

    django.setup()
    from django.test import Client as Inside

    from bench.plans import watched

    inside, found = Inside(raise_request_exception=False), {}
    for ask in asks:
        method, path, body = ask.make(facts)
        with watched() as seen:
            inside.generic(
                method,
                path,
                b"" if body is None else json.dumps(body).encode(),
                content_type="application/json",
                headers={"Authorization": f"Bearer {hub.api_key}"},
            )
        found[ask.name] = f"{seen.statements:>3} {len(seen.parts):>5} {len(seen.whole):>5}"
    return found


def measure(hub: Hub, asks: list[Ask], facts: Facts, times: int) -> None:
    """Ask every kind of request and print one line each."""
    parts = parts_of(asks, facts, hub)
    print(f"\n  {'request':<44} {'p50 ms':>8} {'p95 ms':>8} {'goal':>5}  SQL parts whole")
    for ask in asks:
        client = Client(hub)
        taken: list[float] = []
        for turn in range(times + 5):
            elapsed, status, content = client.ask(ask.make(facts))
            if status != 200:
                print(f"  {ask.name:<44} {status} {content[:200]!r}")
                break
            if turn >= 5:
                taken.append(elapsed)
        if not taken:
            continue
        taken.sort()
        p95 = taken[max(0, int(len(taken) * 0.95 + 0.5) - 1)]
        met = "" if p95 <= ask.goal_ms else "  MISSED"
        print(
            f"  {ask.name:<44} {statistics.median(taken):8.1f} {p95:8.1f} {ask.goal_ms:>5}  {parts[ask.name]}{met}",
            flush=True,
        )


def missing(hub: Hub, table: str) -> bool:
    with psycopg.connect(hub.database_url) as connection:
        return connection.execute(f"SELECT 1 FROM {table} LIMIT 1".encode()).fetchone() is None


def end_of(hub: Hub) -> datetime:
    """The midnight at which the data of a kept folder ends; else the last one."""
    with psycopg.connect(hub.database_url) as connection:
        found = connection.execute("SELECT max(first_start) FROM trace").fetchone()
    last = found[0] - timedelta(microseconds=1) + timedelta(days=1) if found and found[0] else datetime.now(UTC)
    return last.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def prepare(hub: Hub, spans: int, days: float, end: datetime) -> None:
    """Load and fold what a kept folder does not have yet."""
    start = end - timedelta(days=days)
    loaded = missing(hub, "score")
    if missing(hub, "trace"):
        print(f"Loading {spans:,} spans over {days:g} days by COPY, with the texts of a fifth of them")
        load(hub.database_url, project_id=hub.project_id, spans=spans, start=start, days=days)
        load_content(hub.database_url, project_id=hub.project_id, spans=spans, start=start, days=days)
        fold(hub, spans)
    if missing(hub, "score"):
        load_scores(hub.database_url, project_id=hub.project_id)
        fold(hub, 0)
    with psycopg.connect(hub.database_url, autocommit=True) as connection:
        began = time.perf_counter()
        while connection.execute("SELECT 1 FROM text_mark UNION ALL SELECT 1 FROM span_mark LIMIT 1").fetchone():
            time.sleep(1)
        print(f"  waited {time.perf_counter() - began:.0f} s more for the index of words")
        if loaded:
            connection.execute("VACUUM ANALYZE")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spans", type=int, default=10_000_000)
    parser.add_argument("--days", type=float, default=30)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--only", default="", help="requests whose name contains this")
    options = parser.parse_args()
    with running_hub() as hub:
        end = end_of(hub)
        prepare(hub, options.spans, options.days, end)
        lift_limits(hub)
        asks = [ask for ask in questions() if options.only in ask.name]
        measure(hub, asks, facts_of(hub, end, options.spans // 5), options.times)


if __name__ == "__main__":
    main()
