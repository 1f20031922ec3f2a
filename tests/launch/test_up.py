"""`manage.py up` as a person runs it: real processes, real signals, nothing left behind."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from analytics_hub.launch.account import Account, can_traverse
from analytics_hub.launch.process import free_port

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.processes
WORKER = "celery_worker.app\0--quiet\0worker"
MAKE = ("make", "--old-file", ".venv/.installed", f"BIN={Path(sys.executable).parent}", "up")
needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
SETTINGS = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "ENVIRONMENT", "HUB_PROCESS", "HUB_SUPERVISED")


class Up:
    """A running `manage.py up`, with what it prints."""

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int = 0,
        user: int | None = None,
        python: str = sys.executable,
        command: tuple[str, ...] = (),
        **settings: str,
    ) -> None:
        self.data_dir, self.port = data_dir, port or free_port()
        environment = {name: value for name, value in os.environ.items() if name not in SETTINGS}
        environment |= {"HUB_DATA_DIR": str(data_dir), "WEB_WORKERS": "1", "WORKER_CONCURRENCY": "1"}
        # The packages, for an interpreter that is not the virtual environment's; their own settings need a home.
        environment |= {"PYTHONPATH": str(Path(pytest.__file__).parents[1]), "HOME": str(data_dir.parent)}
        environment |= {"API_PORT": str(self.port), **settings}
        self.process = subprocess.Popen(
            command or (python, "manage.py", "up", "--port", str(self.port)),
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            user=user,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(self.process.stdout)

    @property
    def text(self) -> str:
        return "".join(self.lines)

    def ready(self) -> Up:
        wait_for(lambda: "is ready at" in self.text or self.process.poll() is not None, self.text)
        assert self.process.poll() is None, self.text
        return self

    def runtime(self) -> dict[str, str]:
        value: dict[str, str] = json.loads((self.data_dir / "runtime.json").read_text(encoding="utf-8"))
        return value

    def end(self, number: signal.Signals) -> int:
        """Send the signal to the process started here; its exit code once nothing below it is left."""
        family = descendants(self.process.pid)
        self.process.send_signal(number)
        code = self.process.wait(90)
        self._reader.join(5)
        wait_for(lambda: not any(alive(pid) for pid in family), f"{family}\n{self.text}")
        return code


def wait_for(condition: object, text: str = "", seconds: float = 120) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, text
        time.sleep(0.05)


def status(pid: int) -> dict[str, str]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def alive(pid: int) -> bool:
    return status(pid).get("State", "Z")[0] != "Z"


def descendants(root: int) -> list[int]:
    parents = {int(entry.name): int(status(int(entry.name)).get("PPid", "0")) for entry in numbered()}
    found = [root]
    for pid in found:
        found.extend(child for child, parent in parents.items() if parent == pid)
    return found


def numbered() -> list[Path]:
    return [entry for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def named(pids: list[int], word: str) -> list[int]:
    return [pid for pid in pids if word in command_line(pid)]


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")
    except OSError:  # it ended meanwhile
        return ""


def python_for(account: Account) -> str:
    """An interpreter of this version that the account can reach."""
    if not (can_traverse(ROOT, account) and can_traverse(Path(pytest.__file__).parent, account)):
        pytest.skip("the code or its packages are closed to ordinary users on this machine")
    system = f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    packages = {"PYTHONPATH": str(Path(pytest.__file__).parents[1]), "PATH": os.defpath}
    for candidate in (Path(sys.executable), Path(system)):
        if not (candidate.exists() and can_traverse(candidate.resolve().parent, account)):
            continue
        # The packages depend on the exact version: some of them are needed by older ones only.
        tried = subprocess.run([candidate, "-c", "import redis, celery, granian, psycopg"], env=packages, check=False)
        if tried.returncode == 0:
            return str(candidate)
    pytest.skip("no interpreter that runs the packages is open to ordinary users on this machine")


@needs_make
def test_starts_refuses_a_second_start_and_keeps_its_data(data_dir: Path) -> None:
    first = Up(data_dir).ready()
    with urllib.request.urlopen(f"http://127.0.0.1:{first.port}/ready", timeout=10) as answer:
        assert answer.status == 200
    family = descendants(first.process.pid)
    for word in (
        "postgres",
        "valkey-server",
        "granian",
        f"{WORKER}\0--queues\0hub",
        f"{WORKER}\0--queues\0exports",
        "beat",
    ):
        assert named(family, word), word
    with psycopg.connect(first.runtime()["database_url"]) as connection:
        connection.execute("create table kept as select 42 as answer")

    second = Up(data_dir)
    assert second.process.wait(90) == 1
    second._reader.join(5)
    assert "already runs" in second.text
    assert str(first.process.pid) in second.text
    assert str(first.port) in second.text
    assert "Traceback" not in second.text
    assert first.process.poll() is None

    assert first.end(signal.SIGTERM) == 0
    assert not (data_dir / "runtime.json").exists()

    again = Up(data_dir, command=MAKE).ready()
    with psycopg.connect(again.runtime()["database_url"]) as connection:
        assert connection.execute("select answer from kept").fetchone() == (42,)
    assert again.end(signal.SIGTERM) != 0
    assert not (data_dir / "runtime.json").exists()


@needs_make
def test_what_is_killed_leaves_nothing_and_the_folder_stays_usable(kept_dir: Path) -> None:
    """The supervisor, then `make`; and a SIGINT for make alone, which make does not pass on, is heard, too."""
    hub = Up(kept_dir).ready()
    with psycopg.connect(hub.runtime()["database_url"]) as connection:
        connection.execute("create table kept as select 1 as answer")
    assert hub.end(signal.SIGKILL) == -signal.SIGKILL

    # As after a power cut: the killed server's pid file names a process that is somebody else's by now.
    pid_file = kept_dir / "servers" / "postgres" / "postmaster.pid"
    pid_file.write_text(f"{os.getppid()}\n{pid_file.parent}\n", encoding="utf-8")

    for number in (signal.SIGKILL, signal.SIGINT):
        again = Up(kept_dir, command=MAKE).ready()
        with psycopg.connect(again.runtime()["database_url"]) as connection:
            assert connection.execute("select answer from kept").fetchone() == (1,)
        assert again.end(number) != 0
        assert not (kept_dir / "runtime.json").exists()


def test_what_dies_is_started_again(kept_dir: Path) -> None:
    """All at once, and PostgreSQL while a statement runs that would outlive it and keep the folder from the next."""
    hub = Up(kept_dir).ready()
    family = descendants(hub.process.pid)
    pool = named(family, f"{WORKER}\0--queues\0hub")
    exports = named(family, f"{WORKER}\0--queues\0exports")
    leaders = {
        "postgres": min(named(family, "postgres\0-D")),
        "worker": min(pool),
        "exports": min(exports),
        "web": min(named(family, "granian")),
    }
    url = hub.runtime()["database_url"]

    def compute() -> None:
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(url) as connection:
            # It computes for hours and looks at nothing else.
            connection.execute("select count(*) from generate_series(1, 1000000) a, generate_series(1, 1000000) b")

    threading.Thread(target=compute, daemon=True).start()
    wait_for(lambda: bool(named(descendants(leaders["postgres"]), "SELECT")), "no backend computes")
    backends = named(descendants(leaders["postgres"]), "SELECT")
    for pid in leaders.values():
        os.kill(pid, signal.SIGKILL)
    for name in leaders:
        wait_for(lambda name=name: f"{name} ended (SIGKILL)" in hub.text, hub.text)
    # The pool processes of the killed workers went with them, as did the statement.
    gone = pool + exports + backends
    wait_for(lambda: not any(alive(pid) for pid in gone), f"{gone}\n{hub.text}")

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{hub.port}/ready", timeout=10) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    wait_for(answers, hub.text)
    assert hub.end(signal.SIGINT) == 0


def test_given_servers_are_used_and_nothing_is_embedded(data_dir: Path) -> None:
    database, redis = os.environ["DATABASE_URL"], os.environ["REDIS_URL"]
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("create database given")
    try:
        given = urlsplit(database)._replace(path="/given").geturl()
        hub = Up(data_dir, DATABASE_URL=given, REDIS_URL=redis).ready()
        assert hub.runtime()["database_url"] == given
        family = descendants(hub.process.pid)
        assert not named(family, "postgres\0-D")
        assert not named(family, "valkey-server")
        assert hub.end(signal.SIGTERM) == 0
    finally:
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("drop database given with (force)")
    assert not (data_dir / "servers").exists()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("API_PORT", "abc", "API_PORT: "),
        ("DATABASE_URL", "mysql://ada:hidden@somewhere/hub", "DATABASE_URL: must start with postgresql://"),
        ("DATABASE_URL", "postgresql://ada:hidden@127.0.0.1:1/hub", "DATABASE_URL: the database cannot be used"),
        ("REDIS_URL", "redis://:hidden@127.0.0.1:1/0", "REDIS_URL: no server that can be used answers"),
        ("HUB_DATA_DIR", "/dev/null", "HUB_DATA_DIR: nothing can be kept in /dev/null"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_in_a_sentence(tmp_path: Path, name: str, value: str, said: str) -> None:
    # With both servers given nothing is embedded, so that each case fails at its own setting.
    given = {"HUB_DATA_DIR": str(tmp_path), "REDIS_URL": "redis://127.0.0.1:1/0"}
    if "cannot be used" in said:
        del given["REDIS_URL"]
    environment = {key: kept for key, kept in os.environ.items() if key not in SETTINGS} | given | {name: value}
    command = [sys.executable, "manage.py", "up", "--port", str(free_port())]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "hidden" not in done.stdout + done.stderr


def test_a_port_in_use_is_named(data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        hub = Up(data_dir, port=port)
        assert hub.process.wait(90) == 1
        hub._reader.join(5)
    assert f"Port {port} on 127.0.0.1 is in use" in hub.text
    assert "Traceback" not in hub.text


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user runs the other tests as themselves")
def test_runs_as_an_ordinary_user(tmp_path_factory: pytest.TempPathFactory) -> None:
    nobody = pwd.getpwnam("nobody")
    account = Account(nobody.pw_uid, nobody.pw_gid, nobody.pw_name, switch=True)
    python = python_for(account)
    folder = Path(subprocess.check_output(["mktemp", "-d"], text=True, user=nobody.pw_uid).strip())
    try:
        hub = Up(folder / "data", user=nobody.pw_uid, python=python).ready()
        owners = {status(pid)["Uid"].split()[0] for pid in descendants(hub.process.pid)}
        assert owners == {str(nobody.pw_uid)}
        assert hub.end(signal.SIGTERM) == 0
    finally:
        shutil.rmtree(folder)
