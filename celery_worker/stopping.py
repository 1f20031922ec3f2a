"""Whether this worker is asked to end: known to the parent by a signal, and to its pool processes by shared memory.

Celery tells nobody but the parent, which then waits for its pool processes. A task that takes long asks here whether it
should leave the rest to another worker. One byte needs no lock, which a killed process could take to its grave.
"""

from __future__ import annotations

import mmap
from typing import Any

from celery.signals import worker_shutting_down

_asked = mmap.mmap(-1, 1)  # anonymous: whoever is forked from here on shares it


def stopping() -> bool:
    return _asked[0] == 1


@worker_shutting_down.connect
def _pass_on(**_: Any) -> None:
    _asked[0] = 1
