"""What /metrics tells, and to whom."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from apps.common.edge.address import parse_networks
from apps.common.observe import pulse, scrape, telemetry

TOKEN = "0123456789abcdef-token"
pytestmark = pytest.mark.django_db

# The contract's names; what belongs to later features is absent.
NAMES = {
    *("http_requests_total", "http_request_duration_seconds", "http_request_size_bytes", "http_response_size_bytes"),
    *("db_query_duration_seconds", "db_errors_total", "db_pool_connections", "db_pool_size", "db_pool_waiting"),
    *("cache_hits_total", "cache_misses_total", "cache_size_bytes"),
    *("rate_limit_exceeded_total", "rate_limit_remaining"),
    *("spans_ingested_total", "spans_rejected_total", "rollup_lag_seconds", "celery_queue_depth"),
}


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(text)
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def names(text: str) -> set[str]:
    return {line.split()[2] for line in text.splitlines() if line.startswith("# HELP")}


@pytest.fixture
def web() -> Client:
    return Client(raise_request_exception=False)


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    monkeypatch.setattr(scrape, "_figures", {})
    yield scrape._figures


def test_the_names_of_the_contract_are_there(web: Client) -> None:
    pulse.beat()
    answer = web.get("/metrics")
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain")
    assert answer["Cache-Control"] == "no-store"
    assert names(answer.content.decode()) >= NAMES


def test_requests_are_counted_by_route(web: Client) -> None:
    def count(route: str, status: str) -> float:
        labels = (("method", "GET"), ("route", route), ("status", status))
        return samples(web.get("/metrics").content.decode()).get(("http_requests_total", labels), 0.0)

    before, unknown = count("/health", "200"), count("(unknown)", "404")
    for number in range(5):
        web.get("/health")
        web.get(f"/nowhere/{number}")
    web.get("/docs/errors/1202")
    assert count("/health", "200") - before == 5
    assert count("(unknown)", "404") - unknown == 5
    assert count("/docs/errors/<int:code>", "200") >= 1
    assert b"nowhere" not in web.get("/metrics").content


@pytest.mark.parametrize(
    ("peer", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("::ffff:127.0.0.1", {}, 200),
        ("203.0.113.9", {}, 403),
        ("203.0.113.9", {"Authorization": f"Bearer {TOKEN}"}, 200),
        ("203.0.113.9", {"Authorization": f"bearer  {TOKEN} "}, 200),
        ("203.0.113.9", {"Authorization": f"Bearer {TOKEN}x"}, 403),
        ("203.0.113.9", {"Authorization": f"Basic {TOKEN}"}, 403),
        ("203.0.113.9", {"Authorization": "Bearer é"}, 403),
        ("203.0.113.9", {"X-Forwarded-For": "127.0.0.1"}, 403),
        ("127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}, 403),
        ("127.0.0.1", {"Forwarded": "for=127.0.0.1"}, 403),
        ("127.0.0.1", {"X-Real-IP": "127.0.0.1"}, 403),
        ("127.0.0.1", {"X-Real-IP": "1.2.3.4", "Authorization": f"Bearer {TOKEN}"}, 200),
        ("", {}, 403),
    ],
)
def test_who_may_read_them(
    web: Client, settings: Any, figures: Any, peer: str, headers: dict[str, str], status: int
) -> None:
    settings.HUB = settings.HUB.model_copy(update={"metrics_token": TOKEN})
    answer = web.get("/metrics", headers=headers, REMOTE_ADDR=peer)
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["error"]["code"] == 1102


def test_no_token_is_no_door(web: Client, figures: Any) -> None:
    answer = web.get("/metrics", headers={"Authorization": "Bearer "}, REMOTE_ADDR="203.0.113.9")
    assert answer.status_code == 403


def test_networks_are_asked_about_the_client_behind_a_trusted_proxy(web: Client, settings: Any, figures: Any) -> None:
    settings.TRUSTED_PROXIES = parse_networks("127.0.0.1")
    settings.METRICS_ALLOWED = parse_networks("198.51.100.0/24")

    def status(client: str) -> int:
        return web.get("/metrics", headers={"X-Forwarded-For": client}).status_code

    assert (status("198.51.100.7"), status("127.0.0.1"), status("203.0.113.1")) == (200, 403, 403)
    assert web.get("/metrics").status_code == 403


def test_a_figure_whose_source_is_down_is_left_out(
    web: Client, figures: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> float:
        raise ConnectionError

    monkeypatch.setattr(scrape, "LIMIT_SECONDS", 0.1)
    late = threading.Event()
    scrape.register("test_broken", "x", broken)
    scrape.register("test_late", "x", lambda: float(late.wait(20)))
    scrape.register("test_nothing", "x", lambda: None)
    scrape.register("test_one", "x", lambda: 3.5)
    scrape.register("test_many", "x", lambda: {("a",): 1.0, ("b",): 2.0}, ("which",))
    for _ in range(2):  # the second time the late one is still busy
        text = web.get("/metrics").content.decode()
        assert names(text) & {"test_broken", "test_late", "test_nothing", "test_one", "test_many"} == {
            *("test_one", "test_many")
        }
        assert samples(text)["test_one", ()] == 3.5
        assert samples(text)["test_many", (("which", "b"),)] == 2.0
    late.set()


def test_buckets_that_nobody_uses_are_left_out(web: Client, figures: Any) -> None:
    telemetry.rate_remaining("test-idle", 3)
    shown = ("rate_limit_remaining", (("bucket", "test-idle"),))
    assert samples(web.get("/metrics").content.decode())[shown] == 3
    telemetry.turn_window()
    telemetry.turn_window()
    assert shown not in samples(web.get("/metrics").content.decode())


def test_the_tasks_of_each_queue_are_counted() -> None:
    from apps.common.observe.background import QUEUES, broker, queue_depths
    from apps.common.observe.probes import cache_size

    server = broker()
    if server is None:
        pytest.skip("no broker")
    server.rpush("hub:celery:hub", "a", "b")
    server.rpush("hub:celery:exports", "c")
    held = {"one": ["", "exports"], "two": ["", "exports"], "three": ["", "maintenance"]}
    server.hset("hub:celery:unacked", mapping={tag: json.dumps([{}, *where]) for tag, where in held.items()})
    try:
        depths = queue_depths()
        assert depths == {
            **{("hub", "waiting"): 2.0, ("exports", "waiting"): 1.0, ("maintenance", "waiting"): 0.0},
            **{("hub", "taken"): 0.0, ("exports", "taken"): 2.0, ("maintenance", "taken"): 1.0},
        }
    finally:
        server.delete(*(f"hub:celery:{name}" for name in (*QUEUES, "unacked")))
    assert (cache_size() or 0) > 100_000
