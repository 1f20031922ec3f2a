"""What only a real server shows: chunked bodies, and bodies cut off on the way."""

from __future__ import annotations

import gzip
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


@pytest.fixture
def server(transactional_db: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, str]]:
    """Host and port of a hub whose bodies may have 100,000 bytes, and a key."""
    from django.db import connection

    from apps.orgs.models import Organization
    from apps.orgs.services import api_key_create, project_create
    from tests.clients.hub import running_hub
    from tests.support.spans import clear_spans

    clear_spans()
    monkeypatch.setenv("INGEST_MAX_BODY_BYTES", "100000")
    organization = Organization.objects.create(slug="acme", name="Acme")
    project = project_create(organization=organization, slug="default")
    _, key = api_key_create(organization=organization, project=project, role="developer")
    with running_hub(connection.settings_dict, tmp_path / "web.log") as address:
        yield urlsplit(address).netloc, key
    clear_spans()


def body(count: int = 1) -> bytes:
    from tests.ingest.build import json_request, json_span

    now = time.time_ns()
    spans = [json_span(spanId=f"{n + 1:016x}", startTimeUnixNano=now, endTimeUnixNano=now) for n in range(count)]
    return json.dumps(json_request(spans)).encode()


def send(server: tuple[str, str], parts: Any, **headers: str) -> tuple[int, bytes]:
    """Send parts as a chunked body (a list), or a body with its length (bytes)."""
    netloc, key = server
    connection = http.client.HTTPConnection(netloc, timeout=30)
    sent = {"Authorization": f"Bearer {key}", "Content-Type": "application/json", **headers}
    chunked = isinstance(parts, list)
    connection.request("POST", "/v1/traces", iter(parts) if chunked else parts, sent, encode_chunked=chunked)
    response = connection.getresponse()
    answer = response.status, response.read()
    connection.close()
    return answer


def count() -> int:
    from tests.ingest.world import stored

    return len(stored())


def test_bodies(server: tuple[str, str]) -> None:
    """One server for all, since each takes seconds to start."""
    whole = body(20)
    chunks = [whole[place : place + 1_000] for place in range(0, len(whole), 1_000)]
    assert send(server, chunks, **{"Transfer-Encoding": "chunked"}) == (200, b"{}")
    assert count() == 20
    packed = gzip.compress(body(30))
    halves = [packed[:100], packed[100:]]
    encoding = {"Transfer-Encoding": "chunked", "Content-Encoding": "gzip"}
    assert send(server, halves, **encoding) == (200, b"{}")
    assert count() == 50
    status, answer = send(server, [b" " * 10_000] * 11, **{"Transfer-Encoding": "chunked"})
    assert (status, json.loads(answer)["code"]) == (413, 8)
    assert send(server, gzip.compress(b" " * 5_000_000), **{"Content-Encoding": "gzip"})[0] == 413
    assert send(server, b" " * 100_001)[0] == 413
    assert send(server, b"")[0] == 200
    assert send(server, [], **{"Transfer-Encoding": "chunked"})[0] == 200
    assert cut_off(server, whole) != b"200"
    assert count() == 50
    assert send(server, whole) == (200, b"{}")  # the server goes on after all that


def cut_off(server: tuple[str, str], whole: bytes) -> bytes:
    """Promise a whole body and hang up after half of it; the status of the answer, if any comes."""
    host, _, port = server[0].partition(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        head = f"POST /v1/traces HTTP/1.1\r\nHost: {server[0]}\r\nAuthorization: Bearer {server[1]}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(whole)}\r\n\r\n"
        connection.sendall(head.encode() + whole[: len(whole) // 2])
        connection.shutdown(socket.SHUT_WR)
        return connection.recv(1_000)[9:12]


def test_a_refused_sender_of_a_large_body_gets_the_answer(server: tuple[str, str]) -> None:
    # Larger than what the sockets' buffers hold: it is still being sent when it is refused.
    large = b"x" * 12_000_000
    for _ in range(3):
        assert send(server, large, Authorization="Bearer ah_wrong")[0] == 401
        assert send(server, large)[0] == 413
        assert send(server, large, **{"Content-Type": "text/plain"})[0] == 415
        assert send(server, [large[:1_000_000]] * 12, Authorization="Bearer ah_wrong")[0] == 401
