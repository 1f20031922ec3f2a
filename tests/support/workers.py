"""Celery's processes as they run in earnest, on the tests' database and broker or on others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from analytics_hub.launch.process import exists, signal_group

ROOT = Path(__file__).resolve().parents[2]


def until(condition: Callable[[], bool], seconds: float = 60, what: Callable[[], str] = lambda: "") -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what()}")
        time.sleep(0.05)


class CeleryProcess:
    """One worker or beat and what it prints, in a process group of its own."""

    def __init__(self, arguments: tuple[str, ...], log: Path, app: str = "celery_worker.app", **variables: str) -> None:
        self.log = log
        environment = {**os.environ, "HUB_PROCESS": "worker", "HUB_SUPERVISED": "1", **variables}
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "celery", "--app", app, "--quiet", *arguments],
                cwd=ROOT,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def children(self) -> list[int]:
        """Its pool processes."""
        listed = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(encoding="utf-8")
        return [int(pid) for pid in listed.split()]

    def end(self, number: signal.Signals = signal.SIGTERM, seconds: float = 30) -> int:
        """Send the leader a signal; its exit code, once none of its pool processes is left."""
        family = [] if self.process.poll() is not None else self.children()
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(seconds)
        until(lambda: not any(exists(pid) for pid in family), seconds, lambda: f"{family}\n{self.text}")
        return code

    def sweep(self) -> None:
        signal_group(self.process, signal.SIGKILL)
        self.process.wait()


@contextmanager
def celery_process(
    arguments: tuple[str, ...], log: Path, app: str = "celery_worker.app", **variables: str
) -> Iterator[CeleryProcess]:
    one = CeleryProcess(arguments, log, app, **variables)
    try:
        yield one
    finally:
        one.sweep()


@contextmanager
def running_worker(
    log: Path, *queues: str, concurrency: int = 1, app: str = "celery_worker.app", **variables: str
) -> Iterator[CeleryProcess]:
    """A worker for some queues that has started its pool; DATABASE_URL and REDIS_URL are the tests' or given here."""
    arguments = (
        *("worker", "--queues", ",".join(queues), "--concurrency", str(concurrency), "--loglevel", "INFO"),
        *("--without-gossip", "--without-mingle", "--hostname", f"test-{os.getpid()}-{time.monotonic_ns()}@%h"),
    )
    with celery_process(arguments, log, app, **variables) as worker:
        until(
            lambda: worker.process.poll() is not None or len(worker.children()) >= concurrency,
            what=lambda: worker.text,
        )
        assert worker.process.poll() is None, worker.text
        yield worker
