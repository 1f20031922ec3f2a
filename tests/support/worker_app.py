"""The hub's Celery application with tasks that only tests need. For workers alone: `--app tests.support.worker_app`."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from django.db import OperationalError

from celery_worker.app import app
from celery_worker.scheduler import LeasedScheduler
from celery_worker.stopping import stopping

if os.environ.get("TEST_BEAT"):
    LeasedScheduler.lease_seconds, LeasedScheduler.renew_seconds = 1.5, 0.2
    app.conf.beat_schedule = {
        "often": {"task": "tests.often", "schedule": 0.2},
        "daily": {"task": "tests.daily", "schedule": 86_400.0},
        "monthly": {"task": "tests.monthly", "schedule": 30 * 86_400.0},
    }


def note(file: str, text: str) -> int:
    """Add a line to a file; how many it has."""
    with Path(file).open("a", encoding="utf-8") as handle:
        handle.write(f"{text}\n")
    return len(Path(file).read_text(encoding="utf-8").splitlines())


@app.task(name="tests.fail", queue="hub")
def fail(file: str, times: int, passing: bool = True) -> None:
    if note(file, f"{time.time()}") <= times:
        raise OperationalError("the server is away") if passing else ValueError("wrong for good")


@app.task(name="tests.work_until_stopped", queue="exports", acks_late=True)
def work_until_stopped(file: str, seconds: float) -> None:
    note(file, "begun")
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not stopping():
        time.sleep(0.05)
    note(file, "stopped" if stopping() else "done")


@app.task(name="tests.hang", queue="hub", time_limit=1)
def hang(file: str) -> None:
    note(file, "begun")
    signal.pause()


@app.task(name="tests.die", queue="hub")
def die(file: str) -> None:
    note(file, "begun")
    os.kill(os.getpid(), signal.SIGKILL)
