"""Forty ask the same at once of a server with two processes: one of them computes. Counted in the database."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import psycopg
import pytest
from django.db import connection

from apps.common import valkey
from apps.common.reads import answers

if TYPE_CHECKING:
    from tests.support.world import World

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]
CALLERS = 40


@pytest.fixture
def computations(transactional_db: None) -> Iterator[psycopg.Connection[Any]]:
    """A session that is told of every computation: each reads the rollups' state, which here tells, and takes long."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            ALTER TABLE rollup_state RENAME TO rollup_state_kept;
            CREATE FUNCTION told_state() RETURNS SETOF rollup_state_kept LANGUAGE plpgsql VOLATILE AS $$ BEGIN
                PERFORM pg_notify('computed', ''), pg_sleep(0.5);
                RETURN QUERY SELECT * FROM rollup_state_kept;
            END $$;
            CREATE VIEW rollup_state AS SELECT * FROM told_state()
            """
        )
    values = connection.get_connection_params()
    wanted = {key: values[key] for key in ("host", "port", "user", "password", "dbname") if values.get(key)}
    try:
        with psycopg.connect(**wanted, autocommit=True) as session:
            session.execute("LISTEN computed")
            yield session
    finally:
        with connection.cursor() as cursor:
            cursor.execute(
                "DROP VIEW rollup_state; DROP FUNCTION told_state();"
                " ALTER TABLE rollup_state_kept RENAME TO rollup_state"
            )


def count(session: psycopg.Connection[Any]) -> int:
    """How many computations there were since the last count."""
    return len(list(session.notifies(timeout=0.1)))


def storm(url: str, key: str) -> list[dict[str, Any]]:
    """The bodies of the answers to callers who start together."""
    together = threading.Barrier(CALLERS)

    def ask(_: int) -> dict[str, Any]:
        together.wait(30)
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})  # noqa: S310
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            body: dict[str, Any] = orjson.loads(answer.read())
            return body

    with ThreadPoolExecutor(CALLERS) as pool:
        return list(pool.map(ask, range(CALLERS)))


def the_key() -> bytes:
    (key,) = valkey.call(lambda client: list(client.scan_iter(match="hub:metrics:*")))
    return bytes(key)


def test_forty_at_once_compute_once(
    world: World, computations: psycopg.Connection[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.clients.hub import running_hub

    monkeypatch.setenv("CACHE_TTL_METRICS", "600")
    with running_hub(connection.settings_dict, tmp_path / "web.log", workers=2) as address:
        url = f"{address}/api/v1/metrics?metrics=request_count&end_time=2026-11-05T00:00:00Z"

        bodies = storm(url, world.key)  # nothing is kept
        assert count(computations) == 1
        assert [body["meta"]["cached"] for body in bodies].count(False) == 1
        assert len({body["meta"]["computed_at"] for body in bodies}) == 1
        assert len({body["meta"]["request_id"] for body in bodies}) == CALLERS

        assert all(body["meta"]["cached"] for body in storm(url, world.key))
        assert count(computations) == 0

        valkey.call(lambda client: client.pexpire(the_key(), 1))
        storm(url, world.key)
        assert count(computations) == 1

        key = the_key()
        entry = answers.unpack(valkey.call(lambda client: client.get(key)))  # type: ignore[arg-type]
        assert entry is not None
        ageing = replace(entry, computed_at=entry.computed_at - 500)
        valkey.call(lambda client: client.set(key, ageing.pack(), px=100_000))
        moments = [body["meta"]["computed_at"] for body in storm(url, world.key)]
        assert count(computations) == 1
        assert len(set(moments)) == 2, "one computed it anew, others got what was kept"
