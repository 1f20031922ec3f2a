"""The embedded Valkey: the broker of background work and the cache, on loopback with a password."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import redis

from analytics_hub.launch.account import Account
from analytics_hub.launch.folders import private_folder, valkey_program
from analytics_hub.launch.process import minimal_environment, spawn


@dataclass(frozen=True)
class Valkey:
    """One server: its folder, its port and how to reach it."""

    folder: Path
    port: int
    password: str
    account: Account
    durable: bool = True

    @property
    def url(self) -> str:
        return f"redis://:{quote(self.password)}@127.0.0.1:{self.port}/0"

    def prepare(self) -> None:
        """Write the configuration; the password is in this file and not on the command line."""
        private_folder(self.folder.parent, self.account)
        private_folder(self.folder, self.account)
        path = self.folder / "valkey.conf"
        path.touch(mode=0o600)
        path.write_text("\n".join(self._lines()) + "\n", encoding="utf-8")
        self.account.own(path)

    def _lines(self) -> list[str]:
        return [
            "bind 127.0.0.1",
            f"port {self.port}",
            f"requirepass {self.password}",
            "daemonize no",
            "databases 64",
            "loglevel warning",
            'save ""',
            f"appendonly {'yes' if self.durable else 'no'}",
            "appendfsync everysec",
            # Queues have no expiry and are never evicted; cached answers have one and make room.
            "maxmemory 256mb",
            "maxmemory-policy volatile-lru",
        ]

    def start(self, output: int = subprocess.PIPE) -> subprocess.Popen[bytes]:
        """Start the server in the foreground."""
        return spawn(
            [str(valkey_program(self.account)), str(self.folder / "valkey.conf")],
            env=minimal_environment(self.folder),
            cwd=self.folder,
            account=self.account,
            output=output,
        )

    def ready(self) -> bool:
        """Whether the server answers and has read its data back."""
        client = redis.Redis(
            host="127.0.0.1", port=self.port, password=self.password, socket_timeout=3, socket_connect_timeout=3
        )
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()
