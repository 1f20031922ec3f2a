"""Every page of the console on millions of spans: its time, its statements, what it weighs.

    python -m bench.pages [--spans 10000000] [--days 30] [--times 30] [--only costs]

The data of bench.api (BENCH_KEEP=folder keeps it) and 5,000 spans whose models, users, environments, names and errors
have 200 characters, in the newest hours, so that they come first. Pages are asked by a signed-in person over one kept
connection with `Cache-Control: no-cache`, for ranges that end within the last three hours of the data, another one each
time. CPU is what all the hub's processes use for a page: it tells more than the time where other work has the cores.
Bytes are those of the page with all its scripts and styles, as they are and as they are sent.
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import os
import re
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import psycopg

from bench.api import Facts, end_of, facts_of, lift_limits, prepare, user_of
from bench.hub import Hub, running_hub
from bench.labels import long_name, send_labels
from bench.processes import cpu_seconds, descendants

GOAL_MS, GOAL_BYTES = 150, 300_000
EMAIL, PASSWORD = "bench@example.com", "bench-password-1"
_ASSET = re.compile(r'<(?:script[^>]*? src|link rel="stylesheet" href)="([^"]+)"')
_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


@dataclass(frozen=True)
class Page:
    """A page: how a line of the table calls it, and its address."""

    name: str
    make: Callable[[Facts], str]


def at(path: str, days: float = 1, **parameters: Any) -> Callable[[Facts], str]:
    """A page with a bar, over so many days."""

    def make(facts: Facts) -> str:
        end = facts.end - timedelta(minutes=facts.rng.randrange(180))
        made = {name: value(facts) if callable(value) else value for name, value in parameters.items()}
        period = {
            "range": "custom",
            "start_time": (end - timedelta(days=days)).isoformat(),
            "end_time": end.isoformat(),
        }
        return f"{path}?{urlencode({**period, **made})}"

    return make


def plain(path: str) -> Callable[[Facts], str]:
    return lambda _: path


def pages() -> list[Page]:
    """Every page; those with a bar over 24 hours, their default, and over 7 days."""
    ranged = ("/overview", "/costs", "/performance", "/quality", "/models", "/traces", "/conversations", "/users")
    days = [Page(f"{path}, {text}", at(path, length)) for path in ranged for length, text in ((1, "24 h"), (7, "7 d"))]
    compared = f"{long_name('model', 7)},gpt-4.1"
    return [
        *days,
        Page("/overview, 15 d", at("/overview", 15)),
        *(
            Page(f"{path}, compared", at(path, compare=1))
            for path in ("/overview", "/costs", "/performance", "/quality")
        ),
        Page("/performance, trends", at("/performance", view="trends")),
        Page("/performance of a model", at("/performance", model=long_name("model", 7))),
        Page("/costs/by user, 7 d", at("/costs/by", 7, by="user")),
        Page("/costs/by tag, 7 d", at("/costs/by", 7, by="tag")),
        Page("/costs/change, 7 d", at("/costs/change", 7)),
        Page("/costs/forecast", plain("/costs/forecast")),
        Page("/costs/unpriced, 7 d", at("/costs/unpriced", 7)),
        Page("/overview/users, 7 d", at("/overview/users", 7)),
        Page("/models/compare, 7 d", at("/models/compare", 7, models=compared)),
        Page("/traces of a user", at("/traces", user_id=user_of)),
        Page("/traces, dearest", at("/traces", 7, sort_by="total_cost_usd")),
        Page("/traces, a word", at("/traces", 7, search=lambda facts: facts.rng.choice(facts.words[3_000:]))),
        Page("/traces/<id>", lambda facts: f"/traces/{facts.rng.choice(facts.traces)}"),
        Page("/users/<id>, 7 d", lambda facts: at(f"/users/{user_of(facts)}", 7)(facts)),
        *(Page(path, plain(path)) for path in PLAIN),
    ]


PLAIN = (
    *(
        "/exports",
        "/exports/new",
        "/exports/schedules",
        "/ingest",
        "/ingest/letters",
        "/start",
        "/settings/organization",
        "/settings/members",
        "/settings/keys",
    ),
    *("/settings/prices", "/settings/audit"),
)


class Browser:
    """A signed-in person's browser: one kept connection, cookies."""

    def __init__(self, hub: Hub) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=120)
        self.cookies: SimpleCookie = SimpleCookie()
        form = self.get("/login").body.decode()
        token = _TOKEN.search(form)
        fields = {"csrfmiddlewaretoken": token[1] if token else "", "email": EMAIL, "password": PASSWORD}
        answer = self._ask("POST", "/login", urlencode(fields), {"Content-Type": "application/x-www-form-urlencoded"})
        if answer.status != 302:
            raise SystemExit(f"signing in was answered {answer.status}")

    def get(self, path: str) -> Answer:
        return self._ask("GET", path, None, {})

    def _ask(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> Answer:
        cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in self.cookies.items())
        headers = {
            "Cookie": cookies,
            "Cache-Control": "no-cache",
            "Accept": "text/html",
            "Accept-Encoding": "gzip",
        } | headers
        began = time.perf_counter()
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        sent = answer.read()
        elapsed = (time.perf_counter() - began) * 1000
        for name, value in answer.getheaders():
            if name.lower() == "set-cookie":
                self.cookies.load(value)
        packed = answer.getheader("Content-Encoding") == "gzip"
        asked = len((answer.getheader("Server-Timing") or "").split(",")) if answer.getheader("Server-Timing") else 0
        return Answer(answer.status, gzip.decompress(sent) if packed else sent, len(sent), elapsed, asked)


