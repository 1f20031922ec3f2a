"""The statements that a block of code sends, Django's and bare ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any
from unittest import mock

from apps.common.observe import statements

# A moment in which what a process knows for ten seconds stays known, wherever they are over.
STANDING = monotonic()
_BOOKKEEPING = ("SAVEPOINT", "RELEASE", "ROLLBACK")


@contextmanager
def counted() -> Iterator[list[str]]:
    """The statements of the block."""
    seen: list[str] = []

    def note(statement: Any, seconds: float) -> None:
        text = statements.shown(statements._text(statement))
        if not text.startswith(_BOOKKEEPING):
            seen.append(text)

    with mock.patch.object(statements, "_done", note):
        yield seen
