"""A small cache inside the process for values that may be a few seconds old."""

from __future__ import annotations

from time import monotonic
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Expiring(Generic[K, V]):
    """A dictionary whose entries live for a fixed time. Safe between threads: every step is one dict operation.

    Args:
        seconds: how long an entry is served.
        size: when so many entries are held, all are dropped (a flood of keys must not hold memory).
    """

    def __init__(self, seconds: float, size: int = 4096) -> None:
        self._seconds = seconds
        self._size = size
        self._entries: dict[K, tuple[float, V]] = {}

    def get(self, key: K) -> V | None:
        entry = self._entries.get(key)
        if entry is None or entry[0] < monotonic():
            return None
        return entry[1]

    def put(self, key: K, value: V) -> None:
        if len(self._entries) >= self._size:
            self._entries.clear()
        self._entries[key] = (monotonic() + self._seconds, value)

    def clear(self) -> None:
        self._entries.clear()
