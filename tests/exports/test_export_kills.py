"""The short form of `python -m bench.export_kills`: one kill of each kind, and every export ends well."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.prepared import prepared_folder

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.processes
@pytest.mark.timeout(290)
def test_every_export_survives_kills() -> None:
    # A job of a killed worker is taken up after six seconds instead of thirty; that it is thirty is tested elsewhere.
    options = ("--kills", "4", "--spans", "10000", "--freezes", "0", "--pause", "2", "--silence", "6")
    with prepared_folder() as folder:
        result = subprocess.run(
            [sys.executable, "-m", "bench.export_kills", *options],
            cwd=ROOT,
            env={**os.environ, "BENCH_KEEP": str(folder)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "completed" in result.stdout
