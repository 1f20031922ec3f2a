"""The hub's web server as it runs in earnest: granian in a process of its own, on the tests' database."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from analytics_hub.launch.process import free_port

ROOT = Path(__file__).resolve().parents[2]


def database_url(name: str) -> str:
    parts = urlsplit(os.environ["DATABASE_URL"])
    return urlunsplit(parts._replace(path=f"/{name}"))


@contextmanager
def running_hub(database: dict[str, Any], log: Path, *, workers: int = 1, **variables: str) -> Iterator[str]:
    """The address of a web server on the database of these Django settings, with further environment variables."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    environment = {**os.environ, "DATABASE_URL": database_url(database["NAME"]), "HUB_PROCESS": "web"}
    environment |= {"WEB_WORKERS": str(workers), **variables}
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)]
    command += [
        "--workers",
        str(workers),
        "--blocking-threads",
        "2",
        "--http",
        "1",
        "--no-ws",
        "--workers-kill-timeout",
        "5s",
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "analytics_hub.wsgi:application"], cwd=ROOT, env=environment, stdout=output, stderr=output
        )
    try:
        _await(address, process, log)
        yield address
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=2):  # noqa: S310 - our own address
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise RuntimeError("the web server did not start:\n" + log.read_text(encoding="utf-8", errors="replace"))
