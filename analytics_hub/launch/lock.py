"""One hub on one data folder."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import TextIO

from analytics_hub.launch.account import LaunchError


class FolderLock:
    """A lock that the kernel gives back when its holder ends, however it ends."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "lock"
        self._handle: TextIO | None = None

    def take(self, address: str) -> None:
        """Take the lock and say in it who holds it.

        Raises:
            LaunchError: a hub runs on the folder already.
        """
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        handle = os.fdopen(descriptor, "r+", encoding="utf-8")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = handle.read().strip() or "another process"
            handle.close()
            raise LaunchError(
                f"A hub already runs on the data folder {self._path.parent}: {holder}. "
                "Stop it first, or give another folder with --data-dir or HUB_DATA_DIR."
            ) from None
        handle.seek(0)
        handle.truncate()
        handle.write(f"process {os.getpid()} at {address}\n")
        handle.flush()
        self._handle = handle

    def release(self) -> None:
        if self._handle is not None:
            self._handle.seek(0)
            self._handle.truncate()
            self._handle.close()
            self._handle = None
