"""A hub of its own for a bench: `manage.py up` on a fresh folder, with a key, stopped at the end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from analytics_hub.launch.process import free_port

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Hub:
    """A running hub: where it listens, its database, a key with the admin role, its supervisor's process."""

    port: int
    data_dir: Path
    database_url: str
    api_key: str
    project_id: int
    process: subprocess.Popen[bytes]
    environment: dict[str, str]


def ready(port: int, seconds: float = 120) -> None:
    """Wait until /ready answers 200."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=5) as answer:
                if answer.status == 200:
                    return
        except (OSError, urllib.error.HTTPError):
            pass
        time.sleep(0.2)
    raise SystemExit(f"the hub on port {port} is not ready after {seconds:.0f} s")


def wait_for(condition: Callable[[], bool], what: str, seconds: float) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what} is not ready after {seconds:.0f} s")
        time.sleep(0.2)


def bootstrap(environment: dict[str, str]) -> dict[str, object]:
    """Create the bench's organization and key on a running hub."""
    command = [sys.executable, "manage.py", "bootstrap", "--organization", "bench", "--project", "default"]
    command += ["--email", "bench@example.com", "--password", "bench-password-1", "--json"]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True)
    answer: dict[str, object] = json.loads(result.stdout)
    return answer


def _folder() -> AbstractContextManager[str]:
    kept = os.environ.get("BENCH_KEEP")
    if not kept:
        return tempfile.TemporaryDirectory(prefix="hub-bench-", dir=os.environ.get("BENCH_DIR") or None)
    Path(kept).mkdir(parents=True, exist_ok=True)
    return nullcontext(kept)


def _known_key(folder: Path, environment: dict[str, str]) -> dict[str, object]:
    """What bootstrap said; a kept folder remembers it, since keys are shown once."""
    note = folder / "bootstrap.json"
    if note.exists():
        made: dict[str, object] = json.loads(note.read_text())
        return made
    made = bootstrap(environment)
    note.touch(mode=0o600)
    note.write_text(json.dumps(made))
    return made


@contextmanager
def running_hub(**settings: str) -> Iterator[Hub]:
    """Start a hub on a fresh folder, yield it, stop it and remove the folder.

    The folder lies under BENCH_DIR, else where the system keeps temporary files. BENCH_KEEP names one that stays, with
    its database and its key, so that data loaded once can be asked again.
    """
    with _folder() as folder:
        data_dir, port = Path(folder) / "data", free_port()
        Path(folder).chmod(0o755)
        environment = {**os.environ, "HUB_DATA_DIR": str(data_dir), "API_PORT": str(port), **settings}
        for name in ("DATABASE_URL", "REDIS_URL"):
            if name not in settings:
                environment.pop(name, None)
        log = open(os.environ.get("BENCH_LOG", os.devnull), "ab")  # noqa: SIM115
        command = [sys.executable, "manage.py", "up", "--port", str(port), "--data-dir", str(data_dir)]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        try:
            ready(port)
            made = _known_key(Path(folder), environment)
            runtime = json.loads((data_dir / "runtime.json").read_text())
            yield Hub(
                port,
                data_dir,
                runtime["database_url"],
                str(made["api_key"]),
                int(str(made["project_id"])),
                process,
                environment,
            )
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
            log.close()
