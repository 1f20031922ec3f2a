"""/health and /ready."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from pytest_django.plugin import DjangoDbBlocker

from apps.common.observe import probes, readiness
from apps.common.observe.readiness import NotReady


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, readiness.Check]]:
    """An empty registry."""
    own: dict[str, readiness.Check] = {}
    monkeypatch.setattr(readiness, "_checks", own)
    yield own


@pytest.mark.django_db(transaction=True)
def test_a_usable_hub_is_ready(client: Client) -> None:
    answer = client.get("/ready")
    body = answer.json()
    assert (answer.status_code, body["status"]) == (200, "ready"), body
    assert set(body["checks"]) >= {"database", "migrations", "cache", "storage", "rollups"}
    assert all(check["ok"] and check["ms"] >= 0 for check in body["checks"].values())
    assert body["checks"]["cache"]["used"] is True
    assert body["checks"]["storage"]["tier"] in ("postgres", "timescale", "timescale_apache")
    assert answer["Cache-Control"] == "no-store"


def test_health_asks_nobody(client: Client, django_db_blocker: DjangoDbBlocker) -> None:
    with django_db_blocker.block():
        assert client.get("/health").json() == {"status": "ok"}
    assert client.get("/health")["Content-Length"] == "15"
    assert client.head("/health").status_code == 200
    assert client.post("/health").status_code == 405


def test_a_failing_check_makes_it_503_and_leaks_nothing(client: Client, checks: dict[str, Any]) -> None:
    def away() -> None:
        raise OperationalError("connection to server at db.internal failed")

    def missing() -> None:
        raise NotReady("2 migrations are not applied")

    readiness.register("database", away)
    readiness.register("migrations", missing)
    readiness.register("fine", lambda: {"version": 3})
    answer = client.get("/ready")
    assert answer.status_code == 503
    assert answer["Retry-After"]
    assert b"db.internal" not in answer.content
    body = answer.json()
    assert body["status"] == "not_ready"
    assert [check["ok"] for check in body["checks"].values()] == [False, False, True]
    assert body["checks"]["migrations"]["message"] == "2 migrations are not applied"
    assert body["checks"]["fine"]["version"] == 3


def test_a_check_that_only_informs(client: Client, checks: dict[str, Any]) -> None:
    readiness.register("extra", lambda: 1 / 0, critical=False)  # type: ignore[arg-type, return-value]
    answer = client.get("/ready")
    assert answer.status_code == 200
    assert answer.json()["checks"]["extra"]["ok"] is False


def test_a_check_that_hangs_is_cut_off_and_not_started_again(checks: dict[str, Any]) -> None:
    release, started = threading.Event(), []

    def hangs() -> None:
        started.append(1)
        release.wait(30)

    readiness.register("slow", hangs)
    for _ in range(3):
        ready, results = readiness.run_checks(limit=0.05)
        assert not ready
        assert "no answer" in results["slow"]["message"]
    assert len(started) == 1
    release.set()


@pytest.mark.django_db
def test_migrations_that_are_missing_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "_migrated", False)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'orgs'")
    with pytest.raises(NotReady, match="not applied"):
        probes.migrations()


def test_a_cache_server_that_is_away(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    monkeypatch.setattr("django.core.cache.cache.get", lambda key: None)
    with pytest.raises(NotReady, match="cache server"):
        probes.cache_server()
    settings.REDIS_URL = ""
    assert probes.cache_server() == {"used": False}
