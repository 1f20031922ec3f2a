"""What only a real server shows of downloads: HEAD, ranges, logs, and slow readers who take no thread from others."""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]
DATA = bytes(range(256)) * 80_000  # more than sockets keep on the way


@pytest.fixture
def hub(
    transactional_db: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, str, str, Path]]:
    """Address, key, a job, the log of a server with a thread for one download and one for all else.

    And with one connection to the database, which a download must not keep.
    """
    from django.db import connection

    from tests.clients.hub import running_hub
    from tests.support.exports import finished_export
    from tests.support.world import make_world

    world = make_world()
    job = finished_export(world.acme, [world.default], data=DATA)
    log = tmp_path / "web.log"
    monkeypatch.setenv("DATABASE_MAX_CONNECTIONS", "1")
    with running_hub(connection.settings_dict, log, EXPORT_DOWNLOADS="1", ACCESS_LOG="all") as address:
        yield urlsplit(address).netloc, world.wide_key, f"/api/v1/export/jobs/{job.pk}", log


def ask(netloc: str, path: str, key: str = "", method: str = "GET", **headers: str) -> tuple[int, Any, bytes]:
    connection = http.client.HTTPConnection(netloc, timeout=30)
    given = {
        **({"X-API-Key": key} if key else {}),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    connection.request(method, path, headers=given)
    answer = connection.getresponse()
    try:
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def test_downloads(hub: tuple[str, str, str, Path]) -> None:
    """One server for all, since each takes seconds to start."""
    netloc, key, job, log = hub
    status, headers, body = ask(netloc, f"{job}/download", key, Accept_Encoding="gzip")
    assert (status, hashlib.sha256(body).hexdigest()) == (200, headers["ETag"].strip('"'))
    assert headers["Content-Encoding"] is None
    status, headers, body = ask(netloc, f"{job}/download", key, "HEAD")
    assert (status, headers["Content-Length"], body) == (200, str(len(DATA)), b"")
    status, headers, body = ask(netloc, f"{job}/download", key, Range="bytes=-10")
    assert (status, body) == (206, DATA[-10:])
    assert headers["Content-Range"] == f"bytes {len(DATA) - 10}-{len(DATA) - 1}/{len(DATA)}"
    assert ask(netloc, f"{job}/download", key, Range=f"bytes={len(DATA)}-")[0] == 416
    link = str(json.loads(ask(netloc, job, key)[2])["download_url"])
    assert ask(netloc, link)[2] == DATA
    assert ask(netloc, link.replace(".", "x"))[0] == 404
    token = link.split("/")[-2]
    lines = log.read_text(encoding="utf-8")
    assert "/api/v1/export/files/<str:token>" in lines
    assert token not in lines
    assert token.split(".")[1] not in lines

    host, _, port = netloc.partition(":")
    with socket.create_connection((host, int(port))) as slow:
        slow.sendall(f"GET {link} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert slow.recv(12, socket.MSG_WAITALL) == b"HTTP/1.1 200"
        for _ in range(10):
            assert ask(netloc, "/api/v1/export/jobs", key)[0] == 200
        status, headers, _ = ask(netloc, link)
        assert (status, headers["Retry-After"]) == (503, "5")
    end = time.monotonic() + 30
    while (status := ask(netloc, link, Range="bytes=0-9")[0]) == 503 and time.monotonic() < end:
        time.sleep(0.1)
    assert status == 206
