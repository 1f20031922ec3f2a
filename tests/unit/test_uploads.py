"""Bodies are read in turn, and a sender that has gone silent is let go, whatever else the process is connected to."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.http import UnreadablePostError
from django.test import RequestFactory

from apps.common.edge.exceptions import answer, translate
from apps.common.edge.uploads import Body, Crowded, Uploads, end_silent
from apps.common.errors import ApiError
from apps.ingest.body import read_body


class Stuck:
    """A body that does not arrive until somebody says so."""

    def __init__(self) -> None:
        self.begun, self.arrives = threading.Event(), threading.Event()

    def read(self, *_: int) -> bytes:
        self.begun.set()
        assert self.arrives.wait(20)
        return b"late"


@pytest.fixture
def crowded() -> Iterator[Uploads]:
    """Two threads, of which the one that reads bodies waits for one."""
    uploads, stuck = Uploads(2, patience=0.01), Stuck()
    reader = threading.Thread(target=Body(stuck, uploads, "192.0.2.1").read)
    reader.start()
    assert stuck.begun.wait(20)
    yield uploads
    stuck.arrives.set()
    reader.join()
    assert Body(io.BytesIO(b"now"), uploads, "").read() == b"now"


def test_a_body_is_read_as_it_is() -> None:
    body = Body(io.BytesIO(b"one\ntwo"), Uploads(1), "192.0.2.1")
    assert (body.readline(), body.read(2), body.read()) == (b"one\n", b"tw", b"o")


def test_the_last_thread_reads_no_body(crowded: Uploads) -> None:
    body = Body(io.BytesIO(b"x"), crowded, "192.0.2.2")
    with pytest.raises(Crowded) as refused:
        body.read()
    assert refused.value.status == 503 and refused.value.headers["Retry-After"] == "5"
    assert body.read() == b""  # what a refused request still sends is not waited for


def test_who_is_waited_for(crowded: Uploads) -> None:
    assert crowded.waiting(0) == {"192.0.2.1"}
    assert crowded.waiting(60) == set()


def _request(uploads: Uploads) -> Any:
    request = RequestFactory().post("/v1/traces", b"{}", content_type="application/json")
    stream: Any = Body(io.BytesIO(b"{}"), uploads, "192.0.2.2")
    request.META["wsgi.input"] = request._stream = stream
    return request


def test_spans_that_cannot_be_read_now_are_to_be_sent_again(crowded: Uploads) -> None:
    with pytest.raises(ApiError) as refused:
        read_body(_request(crowded), 1000)
    assert refused.value.entry.code == 1902


def test_what_django_makes_of_it_is_translated_back(crowded: Uploads) -> None:
    with pytest.raises(UnreadablePostError) as refused:
        _request(crowded).read()
    assert translate(refused.value).entry.code == 1902


def test_many_refusals_leave_no_tracebacks(crowded: Uploads, caplog: pytest.LogCaptureFixture) -> None:
    request = _request(crowded)
    with pytest.raises(UnreadablePostError) as refused:
        request.read()
    assert answer(refused.value, request).status_code == 503
    assert [record.exc_info for record in caplog.records] == [None]


def test_only_silent_connections_that_came_to_us_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.create_connection(listening.getsockname()) as one:
        ours, _ = listening.accept()
        with ours:
            one.sendall(b"{")
            assert ours.recv(10) == b"{"
            assert end_silent({"192.0.2.1"}, 0) == 0
            assert end_silent({"127.0.0.1"}, 60) == 0
            one.setblocking(False)
            assert end_silent({"127.0.0.1"}, 0) >= 1
            assert ours.recv(10) == b""  # the end of the body
            with pytest.raises(BlockingIOError):
                one.recv(10)  # a connection that this process has opened itself goes on
            ours.sendall(b"answer")
            one.setblocking(True)
            assert one.recv(10) == b"answer"
