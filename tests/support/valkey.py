"""A Valkey of a test's own, that may be killed, stopped and started again on the same port."""

from __future__ import annotations

import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from analytics_hub.launch.account import server_account
from analytics_hub.launch.process import free_port
from analytics_hub.launch.valkey import Valkey


class OwnValkey:
    """The server and its process."""

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        account = server_account()
        account.own(folder)
        self.server = Valkey(folder / "valkey", free_port(), secrets.token_urlsafe(12), account, durable=durable)
        self.server.prepare()
        self.log = folder / "valkey.log"
        self.start()

    @property
    def url(self) -> str:
        return self.server.url

    def start(self) -> None:
        with self.log.open("ab") as output:
            self.process: subprocess.Popen[bytes] = self.server.start(output.fileno())
        deadline = time.monotonic() + 20
        while not self.server.ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("Valkey did not start:\n" + self.log.read_text(encoding="utf-8", errors="replace"))
            time.sleep(0.02)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def pause(self) -> None:
        """It takes connections and requests, and answers nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)


@contextmanager
def own_valkey(*, durable: bool = False) -> Iterator[OwnValkey]:
    folder = Path(tempfile.mkdtemp(prefix="hub-valkey-"))
    valkey = None
    try:
        valkey = OwnValkey(folder, durable=durable)
        yield valkey
    finally:
        if valkey is not None:
            valkey.kill()
        shutil.rmtree(folder, ignore_errors=True)
