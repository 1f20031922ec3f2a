"""A TimescaleDB for these tests.

Where the suite itself runs on a TimescaleDB (TEST_DATABASE_URL), that one. Else TimescaleDB in WebAssembly, started
with Node once a session: it takes one connection at a time and no COPY, so `default` is swapped for it and the writer
uses its other sink. Tests run in real transactions, since continuous aggregates refuse to refresh inside one.
"""

from __future__ import annotations

import os
import select
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.postgresql.base import DatabaseWrapper

from analytics_hub.launch.process import free_port
from tests.support.spans import clear_spans

HERE = Path(__file__).resolve().parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.timescale)
            if os.environ.get("TEST_DATABASE_URL"):
                # Asked for here, since a fixture that is only asked for on the way starts a transaction all the same.
                item.add_marker(pytest.mark.django_db(transaction=True))
            # One worker then starts the server, not each.
            item.add_marker(pytest.mark.xdist_group("timescale"))


def _missing() -> str | None:
    if shutil.which("node") is None:
        return "Node is not installed"
    if not (HERE / "node_modules" / "@unni-craftsman").exists():
        return f"run `npm ci` in {HERE}"
    return None


def _give_up(reason: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(f"no TimescaleDB: {reason}")
    pytest.skip(f"no TimescaleDB: {reason}")


def _await_port(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], 60)
    if not ready or not process.stdout.readline().startswith("listening"):
        process.kill()
        _give_up("its server did not start")


@pytest.fixture(scope="session")
def wasm_url() -> Iterator[dict[str, Any]]:
    """Connection settings of the server in WebAssembly."""
    if reason := _missing():
        _give_up(reason)
    port = free_port()
    # It ends when its standard input does, so it cannot outlive this process.
    process = subprocess.Popen(
        ["node", "server.mjs", str(port)], cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    _await_port(process)
    yield {"HOST": "127.0.0.1", "PORT": str(port), "USER": "postgres", "PASSWORD": "postgres", "NAME": "postgres"}
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:  # seen once: it has nothing to keep, so it may be ended like this
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def wasm_database(request: pytest.FixtureRequest, django_db_blocker: Any) -> Iterator[BaseDatabaseWrapper]:
    """A migrated database on that server, behind a connection of the alias `default`."""
    address = request.getfixturevalue("wasm_url")
    options = {"sslmode": "disable", "application_name": "analytics-hub"}
    settings = {**connections["default"].settings_dict, **address, "OPTIONS": options, "CONN_MAX_AGE": None}
    wrapper = DatabaseWrapper(settings, alias="default")
    with django_db_blocker.unblock(), _as_default(wrapper):
        call_command("migrate", verbosity=0)
    yield wrapper
    with django_db_blocker.unblock():
        wrapper.close()


class _as_default:
    """Make a connection the one that `django.db.connection` names, in this thread."""

    def __init__(self, wrapper: BaseDatabaseWrapper) -> None:
        self.wrapper = wrapper

    def __enter__(self) -> None:
        self.usual = connections["default"]
        connections["default"] = self.wrapper

    def __exit__(self, *_: object) -> None:
        connections["default"] = self.usual


def suite_is_on_timescale() -> bool:
    from apps.traces.tiers import detect  # this file is read before the settings are

    return bool(os.environ.get("TEST_DATABASE_URL")) and detect(connections["default"]).hypertables


def _clear() -> None:
    clear_spans()
    with connections["default"].cursor() as cursor:
        for table in ("span", "span_content"):
            cursor.execute(f"SELECT drop_chunks('{table}', newer_than => timestamptz '1970-01-01')")


@pytest.fixture
def timescale(request: pytest.FixtureRequest, django_db_blocker: Any, settings: Any) -> Iterator[BaseDatabaseWrapper]:
    """`default` is a TimescaleDB with empty span tables and no transaction around the test."""
    with django_db_blocker.unblock():
        native = suite_is_on_timescale()
    if native:
        _clear()
        yield connections["default"]
        _clear()
        return
    wrapper = request.getfixturevalue("wasm_database")
    settings.WRITER_SINK = "unnest"
    with django_db_blocker.unblock(), _as_default(wrapper):
        _clear()
        yield wrapper
        _clear()
