"""A cheap load generator: one thread, epoll, keep-alive connections, prebuilt requests, every answer checked.

It costs a few percent of what it asks for, so that on a small machine the figures are the server's.
"""

from __future__ import annotations

import select
import socket
import statistics
import time
from collections import Counter
from dataclasses import dataclass, field

_END = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length: "
_BODILESS = (204, 304)


class BenchError(RuntimeError):
    """An answer that is not what the bench asked for."""


@dataclass
class Result:
    """What came back: how many, how fast, how long the bodies were."""

    answers: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    lengths: Counter[int] = field(default_factory=Counter)

    @property
    def rate(self) -> float:
        return self.answers / self.seconds if self.seconds else 0.0

    def percentile_ms(self, percent: int) -> float:
        return statistics.quantiles(self.latencies, n=100)[percent - 1] * 1000 if len(self.latencies) > 1 else 0.0


def build(method: str, path: str, headers: dict[str, str]) -> bytes:
    """A request without a body, ready to send."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


class _Connection:
    """One keep-alive connection with one request under way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.parts: list[bytes] = []
        self.began = 0.0

    def send(self, request: bytes) -> None:
        self.began = time.perf_counter()
        self.socket.sendall(request)

    def receive(self) -> tuple[int, int] | None:
        """Status and length of the body, once the whole answer is here."""
        block = self.socket.recv(262_144)
        if not block:
            raise BenchError("the server closed a connection that was to be kept")
        self.parts.append(block)
        data = block if len(self.parts) == 1 else b"".join(self.parts)
        head = data.find(_END)
        if head < 0:
            return None
        status = int(data[9:12])
        there = len(data) - head - 4
        if there < (declared := 0 if status in _BODILESS else _declared(data[:head])):
            return None
        if there > declared:
            raise BenchError(f"{there - declared} bytes after the end of an answer")
        self.parts.clear()
        return status, declared


def _declared(head: bytes) -> int:
    at = head.lower().find(_LENGTH)
    if at < 0:
        raise BenchError("an answer without Content-Length")
    return int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0])


def fetch(port: int, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """One request on a connection of its own: status, headers in lower case, body."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as one:
        one.sendall(request)
        data = b""
        while _END not in data:
            data += _more(one)
        head, _, body = data.partition(_END)
        status = int(head[9:12])
        while status not in _BODILESS and len(body) < _declared(head):
            body += _more(one)
    pairs = (line.partition(": ") for line in head.decode("latin-1").split("\r\n")[1:])
    return status, {name.lower(): value for name, _, value in pairs}, body


def _more(one: socket.socket) -> bytes:
    block = one.recv(262_144)
    if not block:
        raise BenchError("the server closed the connection within an answer")
    return block


def drive(port: int, request: bytes, *, status: int, seconds: float, connections: int) -> Result:
    """Ask the same again and again until the time is over.

    Raises:
        BenchError: an answer had another status, no declared length, or a body of another length.
    """
    result, poll = Result(), select.epoll()
    byfd = {one.socket.fileno(): one for one in (_Connection(port) for _ in range(connections))}
    began = time.perf_counter()
    stop = began + seconds
    try:
        for fd, one in byfd.items():
            poll.register(fd, select.EPOLLIN)
            one.send(request)
        open_requests = len(byfd)
        while open_requests:
            for fd, _ in poll.poll(30):
                one = byfd[fd]
                answer = one.receive()
                if answer is None:
                    continue
                now = time.perf_counter()
                if answer[0] != status:
                    raise BenchError(f"status {answer[0]} instead of {status}")
                result.answers += 1
                result.latencies.append(now - one.began)
                result.lengths[answer[1]] += 1
                if now < stop:
                    one.send(request)
                else:
                    open_requests -= 1
        result.seconds = time.perf_counter() - began
    finally:
        poll.close()
        for one in byfd.values():
            one.socket.close()
    return result
