"""Readers that take nothing lose their connection; slow ones do not."""

from __future__ import annotations

import select
import socket
import time

import pytest

from apps.common.edge.readers import limit_readers

pytestmark = pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux alone knows it")


def filled(one: socket.socket) -> int:
    """Send until nothing more is taken."""
    one.setblocking(False)
    sent = 0
    while select.select([], [one], [], 0.2)[1]:
        sent += one.send(b"x" * 65_536)
    return sent


def ended(one: socket.socket, seconds: float) -> bool:
    """Whether the connection ends within so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            return True
        time.sleep(0.05)
    return False


def test_who_takes_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert limit_readers(1.0) >= 1
        with socket.create_connection(listening.getsockname()), listening.accept()[0] as ours:
            filled(ours)
            assert ended(ours, 20)


def test_who_takes_a_little_goes_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        limit_readers(2.0)
        with socket.create_connection(listening.getsockname()) as reader, listening.accept()[0] as ours:
            filled(ours)
            end = time.monotonic() + 5
            while time.monotonic() < end:
                assert reader.recv(200_000)
                assert not ended(ours, 0.3)
                filled(ours)