@dataclass(frozen=True)
class Answer:
    """What came back.

    Args:
        sent: bytes of the body on the wire.
        asked: how many questions the page put to the API.
    """

    status: int
    body: bytes
    sent: int
    elapsed_ms: float
    asked: int


class Weights:
    """What scripts and styles weigh: (as they are, as sent), each asked for once."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.known: dict[str, tuple[int, int]] = {}

    def of(self, path: str, page: Answer) -> tuple[int, int]:
        """Of the page with all that it loads."""
        found = {urlsplit(urljoin(path, link)).path for link in _ASSET.findall(page.body.decode())}
        for asset in found - self.known.keys():
            answer = self.browser.get(asset)
            self.known[asset] = (len(answer.body), answer.sent)
        sizes = [(len(page.body), page.sent), *(self.known[asset] for asset in found)]
        return sum(size for size, _ in sizes), sum(sent for _, sent in sizes)


@contextmanager
def counted() -> Iterator[list[str]]:
    """The statements that psycopg executes in this process, but for those that only set something."""
    seen: list[str] = []
    plain_execute = psycopg.Cursor.execute

    def execute(self: Any, query: Any, params: Any = None, **more: Any) -> Any:
        text = query.decode() if isinstance(query, bytes) else str(query)
        if not text.startswith(("SET ", "BEGIN", "COMMIT")):
            seen.append(text)
        return plain_execute(self, query, params, **more)

    psycopg.Cursor.execute = execute  # type: ignore[method-assign]
    try:
        yield seen
    finally:
        psycopg.Cursor.execute = plain_execute  # type: ignore[method-assign]


def statements_of(listed: list[Page], facts: Facts, hub: Hub, browser: Browser) -> dict[str, int]:
    """How many statements each page takes, with the hub's code in this process and the browser's session."""
    os.environ |= {"DATABASE_URL": hub.database_url, "DJANGO_SETTINGS_MODULE": "analytics_hub.settings"}
    os.environ |= {"HUB_DATA_DIR": str(hub.data_dir), "CACHE_ENABLED": "false"}
    import django

    django.setup()
    from django.test import Client

    inside, found = Client(raise_request_exception=False), {}
    for name, morsel in browser.cookies.items():
        inside.cookies[name] = morsel.value
    for page in listed:
        with counted() as seen:
            inside.get(page.make(facts))
        found[page.name] = len(seen)
    return found


def measure(hub: Hub, listed: list[Page], facts: Facts, times: int) -> None:
    """Ask every page and print one line each."""
    browser = Browser(hub)
    weights, statements = Weights(browser), statements_of(listed, facts, hub, browser)
    print(f"\n  {'page':<28} {'p50 ms':>7} {'p95 ms':>7} {'CPU ms':>7}  asks SQL  page kB  all kB  sent kB")
    for page in listed:
        taken: list[float] = []
        heaviest, asked, used = (0, 0, 0), 0, 0.0
        for turn in range(times + 5):
            path = page.make(facts)
            answer = browser.get(path)
            if answer.status != 200:
                print(f"  {page.name:<28} {answer.status}")
                break
            if turn < 5:
                used = cpu_seconds(descendants(hub.process.pid))
            else:
                taken.append(answer.elapsed_ms)
            heaviest = max(heaviest, (len(answer.body), *weights.of(path, answer)))
            asked = max(asked, answer.asked)
        if not taken:
            continue
        used = (cpu_seconds(descendants(hub.process.pid)) - used) / len(taken) * 1000
        taken.sort()
        p95 = taken[max(0, int(len(taken) * 0.95 + 0.5) - 1)]
        missed = ("  SLOW" if p95 > GOAL_MS else "") + ("  HEAVY" if heaviest[1] > GOAL_BYTES else "")
        sizes = "  ".join(f"{size / 1000:7.1f}" for size in heaviest)
        figures = f"{statistics.median(taken):7.1f} {p95:7.1f} {used:7.1f}"
        print(
            f"  {page.name:<28} {figures}  {asked:>4} {statements[page.name]:>3}  {sizes}{missed}",
            flush=True,
        )


def fold_labels(hub: Hub) -> None:
    """Wait until what was sent is in the cells, as after some minutes of a hub's life."""
    with psycopg.connect(hub.database_url, autocommit=True) as connection:
        while connection.execute("SELECT FROM text_mark UNION ALL SELECT FROM span_mark LIMIT 1").fetchone():
            time.sleep(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spans", type=int, default=10_000_000)
    parser.add_argument("--days", type=float, default=30)
    parser.add_argument("--times", type=int, default=30)
    parser.add_argument("--only", default="", help="pages whose name contains this")
    options = parser.parse_args()
    with running_hub() as hub:
        end = end_of(hub)
        prepare(hub, options.spans, options.days, end)
        lift_limits(hub)
        send_labels(hub, end)
        fold_labels(hub)
        listed = [page for page in pages() if options.only in page.name]
        measure(hub, listed, facts_of(hub, end, options.spans // 5), options.times)


if __name__ == "__main__":
    main()
