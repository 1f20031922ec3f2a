"""How every process of the hub is started: a group of its own, a user of its own, and an end with its parent."""

from __future__ import annotations

import ctypes
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from analytics_hub.launch.account import Account

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def end_with_parent(death_signal: signal.Signals, parent: int) -> None:
    """Ask the kernel for `death_signal` once the parent is gone, so that a killed parent leaves no orphan.

    The kernel forgets the request when the process changes its user, so this comes after the drop of privileges.
    A parent that died before the request was made is noticed by its changed process id.
    """
    if _libc is None:
        return
    _libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), death_signal)


def _prepare(death_signal: signal.Signals, parent: int) -> Callable[[], None]:
    def prepare() -> None:
        # Children of a shell's background job inherit an ignored SIGINT; PostgreSQL and granian need their own.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.umask(0o077)
        end_with_parent(death_signal, parent)

    return prepare


def spawn(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    account: Account | None = None,
    death_signal: signal.Signals = signal.SIGKILL,
    output: int | None = subprocess.PIPE,
) -> subprocess.Popen[bytes]:
    """Start a command in its own session; output and errors go to one stream.

    Must be called from the main thread: the kernel sends the death signal when the *thread* that forked ends.
    """
    return subprocess.Popen(  # noqa: S603 - the commands are ours
        list(command),
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=_prepare(death_signal, os.getpid()),
        **(account.popen_arguments() if account else {}),
    )


def signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal to every process of the group that `process` leads; a group that is gone is fine."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def group_alive(pgid: int) -> bool:
    """Whether any process of the group is left (zombies that nobody has collected count too)."""
    try:
        os.killpg(pgid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def free_port(host: str = "127.0.0.1") -> int:
    """A port that is free right now and likely to stay so until it is used.

    It lies below the range from which the system serves outgoing connections and `bind(0)`: those would take a port
    that was free a moment ago.
    """
    for _ in range(100):
        port = 10_000 + secrets.randbelow(22_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind((host, port))
            return port
    raise OSError(f"no free port on {host}")


def minimal_environment(home: Path) -> dict[str, str]:
    """What a database server needs of the environment: no secret of the caller's goes there."""
    kept = {name: os.environ[name] for name in ("PATH", "TZDIR", "LD_LIBRARY_PATH") if name in os.environ}
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", "HOME": str(home)} | kept


def follow_parent() -> None:
    """In a grandchild of the supervisor (a web worker, a Celery pool process): end when the process above ends."""
    if os.environ.get("HUB_SUPERVISED"):
        end_with_parent(signal.SIGKILL, os.getppid())


def exists(pid: int) -> bool:
    """Whether a process has this id, whoever owns it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
