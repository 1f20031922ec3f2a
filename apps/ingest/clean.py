"""Values that a database or a JSON encoder refuses: found cheaply, mended, never passed on."""

from __future__ import annotations

import base64
import math
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

import orjson

MAX_DEPTH: Final = 32
MAX_ITEMS: Final = 10_000
TOO_DEEP: Final = "[nested too deep]"
REPLACEMENT: Final = "\ufffd"


class Cleaner:
    """Makes any Python value storable as JSON; remembers what it had to mend."""

    __slots__ = ("cut", "number_dropped", "text_repaired")

    def __init__(self) -> None:
        self.cut = False
        self.number_dropped = False
        self.text_repaired = False

    def text(self, value: str) -> str:
        repaired = mend_text(value)
        if repaired is not value:
            self.text_repaired = True
        return repaired

    def value(self, value: Any, depth: int = 0) -> Any:
        kind = type(value)
        if kind is str:
            return self.text(value)
        if value is None or kind is bool:
            return value
        if kind is int:
            return value if -(2**63) <= value < 2**63 else str(value)[:400]
        if kind is float:
            return self._finite(value)
        if depth >= MAX_DEPTH:
            self.cut = True
            return TOO_DEEP
        if isinstance(value, dict):
            return self._mapping(value, depth)
        if isinstance(value, list | tuple):
            self.cut = self.cut or len(value) > MAX_ITEMS
            return [self.value(item, depth + 1) for item in value[:MAX_ITEMS]]
        return self._other(value, depth)

    def _finite(self, value: float) -> float | None:
        if math.isfinite(value):
            return value
        self.number_dropped = True
        return None

    def _mapping(self, value: dict[Any, Any], depth: int) -> dict[str, Any]:
        self.cut = self.cut or len(value) > MAX_ITEMS
        items = list(value.items())[:MAX_ITEMS]
        return {self.text(str(key)): self.value(item, depth + 1) for key, item in items}

    def _other(self, value: Any, depth: int) -> Any:
        """What Parquet and CSV readers bring: dates, decimals, bytes, numpy scalars."""
        if isinstance(value, bytes | bytearray):
            return base64.b64encode(value).decode()
        if isinstance(value, datetime | date):
            return value.isoformat()
        if isinstance(value, Decimal):
            return str(value)
        item = getattr(value, "item", None)
        return self.value(item(), depth + 1) if callable(item) else self.text(str(value))


def mend_text(value: str) -> str:
    """NUL bytes and lone surrogates become U+FFFD; the same object comes back if there were none."""
    if "\x00" in value:
        value = value.replace("\x00", REPLACEMENT)
    try:
        value.encode()
    except UnicodeEncodeError:
        # A high and a low surrogate that meet are one character written in two escapes.
        value = value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return value


def mend_json(encoded: bytes) -> tuple[bytes, bool]:
    """Encoded JSON without NUL characters, which jsonb refuses; second, whether there were any."""
    if b"\\u0000" not in encoded:
        return encoded, False
    cleaner = Cleaner()
    mended = cleaner.value(orjson.loads(encoded))
    return (orjson.dumps(mended), True) if cleaner.text_repaired else (encoded, False)


def cut_bytes(value: str, limit: int) -> str:
    """The longest beginning of a text that takes at most `limit` bytes of UTF-8."""
    if len(value) * 4 <= limit:
        return value
    encoded = value.encode()
    return value if len(encoded) <= limit else encoded[:limit].decode("utf-8", "ignore")
