"""A data folder whose database is there already, for tests that start a whole hub but do not test its first start.

The first who asks makes it for the whole run, with an organization, a project and a key; everybody gets a copy.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.hub import running_hub


def _original() -> Path:
    """The folder in the run's own, which lies where the servers' user can walk and goes with the run."""
    shared = Path(os.environ["HUB_DATA_DIR"]).parent
    original = shared / "prepared"
    with (shared / "prepared.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not original.exists():
            half = shared / "prepared.new"
            shutil.rmtree(half, ignore_errors=True)
            with pytest.MonkeyPatch.context() as patched:
                patched.setenv("BENCH_KEEP", str(half))
                with running_hub():
                    pass
            half.rename(original)
    return original


@contextmanager
def prepared_folder() -> Iterator[Path]:
    """A folder with `data`, for HUB_DATA_DIR, and `bootstrap.json`, as BENCH_KEEP wants it."""
    original = _original()
    folder = Path(tempfile.mkdtemp(prefix="hub-prepared-"))
    try:
        folder.chmod(0o755)
        subprocess.run(["cp", "-a", "--reflink=auto", f"{original}/.", str(folder)], check=True)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
