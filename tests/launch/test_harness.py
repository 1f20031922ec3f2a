"""The test servers themselves: reached through Django, and gone when the run is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.db import connection

ROOT = Path(__file__).resolve().parents[2]
HOLD = """
import sys, time
from tests.support.servers import TestServers
servers = TestServers()
servers.postgres(); servers.valkey()
print(*(process.pid for process, _ in servers.processes), flush=True)
time.sleep(60)
"""


@pytest.mark.django_db
def test_each_worker_has_a_database_of_its_own() -> None:
    with connection.cursor() as cursor:
        cursor.execute("select current_database(), current_setting('fsync')")
        row = cursor.fetchone()
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    assert row[0] == (f"test_hub_{worker}" if worker else "test_hub") or "TEST_DATABASE_URL" in os.environ


@pytest.mark.processes
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_servers_end_with_the_run(number: signal.Signals) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert holder.stdout is not None
    pids = [int(text) for text in holder.stdout.readline().split()]
    assert len(pids) == 2
    holder.send_signal(number)
    holder.wait(20)
    deadline = time.monotonic() + 20
    while left := [pid for pid in pids if _runs(pid)]:
        assert time.monotonic() < deadline, f"still there: {left}"
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    """Whether a process lives; one that waits to be collected does not."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return False
