"""The embedded PostgreSQL: initdb once, settings written at every start, TCP on loopback with a password."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from analytics_hub.launch.account import Account, LaunchError
from analytics_hub.launch.folders import postgres_programs, private_folder
from analytics_hub.launch.process import exists, minimal_environment, spawn

USER = "hub"
DATABASE = "hub"
_MEGABYTE = 1024 * 1024

TEST_SETTINGS: Mapping[str, str] = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "min_wal_size": "80MB",
    "io_method": "sync",
}


def durable_settings() -> dict[str, str]:
    """Settings for real data: nothing acknowledged is lost, memory in proportion to the machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // _MEGABYTE
    return {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "shared_buffers": f"{min(max(memory // 8, 64), 1024)}MB",
        "effective_cache_size": f"{max(memory // 2, 256)}MB",
        "maintenance_work_mem": f"{min(max(memory // 32, 32), 256)}MB",
        "max_wal_size": "2GB",
        "min_wal_size": "256MB",
        "checkpoint_timeout": "10min",
        "wal_buffers": "16MB",
    }


_COMMON: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "max_connections": "100",
    # One statement over daily partitions locks each of them and their indexes.
    "max_locks_per_transaction": "256",
    "work_mem": "16MB",
    "random_page_cost": "1.1",
    "jit": "off",
    "wal_level": "replica",
    "max_wal_senders": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_destination": "stderr",
    "logging_collector": "off",
    "log_line_prefix": "",
    # Errors of statements are reported by the program that sent them; here they would carry users' data.
    "log_min_messages": "fatal",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}


@dataclass(frozen=True)
class Postgres:
    """One cluster: its folder, its port and how to reach it."""

    folder: Path
    port: int
    password: str
    account: Account
    settings: Mapping[str, str]

    @property
    def url(self) -> str:
        return f"postgresql://{USER}:{quote(self.password)}@127.0.0.1:{self.port}/{DATABASE}"

    def prepare(self) -> None:
        """Make the cluster if there is none, write its settings, and clear what a killed server left."""
        private_folder(self.folder.parent, self.account)
        if not (self.folder / "PG_VERSION").is_file():
            self._initialise()
        self._write("hub.conf", {**_COMMON, **self.settings, "port": str(self.port)})
        self._settle_previous_server()

    def start(self, output: int = subprocess.PIPE) -> subprocess.Popen[bytes]:
        """Start the server in the foreground; it stops at once, and safely, if this process is killed."""
        return spawn(
            [str(postgres_programs(self.account) / "postgres"), "-D", str(self.folder)],
            env=minimal_environment(self.folder),
            cwd=self.folder.parent,
            account=self.account,
            death_signal=signal.SIGQUIT,
            output=output,
        )

    def ready(self) -> bool:
        """Whether the server answers; makes the hub's database at the first answer."""
        try:
            with psycopg.connect(self._maintenance_url(), autocommit=True, connect_timeout=3) as connection:
                found = connection.execute("select 1 from pg_database where datname = %s", [DATABASE]).fetchone()
                if found is None:
                    connection.execute(sql.SQL("create database {}").format(sql.Identifier(DATABASE)))
        except psycopg.OperationalError:
            return False
        return True

    def _maintenance_url(self) -> str:
        return self.url.removesuffix(DATABASE) + "postgres"

    def _initialise(self) -> None:
        # A cluster that was cut off while it was made has no PG_VERSION in its final place: made beside, renamed.
        half = self.folder.with_name(self.folder.name + ".new")
        shutil.rmtree(half, ignore_errors=True)
        password_file = self.folder.with_name("password.new")
        password_file.touch(mode=0o600)
        password_file.write_text(self.password + "\n", encoding="utf-8")
        self.account.own(password_file)
        try:
            self._initdb(half, password_file)
        finally:
            password_file.unlink()
        with (half / "postgresql.conf").open("a", encoding="utf-8") as handle:
            handle.write("\ninclude = 'hub.conf'\n")
        half.rename(self.folder)

    def _initdb(self, folder: Path, password_file: Path) -> None:
        command = [
            str(postgres_programs(self.account) / "initdb"),
            *("--pgdata", str(folder), "--username", USER, "--pwfile", str(password_file)),
            *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale-provider", "builtin"),
            *("--builtin-locale", "C.UTF-8", "--locale", "C"),
            *(["--no-sync"] if self.settings.get("fsync") == "off" else []),
        ]
        done = subprocess.run(  # noqa: S603 - initdb, by its own path
            command,
            env=minimal_environment(folder.parent),
            cwd=folder.parent,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            **self.account.popen_arguments(),
        )
        if done.returncode != 0:
            raise LaunchError(f"PostgreSQL's initdb failed in {folder}:\n{done.stderr.strip() or done.stdout.strip()}")

    def _write(self, name: str, settings: Mapping[str, str]) -> None:
        path = self.folder / name
        lines = [f"{key} = '{value}'" for key, value in settings.items()]
        path.write_text("# Written at every start.\n" + "\n".join(lines) + "\n", encoding="utf-8")
        self.account.own(path)
        path.chmod(0o600)

    def _settle_previous_server(self, patience: float = 15.0) -> None:
        """Wait for a server that a killed supervisor left and that is still stopping; forget one that is gone."""
        pid_file = self.folder / "postmaster.pid"
        deadline = time.monotonic() + patience
        while (pid := _recorded_pid(pid_file)) and _serves(pid, self.folder):
            if time.monotonic() > deadline:
                raise LaunchError(f"A PostgreSQL server (process {pid}) still runs in {self.folder}. Stop it first.")
            time.sleep(0.05)
        self.sweep()
        pid_file.unlink(missing_ok=True)

    def sweep(self, patience: float = 15.0) -> None:
        """End the backends that outlived a killed server; call it only when the server itself is gone.

        Each is the leader of a session of its own, and one that computes notices nothing: until its statement ends it
        holds the shared memory, and no server starts in the folder.

        Raises:
            LaunchError: one does not go.
        """
        deadline = time.monotonic() + patience
        while left := _backends(self.folder):
            for pid in left:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            if time.monotonic() > deadline:
                raise LaunchError(f"PostgreSQL processes still use {self.folder}: {sorted(left)}. End them first.")
            time.sleep(0.02)


def _backends(folder: Path) -> list[int]:
    """Processes of a server of this folder: they work in it and name themselves. Known on Linux only."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            named = (entry / "cmdline").read_bytes().startswith(b"postgres: ")
            if named and (entry / "cwd").readlink() == folder.resolve():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def _recorded_pid(pid_file: Path) -> int | None:
    try:
        return int(pid_file.read_text(encoding="utf-8").split("\n", 1)[0])
    except (OSError, ValueError):
        return None


def _serves(pid: int, folder: Path) -> bool:
    """Whether the process is a server of this folder; its number may belong to another program by now."""
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except FileNotFoundError:
        return not Path("/proc/self").exists() and exists(pid)
    except OSError:
        return True
    return str(folder).encode() in arguments
