"""What the hub prints: its own sentences and the lines of its processes, as text or as one JSON object a line."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime

import orjson

_json_lines = False

# How servers name the gravity of a line, and Python's word for it.
_LEVELS = {"LOG": "INFO", "NOTICE": "INFO", "WARN": "WARNING", "FATAL": "CRITICAL", "PANIC": "CRITICAL"}
_LEVEL = re.compile(r"\b(DEBUG|INFO|LOG|NOTICE|WARN|WARNING|ERROR|FATAL|PANIC|CRITICAL)\b")


def use_json(wanted: bool) -> None:
    """Choose the form, once, before anything is printed."""
    global _json_lines
    _json_lines = wanted


def show(process: str, line: str) -> None:
    """Print a line of a process.

    A line of JSON that it wrote itself names the process, and is printed as it is; any other is put into an object.
    """
    if not _json_lines:
        print_line(f"{process:<8} | {line}")
    elif _is_object(line):
        print_line(line)
    else:
        found = _LEVEL.search(line[:80])
        level = _LEVELS.get(found[1], found[1]) if found else "INFO"
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        fields = {"time": now, "level": level, "logger": process, "message": line, "request_id": "", "user": ""}
        print_line(orjson.dumps({**fields, "organization": "", "process": process}).decode())


def _is_object(line: str) -> bool:
    if not line.startswith("{"):
        return False
    try:
        return isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        return False


def print_line(text: str) -> None:
    """Print to whoever still reads: a closed pipe must not stop the hub, nor block its children."""
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except (OSError, ValueError):
        return
