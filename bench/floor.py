"""What a request costs before anybody looks at it: a WSGI application that answers two bytes, under the same server."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.error import URLError

from analytics_hub.launch.process import free_port
from bench.hub import ROOT, wait_for


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]


@contextmanager
def running_floor(workers: int, threads: int) -> Iterator[tuple[int, int]]:
    """Serve it as `make up` serves the hub; yields the port and the process id."""
    port = free_port()
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", str(workers), "--blocking-threads", str(threads), "--http", "1", "--no-ws"]
    command += ["--log-level", "warning", "bench.floor:application"]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ}, stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: _answers(port), "the floor", 30)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(15)


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False
