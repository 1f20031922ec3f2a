"""The same thing tried by several at once, each on a database connection of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

from django.db import connection

from apps.common.errors import ApiError

T = TypeVar("T")


def codes_of_race(attempt: Callable[[T], object], given: Sequence[T]) -> list[int]:
    """What each attempt came to, sorted: 0, or the code of its ApiError."""
    start = Barrier(len(given))

    def one(item: T) -> int:
        start.wait(10)
        try:
            attempt(item)
        except ApiError as caught:
            return caught.entry.code
        finally:
            connection.close()
        return 0

    with ThreadPoolExecutor(len(given)) as pool:
        return sorted(pool.map(one, given))
