"""Keeps a set of processes running, and ends all of them.

Services start in the order given, each once the one before is ready; one that dies is started again with back-off;
at the end they stop in reverse, stage by stage: first a polite signal, after a grace period SIGKILL for the whole
process group. All of it happens in the main thread, because the kernel ties the death signal of a child to the
thread that started it; the only other threads copy the children's output.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType

from analytics_hub.launch.account import LaunchError
from analytics_hub.launch.output import show
from analytics_hub.launch.process import signal_group

TICK = 0.1
STEADY_SECONDS = 30.0
BACK_OFF = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class Stopped(Exception):
    """Somebody asked the hub to end."""


@dataclass(frozen=True)
class Service:
    """One process to keep running. Services of a higher stage need those of a lower one."""

    name: str
    stage: int
    start: Callable[[], subprocess.Popen[bytes]]
    ready: Callable[[], bool] | None = None
    ready_seconds: float = 60.0
    stop_signal: signal.Signals = signal.SIGTERM
    grace_seconds: float = 10.0
    # Lines with these words say nothing to the person at the terminal.
    hushed: tuple[str, ...] = ()
    # Ends what outlives a killed leader and is not in its process group.
    sweep: Callable[[], None] | None = None


@dataclass
class _Running:
    service: Service
    process: subprocess.Popen[bytes]
    since: float
    failures: int = 0
    again_at: float | None = None
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=30))


class Supervisor:
    """Starts, watches and stops services; `say` prints a line of its own."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._running: list[_Running] = []
        self._stop_requests = 0
        self._watched_make = os.getppid() if os.environ.get("HUB_UNDER_MAKE") else None

    def handle_signals(self) -> None:
        """Let SIGINT, SIGTERM and SIGHUP end the hub in order."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._stop_requests += 1

    def check(self) -> None:
        """Raise `Stopped` if the end was asked for."""
        if self._watched_make is not None and _make_was_interrupted(self._watched_make):
            self._stop_requests += 1
        if self._stop_requests:
            raise Stopped

    def launch(self, service: Service) -> None:
        """Start a service and wait until it is ready.

        Raises:
            LaunchError: it ended, or was not ready in time; the message has its last lines.
            Stopped: the end was asked for.
        """
        running = _Running(service, service.start(), time.monotonic())
        self._running.append(running)
        _copy_output(running)
        deadline = time.monotonic() + service.ready_seconds
        while service.ready is not None and not service.ready():
            self.tick(TICK / 2)
            if running.failures or running.process.poll() is not None:
                raise LaunchError(_explain(running, f"{service.name} ended while it started"))
            if time.monotonic() > deadline:
                raise LaunchError(_explain(running, f"{service.name} is not ready after {service.ready_seconds:.0f} s"))

    def run_once(self, name: str, process: subprocess.Popen[bytes]) -> None:
        """Wait for a process that ends by itself, such as the migrations, while the services are watched.

        Raises:
            LaunchError: it failed; the message has its last lines.
        """
        step = _Running(Service(name, 99, lambda: process), process, time.monotonic())
        reader = _copy_output(step)
        try:
            while process.poll() is None:
                self.tick()
        finally:
            _end(step, self._impatient)
        if reader is not None:
            reader.join(2)
        if process.returncode != 0:
            raise LaunchError(_explain(step, f"{name} failed"))

    def watch(self) -> None:
        """Keep the services running until the end is asked for."""
        while True:
            self.tick()

    def tick(self, seconds: float = TICK) -> None:
        """A moment of watching: restart what died, raise `Stopped` when asked to."""
        self.check()
        for running in self._running:
            self._revive(running)
        time.sleep(seconds)

    def _revive(self, running: _Running) -> None:
        now = time.monotonic()
        if running.again_at is None:
            code = running.process.poll()
            if code is None:
                return
            # What the dead leader left behind would hold ports, files and memory.
            self._clear(running)
            if now - running.since > STEADY_SECONDS:
                running.failures = 0
            wait = BACK_OFF[min(running.failures, len(BACK_OFF) - 1)]
            running.failures += 1
            running.again_at = now + wait
            self._say(f"{running.service.name} ended ({_describe(code)}); starting it again in {wait:g} s")
        elif now >= running.again_at:
            running.again_at = None
            try:
                running.process = running.service.start()
            except (LaunchError, OSError) as error:
                running.again_at = now + BACK_OFF[-1]
                self._say(f"{running.service.name} cannot be started: {error}")
                return
            running.since = now
            _copy_output(running)

    def stop(self) -> None:
        """End every service, the highest stage first. A second signal while this runs skips the grace period."""
        self._stop_requests = 0
        for stage in sorted({running.service.stage for running in self._running}, reverse=True):
            group = [running for running in self._running if running.service.stage == stage]
            for running in group:
                _ask_to_end(running)
            for running in group:
                if not _end(running, self._impatient):
                    self._say(f"{running.service.name} did not end by itself and was killed")
                self._clear(running)
        self._running.clear()

    def _clear(self, running: _Running) -> None:
        signal_group(running.process, signal.SIGKILL)
        if running.service.sweep is not None:
            try:
                running.service.sweep()
            except LaunchError as error:
                self._say(str(error))

    def _impatient(self) -> bool:
        return self._stop_requests > 0


def _ask_to_end(running: _Running) -> None:
    # To the leader alone: granian and Celery end their own children in order.
    if running.process.poll() is None:
        running.process.send_signal(running.service.stop_signal)


def _end(running: _Running, impatient: Callable[[], bool]) -> bool:
    """Wait for the grace period, then leave nothing of the group; whether the leader ended by itself."""
    deadline = time.monotonic() + running.service.grace_seconds
    if running.service.stage == 99:
        _ask_to_end(running)
    while running.process.poll() is None and time.monotonic() < deadline and not impatient():
        time.sleep(0.02)
    ended = running.process.poll() is not None
    signal_group(running.process, signal.SIGKILL)
    running.process.wait()
    return ended


def _describe(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name


def _explain(running: _Running, text: str) -> str:
    time.sleep(0.2)
    return "\n".join([f"{text}:", *(f"  {line}" for line in running.tail)]) if running.tail else f"{text}."


def _copy_output(running: _Running) -> threading.Thread | None:
    """Print the child's lines under its name, from a thread that ends with the child's output."""
    stream = running.process.stdout
    if stream is None:
        return None

    def copy() -> None:
        with stream:
            for raw in stream:
                line = raw.decode("utf-8", errors="replace").rstrip()
                if not line or any(text in line for text in running.service.hushed):
                    continue
                running.tail.append(line)
                show(running.service.name, line)

    thread = threading.Thread(target=copy, name=f"output of {running.service.name}", daemon=True)
    thread.start()
    return thread


def _make_was_interrupted(make: int) -> bool:
    """Whether the `make` that started us is gone, or waits for us after a SIGINT sent to it alone.

    GNU make passes SIGTERM on to the command it runs, but not SIGINT, which it expects a terminal to send to both.
    While make is in its handler the signal is blocked for it, which Linux shows.
    """
    if os.getppid() != make:
        return True
    try:
        with open(f"/proc/{make}/status", encoding="utf-8") as status:
            blocked = next((line.split()[1] for line in status if line.startswith("SigBlk:")), "0")
    except OSError:
        return False
    return bool(int(blocked, 16) & (1 << (signal.SIGINT - 1)))
