"""The short form of `python -m bench.export_kills`: one kill of each kind, and every export ends well."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.processes
@pytest.mark.timeout(290)
def test_every_export_survives_kills() -> None:
    command = [
        sys.executable,
        "-m",
        "bench.export_kills",
        "--kills",
        "4",
        "--spans",
        "10000",
        "--freezes",
        "0",
        "--pause",
        "2",
    ]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "completed" in result.stdout
