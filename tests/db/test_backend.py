"""The database backend and the settings of its connections."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any

import pytest
from django.db import OperationalError
from timescale.db.backends.postgresql.base import DatabaseWrapper as TimescaleWrapper

from analytics_hub import settings as hub_settings
from analytics_hub.db.base import DatabaseWrapper


class Offers(DatabaseWrapper):
    """A server that offers the extension, or does not."""

    def __init__(self, offered: bool) -> None:
        self.offered = offered

    @contextmanager
    def cursor(self) -> Any:
        class Cursor:
            def execute(self, sql: str) -> None:
                assert "pg_available_extensions" in sql

            def fetchone(cursor) -> Any:
                return (1,) if self.offered else None

        yield Cursor()


@pytest.fixture
def created(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    calls: list[str] = []
    monkeypatch.setattr(TimescaleWrapper, "prepare_database", lambda self: calls.append("created"))
    return calls


@pytest.mark.parametrize("offered", [True, False])
def test_the_extension_is_created_only_where_it_is_offered(created: list[str], offered: bool) -> None:
    Offers(offered).prepare_database()
    assert created == (["created"] if offered else [])


def test_a_server_that_forbids_the_extension_is_used_without(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def forbidden(self: Any) -> None:
        raise OperationalError("must be superuser; host db.internal")

    monkeypatch.setattr(TimescaleWrapper, "prepare_database", forbidden)
    Offers(True).prepare_database()
    assert "cannot be enabled" in caplog.text
    assert "db.internal" not in caplog.text


def test_a_server_that_vanished_is_noticed_before_a_requests_time_is_over() -> None:
    options = hub_settings._database_options("")
    idle = options["keepalives_idle"] + options["keepalives_interval"] * options["keepalives_count"]
    assert max(idle * 1000, options["tcp_user_timeout"]) < hub_settings.HUB.request_timeout_seconds * 1000
    assert hub_settings._database_options("tcp_user_timeout=0")["tcp_user_timeout"] == "0"


def test_only_the_web_process_has_a_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "pool" not in hub_settings._database_options("")
    monkeypatch.setattr(hub_settings, "PROCESS", "web")
    options = hub_settings._database_options("sslmode=require")
    assert options["pool"]["max_size"] == hub_settings.HUB.database_max_connections
    assert options["pool"]["reconnect_timeout"] <= 5  # else a server that is back is tried minutes later
    assert options["application_name"] == "analytics-hub-web"
    assert options["sslmode"] == "require"


def test_the_url_of_a_database_is_decoded() -> None:
    made = hub_settings._database("postgresql://a%40b:p%2Fw@db.example:5433/my%20hub")
    assert (made["USER"], made["PASSWORD"], made["HOST"]) == ("a@b", "p/w", "db.example")
    assert (made["PORT"], made["NAME"], made["ENGINE"]) == ("5433", "my hub", "analytics_hub.db")


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("redis://:s%2Fx@h:6379/0", "redis://:s%2Fx@h:6379/1"),
        ("redis://h:6379", "redis://h:6379/1"),
        ("redis://h:6379/4", "redis://h:6379/5"),
        ("unix:///run/valkey.sock?db=0", "unix:///run/valkey.sock?db=0"),
    ],
)
def test_the_cache_has_a_database_of_its_own(url: str, location: str) -> None:
    made = hub_settings._cache(url)
    assert made["LOCATION"] == location
    assert hub_settings._cache("")["BACKEND"].endswith("DummyCache")
