"""What a running hub tells the other commands on the same data folder.

`manage.py up` writes `HUB_DATA_DIR/runtime.json` (mode 600) with the addresses of the servers it started, so that
`manage.py bootstrap` and the like find them without any setting. The secret key of a development installation is
made once and kept in `HUB_DATA_DIR/secret_key` (mode 600).
"""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import TypedDict

UNSET_DATABASE_URL = "postgresql://hub@127.0.0.1:1/hub"


class Runtime(TypedDict, total=False):
    """The content of runtime.json."""

    database_url: str
    redis_url: str
    web_url: str
    pid: int


def read_runtime(data_dir: Path) -> Runtime:
    """The addresses of the hub that runs on this folder; empty when none does or the folder is not readable."""
    try:
        value: Runtime = json.loads((data_dir / "runtime.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, replacing it in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
        handle.write(text)
    temporary.replace(path)


def development_secret(data_dir: Path) -> str:
    """The secret key kept in the data folder, made at first use; a throw-away one where nothing can be written."""
    path = data_dir / "secret_key"
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        key = secrets.token_urlsafe(48)
    try:
        write_private(path, key)
    except OSError:
        return key
    return path.read_text(encoding="utf-8").strip()
