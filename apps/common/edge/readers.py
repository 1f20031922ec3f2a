"""Readers that do not read: an answer that nobody takes must not hold its thread for ever.

A thread sends an answer for as long as its reader takes, and a reader that has stopped taking anything, without closing
its connection, would keep it. Linux ends a connection whose data has been waiting for a given time, and connections
have that time from the socket that they were accepted on. It counts anew whenever the reader has made room for more, so
a slow one gets to the end of its file.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from typing import Final

from apps.common.edge.uploads import connections

logger = logging.getLogger(__name__)

PATIENCE_SECONDS: Final = 60
_LOOK_SECONDS: Final = 1.0
_USER_TIMEOUT: Final = getattr(socket, "TCP_USER_TIMEOUT", None)


def limit_readers(seconds: float = PATIENCE_SECONDS) -> int:
    """Set the time on the sockets that this process listens on; how many there are."""
    found = 0
    if _USER_TIMEOUT is None:
        return found
    for one in connections():
        with one:
            if one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                one.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, int(seconds * 1000))
                found += 1
    return found


def watch() -> None:
    """Set it as soon as the server listens, which it does once the application has been read."""
    threading.Thread(target=_wait, name="readers", daemon=True).start()


def _wait() -> None:
    try:
        while not limit_readers():
            time.sleep(_LOOK_SECONDS)
    except Exception:  # the outermost loop of a thread
        logger.exception("readers could not be given a limit")
