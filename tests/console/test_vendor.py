"""The files of others are the ones that were taken, and every one of them is written down with its licence."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

VENDOR = Path(__file__).resolve().parents[2] / "static" / "vendor"
ROW = re.compile(r"\| `([^`]+)` \| [^|]+ \| [^|]+ \| `([0-9a-f]{64})` \|")


def test_every_file_is_written_down_and_unchanged() -> None:
    written = dict(ROW.findall((VENDOR / "README.md").read_text(encoding="utf-8")))
    files = [path for path in VENDOR.rglob("*") if path.suffix in (".js", ".css")]
    assert {
        path.relative_to(VENDOR).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    } == written
    assert all((path.parent / "LICENSE").is_file() for path in files)
