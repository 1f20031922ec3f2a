"""One embedded PostgreSQL and one embedded Valkey for a run of the tests.

Given servers are used instead where TEST_DATABASE_URL and TEST_REDIS_URL name them. The process that the person
started (under xdist the controller) starts the servers before Django's settings load and always stops them; the
workers find the addresses in their environment. If that process is killed, the kernel ends the servers.
"""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from analytics_hub.launch.account import server_account
from analytics_hub.launch.postgres import TEST_SETTINGS, Postgres
from analytics_hub.launch.process import free_port, signal_group
from analytics_hub.launch.valkey import Valkey

WORKER = "PYTEST_XDIST_WORKER"
PREFIX = "hub-tests-of-"


def _await(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("a test server did not start:\n" + log.read_text(encoding="utf-8", errors="replace"))
        time.sleep(0.05)


def _sweep() -> None:
    """Remove what runs left that were killed: their servers went with them, their folders did not."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*-*"):
        owner = folder.name.removeprefix(PREFIX).partition("-")[0]
        if not Path("/proc", owner).exists() and Path("/proc/self").exists():
            shutil.rmtree(folder, ignore_errors=True)


class TestServers:
    """The servers of one run, in a folder that goes with them."""

    __test__ = False

    def __init__(self) -> None:
        self.account = server_account()
        _sweep()
        self.folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
        self.account.own(self.folder)
        self.processes: list[tuple[subprocess.Popen[bytes], signal.Signals]] = []
        atexit.register(self.stop)

    def postgres(self) -> str:
        server = Postgres(
            self.folder / "postgres", free_port(), secrets.token_urlsafe(12), self.account, {**TEST_SETTINGS}
        )
        return self._start(server, signal.SIGINT)

    def valkey(self) -> str:
        server = Valkey(self.folder / "valkey", free_port(), secrets.token_urlsafe(12), self.account, durable=False)
        return self._start(server, signal.SIGKILL)

    def _start(self, server: Postgres | Valkey, stop_signal: signal.Signals) -> str:
        log = self.folder / f"{type(server).__name__}.log"
        server.prepare()
        with log.open("wb") as output:
            process = server.start(output.fileno())
        self.processes.append((process, stop_signal))
        _await(server.ready, process, log)
        return server.url

    def stop(self) -> None:
        atexit.unregister(self.stop)
        while self.processes:
            process, number = self.processes.pop()
            # Only the server itself: PostgreSQL ends its own children in order.
            with suppress(ProcessLookupError):
                process.send_signal(number)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                signal_group(process, signal.SIGKILL)
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def worker_number() -> int:
    """0 without xdist, else 1, 2, ..."""
    return int(os.environ.get(WORKER, "gw-1").removeprefix("gw")) + 1


def provide_environment() -> TestServers | None:
    """Set the environment that Django's settings read; the servers started for it, if any, are the caller's to stop."""
    environ = os.environ
    if WORKER in environ:
        environ["DJANGO_SETTINGS_MODULE"] = "analytics_hub.settings"
        _separate_cache()
        return None
    for name in [name for name in environ if name in _FOREIGN or name.endswith("_FILE")]:
        del environ[name]
    environ["ENVIRONMENT"] = "test"
    environ["DJANGO_SETTINGS_MODULE"] = "analytics_hub.settings"
    for area in ("METRICS", "COSTS", "QUALITY", "TRACES", "TRACE", "COMPARE", "EXPORT_STATUS"):
        # A test that asks again wants to see what it wrote; tests of the cache set it.
        environ[f"CACHE_TTL_{area}"] = "0"
    environ["SECRET_KEY"] = "tests-" + "0123456789" * 4
    servers = TestServers()
    environ["HUB_DATA_DIR"] = str(servers.folder / "hub")
    try:
        environ["DATABASE_URL"] = environ.get("TEST_DATABASE_URL") or servers.postgres()
        environ["REDIS_URL"] = environ.get("TEST_REDIS_URL") or servers.valkey()
    except BaseException:
        servers.stop()
        raise
    return servers


# The person's own settings must not steer the tests.
_FOREIGN = frozenset({"ALLOWED_HOSTS", "CORS_ORIGINS", "TRUSTED_PROXIES", "API_PORT", "APP_HOST", "LOG_LEVEL"})


def _separate_cache() -> None:
    """Each worker has a cache of its own: database numbers two apart leave room for broker and cache."""
    base, _, number = os.environ["REDIS_URL"].rpartition("/")
    if number.isdigit():
        os.environ["REDIS_URL"] = f"{base}/{int(number) + 2 * worker_number()}"
