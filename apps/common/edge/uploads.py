"""Bodies that do not arrive: a few connections that send nothing must not hold every thread of a web process.

A thread reads a body as it comes, and the server's read has no time limit. So of a process's threads one is kept from
reading bodies, and answers what has none; whoever finds the others taken is told to come again. A sender that has been
silent for `SILENCE_SECONDS` in the middle of its body is taken to have gone.
"""

from __future__ import annotations

import logging
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Collection, Iterator
from itertools import count
from typing import Any, Final

from apps.common.errors import ApiError

logger = logging.getLogger(__name__)

SILENCE_SECONDS: Final = 10.0
PATIENCE_SECONDS: Final = 0.25
_LOOK_SECONDS: Final = 1.0
_LAST_DATA_RECEIVED: Final = 52  # the offset of tcpi_last_data_recv, milliseconds, in Linux's struct tcp_info
_TCP_INFO: Final = getattr(socket, "TCP_INFO", None) if os.path.isdir("/proc/self/fd") else None


class Crowded(ApiError, OSError):
    """No thread is free to read this body. An OSError too, since Django expects these of a read."""


class Uploads:
    """The bodies that a process is reading.

    Args:
        threads: those of the process; one of them reads no bodies, where there are several.
    """

    def __init__(self, threads: int, patience: float = PATIENCE_SECONDS) -> None:
        self._free = threading.BoundedSemaphore(max(1, threads - 1))
        self._patience = patience
        self._numbers = count()
        self._under_way: dict[int, tuple[float, str]] = {}

    def read(self, address: str, read: Callable[..., Any], *sizes: int) -> Any:
        """Read, if a thread is free for it.

        Raises:
            Crowded: 1902, none has become free.
        """
        if not self._free.acquire(timeout=self._patience):
            text = "Too many bodies are arriving too slowly. Try again."
            raise Crowded(1902, text, headers={"Retry-After": "5"})
        number = next(self._numbers)
        self._under_way[number] = time.monotonic(), address
        try:
            return read(*sizes)
        finally:
            del self._under_way[number]
            self._free.release()

    def waiting(self, seconds: float) -> set[str]:
        """From which addresses a read has been waiting for so long."""
        before = time.monotonic() - seconds
        return {address for begun, address in list(self._under_way.values()) if begun <= before}

    def watch(self) -> None:
        """Start the thread that ends silent senders' connections; where the system cannot say who is silent, none."""
        if _TCP_INFO is not None:
            threading.Thread(target=self._watch, name="uploads", daemon=True).start()

    def _watch(self) -> None:
        while True:
            time.sleep(_LOOK_SECONDS)
            try:
                addresses = self.waiting(SILENCE_SECONDS)
                if addresses:
                    end_silent(addresses, SILENCE_SECONDS)
            except Exception:  # the outermost loop of a thread
                logger.exception("silent senders could not be looked for")


class Body:
    """`wsgi.input`, read in turn."""

    def __init__(self, stream: Any, uploads: Uploads, address: str) -> None:
        self._stream, self._uploads, self._address = stream, uploads, address
        self.refused = False

    def read(self, *sizes: int) -> Any:
        return self._in_turn(self._stream.read, *sizes)

    def readline(self, *sizes: int) -> Any:
        return self._in_turn(self._stream.readline, *sizes)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _in_turn(self, read: Callable[..., Any], *sizes: int) -> Any:
        if self.refused:
            return b""
        try:
            return self._uploads.read(self._address, read, *sizes)
        except Crowded:
            self.refused = True
            raise


def guarded(application: Callable[..., Any], uploads: Uploads) -> Callable[..., Any]:
    """A WSGI application whose bodies are read in turn."""

    def guard(environ: dict[str, Any], start_response: Any) -> Any:
        if environ.get("CONTENT_LENGTH") or "HTTP_TRANSFER_ENCODING" in environ:
            environ["wsgi.input"] = Body(environ["wsgi.input"], uploads, environ.get("REMOTE_ADDR", ""))
        return application(environ, start_response)

    return guard


def end_silent(addresses: Collection[str], seconds: float) -> int:
    """Receive nothing more on the connections from there that were silent for so long; answers still go out.

    The server does not tell which connection a body comes from. Whoever shares the address and has been silent as
    long, between two requests or waiting for a slow answer, loses the connection too. Connections that this process
    has opened itself, to its database for one, stay: only those count that came to a port on which it listens.
    """
    found = list(connections())
    ports = {one.getsockname()[1] for one in found if one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)}
    ended = 0
    for connection in found:
        with connection:
            if connection.getsockname()[1] in ports and _is_silent(connection, addresses, seconds):
                connection.shutdown(socket.SHUT_RD)
                ended += 1
    return ended


def connections() -> Iterator[socket.socket]:
    """This process's TCP sockets, as duplicates."""
    for name in os.listdir("/proc/self/fd"):
        try:
            one = socket.socket(fileno=os.dup(int(name)))
        except OSError:  # no socket, or closed meanwhile
            continue
        if one.family in (socket.AF_INET, socket.AF_INET6) and one.type == socket.SOCK_STREAM:
            yield one
        else:
            one.close()


def _is_silent(connection: socket.socket, addresses: Collection[str], seconds: float) -> bool:
    try:
        if connection.getpeername()[0] not in addresses or _TCP_INFO is None:
            return False
        told = connection.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 104)
    except OSError:  # it listens, or is over
        return False
    (quiet,) = struct.unpack_from("I", told, _LAST_DATA_RECEIVED)
    return bool(quiet >= seconds * 1000)
