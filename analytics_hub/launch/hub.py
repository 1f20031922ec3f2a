"""The whole hub on one machine: embedded servers where none are given, migrations, web, worker and beat."""

from __future__ import annotations

import errno
import http.client
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import redis

from analytics_hub.env import BASE_DIR, Env
from analytics_hub.launch.account import LaunchError, server_account
from analytics_hub.launch.folders import data_folder, servers_folder
from analytics_hub.launch.lock import FolderLock
from analytics_hub.launch.output import show, use_json
from analytics_hub.launch.postgres import Postgres, durable_settings
from analytics_hub.launch.process import end_with_parent, free_port, spawn
from analytics_hub.launch.supervisor import Service, Stopped, Supervisor
from analytics_hub.launch.valkey import Valkey
from analytics_hub.runtime import write_private

_SERVERS, _PROGRAMS = 0, 1
_CELERY = ("celery", "--app", "celery_worker.app", "--quiet")


@dataclass
class Hub:
    """One run of the hub: what was asked for, and the addresses found on the way."""

    env: Env
    port: int
    demo: bool
    database_url: str = ""
    redis_url: str = ""

    def __post_init__(self) -> None:
        self.data_dir = self.env.hub_data_dir.absolute()
        self.supervisor = Supervisor(say)
        use_json(self.env.json_logs)

    @property
    def address(self) -> str:
        return f"http://{'127.0.0.1' if self.env.app_host in ('0.0.0.0', '') else self.env.app_host}:{self.port}"  # noqa: S104 - compared with, not bound to

    def run(self) -> None:
        """Start everything, stay until the end is asked for, stop everything.

        Raises:
            LaunchError: the hub cannot start; whatever had started has been stopped.
        """
        lock = self._take_folder()
        if os.environ.get("HUB_UNDER_MAKE"):
            end_with_parent(signal.SIGTERM, os.getppid())
        self.supervisor.handle_signals()
        try:
            require_free_port(self.env.app_host, self.port)
            self._start()
            self.supervisor.watch()
        except Stopped:
            say("stopping")
        finally:
            self.supervisor.stop()
            (self.data_dir / "runtime.json").unlink(missing_ok=True)
            lock.release()
        say("stopped")

    def _take_folder(self) -> FolderLock:
        account = server_account() if self._embeds else None
        lock = FolderLock(self.data_dir)
        try:
            if account is not None:
                data_folder(self.data_dir, account)
            else:
                self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock.take(self.address)
        except OSError as error:
            raise LaunchError(
                f"HUB_DATA_DIR: nothing can be kept in {self.data_dir} ({error.strerror}). Give another folder."
            ) from None
        return lock

    @property
    def _embeds(self) -> bool:
        return not (self.env.database_url and self.env.redis_url)

    def _start(self) -> None:
        self._start_servers()
        self._write_runtime()
        self._clear_counts()
        say("preparing the database")
        self.supervisor.run_once("prepare", self._manage("prepare"))
        for service in self._programs():
            self.supervisor.launch(service)
        for warning in self.env.oddities():
            say(f"WARNING: {warning}")
        say(f"Analytics Hub is ready at {self.address} (data in {self.data_dir}; Ctrl-C stops it)")
        if self.demo:
            self.supervisor.run_once("demo", self._manage("demo", inherit=True))

    def _start_servers(self) -> None:
        self.database_url, self.redis_url = self.env.database_url, self.env.redis_url
        if not self._embeds:
            require_cache(self.redis_url)
            return
        account = server_account()
        folder = servers_folder(self.data_dir, account)
        passwords = kept_passwords(self.data_dir)
        if not self.database_url:
            say(f"starting PostgreSQL in {folder / 'postgres'}")
            postgres = Postgres(folder / "postgres", free_port(), passwords["postgres"], account, durable_settings())
            self.supervisor.launch(_server("postgres", postgres, signal.SIGINT, grace_seconds=60))
            self.database_url = postgres.url
        if not self.redis_url:
            say("starting Valkey")
            valkey = Valkey(folder / "valkey", free_port(), passwords["valkey"], account)
            self.supervisor.launch(_server("valkey", valkey, signal.SIGTERM, grace_seconds=10))
            self.redis_url = valkey.url
        else:
            require_cache(self.redis_url)

    def _clear_counts(self) -> None:
        """Each process counts in files of its own there; those of the last run would be added to this one's."""
        shutil.rmtree(self._counts, ignore_errors=True)
        self._counts.mkdir(mode=0o700)

    @property
    def _counts(self) -> Path:
        return self.data_dir / "metrics"

    def _write_runtime(self) -> None:
        runtime = {
            "database_url": self.database_url,
            "redis_url": self.redis_url,
            "web_url": self.address,
            "pid": os.getpid(),
        }
        write_private(self.data_dir / "runtime.json", json.dumps(runtime, indent=1))

    def _programs(self) -> list[Service]:
        env = self.env
        # A file on its way to a slow reader holds a thread: downloads have their own, and no more than these.
        threads = env.web_threads + env.export_downloads
        web = [
            *("granian", "--interface", "wsgi", "--host", env.app_host, "--port", str(self.port)),
            *("--workers", str(env.web_workers), "--blocking-threads", str(threads)),
            # A worker that is still importing, or serves an endless answer, does not hear SIGTERM.
            *("--workers-kill-timeout", "5s", "--respawn-failed-workers", "--respawn-interval", "0.5"),
            *("--http", "1", "--no-ws", "--log-level", "warning", "analytics_hub.wsgi:application"),
        ]
        beat = [*_CELERY, "beat", "--loglevel", "WARNING", "--pidfile", ""]
        return [
            Service(
                "web",
                _PROGRAMS,
                lambda: self._python("web", "-m", *web),
                self._web_ready,
                grace_seconds=8,
                hushed=("Configuration allows spawning up to",),  # as many threads as were asked for
            ),
            self._worker("worker", ("hub", "maintenance"), env.worker_concurrency),
            # Of their own: exports that take an hour must not keep the rollups waiting.
            self._worker("exports", ("exports",), env.export_concurrency),
            Service("beat", _PROGRAMS, lambda: self._python("beat", "-m", *beat), grace_seconds=5),
        ]

    def _worker(self, name: str, queues: tuple[str, ...], concurrency: int) -> Service:
        """A Celery worker for some of the queues; those who watch know it by its name and our process id."""
        command = [
            *(*_CELERY, "worker", "--queues", ",".join(queues), "--loglevel", "WARNING"),
            *("--concurrency", str(concurrency), "--without-gossip", "--without-mingle"),
            *("--hostname", f"{name}-{os.getpid()}@%h"),
        ]
        return Service(name, _PROGRAMS, lambda: self._python(name, "-m", *command), hushed=("Warm shutdown",))

    def _web_ready(self) -> bool:
        return answers(self.address, "/ready")

    def _manage(self, *arguments: str, inherit: bool = False) -> subprocess.Popen[bytes]:
        return self._python("command", str(BASE_DIR / "manage.py"), *arguments, inherit=inherit)

    def _python(self, role: str, *arguments: str, inherit: bool = False) -> subprocess.Popen[bytes]:
        addresses = {
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "HUB_DATA_DIR": str(self.data_dir),
            "API_PORT": str(self.port),
            "DJANGO_SETTINGS_MODULE": "analytics_hub.settings",
            "HUB_PROCESS": role,
            "HUB_SUPERVISED": "1",
            "PYTHONUNBUFFERED": "1",
        }
        if role in ("web", "worker", "exports", "beat"):
            addresses["PROMETHEUS_MULTIPROC_DIR"] = str(self._counts)
        kept = {name: value for name, value in os.environ.items() if name != "HUB_UNDER_MAKE"}
        output = None if inherit else subprocess.PIPE
        return spawn([sys.executable, *arguments], env=kept | addresses, cwd=BASE_DIR, output=output)


