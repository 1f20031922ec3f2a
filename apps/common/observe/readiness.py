"""Is the hub usable? A registry of checks that apps fill at start, each timed and bounded."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.db import connections

from apps.common.edge.exceptions import translate

LIMIT_SECONDS = 2.0


class NotReady(Exception):
    """Raised by a check; its sentence is shown to whoever asks, so it holds no host name and no SQL."""


@dataclass(slots=True)
class Check:
    """A named question about a part of the hub.

    Args:
        name: its key in the answer.
        run: returns particulars to show (or None); raises `NotReady`, or anything, when not ready.
        critical: whether a failure makes the hub not ready, or is only reported.
    """

    name: str
    run: Callable[[], dict[str, Any] | None]
    critical: bool = True
    busy: threading.Lock = field(default_factory=threading.Lock)


_checks: dict[str, Check] = {}


def register(name: str, run: Callable[[], dict[str, Any] | None], *, critical: bool = True) -> None:
    """Add a check, or replace the one of that name. Called from `AppConfig.ready`."""
    _checks[name] = Check(name, run, critical)


def _outcome(check: Check, results: dict[str, dict[str, Any]]) -> None:
    started = time.perf_counter()
    try:
        particulars = check.run() or {}
        outcome: dict[str, Any] = {"ok": True, **particulars}
    except NotReady as error:
        outcome = {"ok": False, "message": str(error)}
    except Exception as error:  # noqa: BLE001  # the outermost loop of a thread: any failure means "not ready"
        outcome = {"ok": False, "message": translate(error).message}
    finally:
        connections.close_all()
        check.busy.release()
    results[check.name] = {**outcome, "ms": round((time.perf_counter() - started) * 1000, 1)}


def run_checks(limit: float = LIMIT_SECONDS) -> tuple[bool, dict[str, dict[str, Any]]]:
    """Run all checks beside each other. A check that is still busy from an earlier call is not started again."""
    results: dict[str, dict[str, Any]] = {}
    threads: list[threading.Thread] = []
    for check in _checks.values():
        if check.busy.acquire(blocking=False):
            threads.append(threading.Thread(target=_outcome, args=(check, results), daemon=True))
            threads[-1].start()
    deadline = time.monotonic() + limit
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    late = {"ok": False, "message": f"no answer within {limit:g} s", "ms": round(limit * 1000, 1)}
    answered = dict(results)  # a late thread may still write into `results`
    ordered = {name: answered.get(name, late) for name in _checks}
    ready = all(ordered[check.name]["ok"] for check in _checks.values() if check.critical)
    return ready, ordered