def _server(name: str, server: Postgres | Valkey, stop_signal: signal.Signals, grace_seconds: float) -> Service:
    def start() -> subprocess.Popen[bytes]:
        server.prepare()
        return server.start()

    hushed = (
        *("Memory overcommit", "signal-handler", "bye bye"),
        *("the database system is starting up", "not yet accepting connections"),
    )
    return Service(
        name,
        _SERVERS,
        start,
        server.ready,
        stop_signal=stop_signal,
        grace_seconds=grace_seconds,
        hushed=hushed,
        sweep=server.sweep if isinstance(server, Postgres) else None,
    )


def say(text: str) -> None:
    """A line of the supervisor's own."""
    show("hub", text)


def kept_passwords(data_dir: Path) -> dict[str, str]:
    """The embedded servers' passwords, made at the first start and kept for the owner's eyes alone."""
    path = data_dir / "passwords.json"
    if not path.is_file():
        made = {name: secrets.token_urlsafe(24) for name in ("postgres", "valkey")}
        write_private(path, json.dumps(made))
    passwords: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return passwords


def require_free_port(host: str, port: int) -> None:
    """
    Raises:
        LaunchError: nobody can listen there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            if getattr(error, "errno", None) == errno.EADDRINUSE:
                raise LaunchError(
                    f"Port {port} on {host} is in use by another program. Choose another with --port or API_PORT."
                ) from None
            raise LaunchError(f"Cannot listen on {host}, port {port}: {error}.") from None


def require_cache(url: str) -> None:
    """
    Raises:
        LaunchError: no Redis or Valkey answers at the address given in REDIS_URL.
    """
    try:
        with redis.Redis.from_url(url, socket_connect_timeout=5, socket_timeout=5) as client:
            client.ping()
    except (redis.RedisError, OSError, ValueError) as error:
        raise LaunchError(f"REDIS_URL: no server that can be used answers there: {error}") from None


def answers(address: str, path: str) -> bool:
    """Whether a GET of the path is answered with 200."""
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
