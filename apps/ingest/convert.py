"""Converters of single attribute values. None: not usable, look further. `BAD`: a number that must be dropped."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any, Final

import orjson

from apps.ingest.vocabulary import KINDS, LEVELS, VERCEL_KINDS

MAX_TOKENS: Final = 10**12
MAX_COST_USD: Final = 10**6
PICO: Final = 10**12
MAX_TTFT_US: Final = 31 * 86_400 * 1_000_000
MAX_TAGS: Final = 100
MAX_JSON: Final = 1_000_000
_REPR_LIMIT: Final = 10_000


class _Bad:
    """The type of BAD."""


BAD: Final = _Bad()


def text(value: Any) -> str | None:
    if type(value) is str:
        return value or None
    if type(value) is int or (type(value) is float and math.isfinite(value)):
        return str(value)
    return None


def token(value: Any) -> int | _Bad | None:
    """A token count. Numbers as text and whole floats pass; negative, huge, broken and not finite ones are BAD."""
    if type(value) is int:
        return value if 0 <= value <= MAX_TOKENS else BAD
    if type(value) is float:
        return int(value) if value.is_integer() and 0 <= value <= MAX_TOKENS else BAD
    if type(value) is str and value:
        try:
            return token(float(value) if any(c in value for c in ".eEnN") else int(value[:64]))
        except ValueError:
            return None
    return None


def money(value: Any) -> int | _Bad | None:
    """US dollars as picodollars: quantised once, here, half to even."""
    if value is None or type(value) is bool or not isinstance(value, int | float | str | Decimal) or value == "":
        return None
    try:
        amount = Decimal(value[:64] if isinstance(value, str) else repr(value))
    except InvalidOperation:
        return None
    if not amount.is_finite() or not 0 <= amount <= MAX_COST_USD:
        return BAD
    return int((amount * PICO).quantize(Decimal(1), rounding=ROUND_HALF_EVEN))


def _microseconds(value: Any, scale: int) -> int | _Bad | None:
    if type(value) is str:
        try:
            value = float(value)
        except ValueError:
            return None
    if type(value) is not int and type(value) is not float:
        return None
    if not 0 <= value * scale <= MAX_TTFT_US:  # false for NaN as well
        return BAD
    return round(value * scale)


def seconds(value: Any) -> int | _Bad | None:
    return _microseconds(value, 1_000_000)


def millis(value: Any) -> int | _Bad | None:
    return _microseconds(value, 1_000)


def instant(value: Any) -> int | None:
    """An ISO 8601 time as nanoseconds; old Langfuse SDKs quote it twice."""
    if type(value) is not str or len(value) > 64:
        return None
    try:
        moment = datetime.fromisoformat(value.strip().strip('"'))
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return ((delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds) * 1_000


def kind(value: Any) -> str | None:
    return KINDS.get(value.lower()) if type(value) is str else None


def vercel(value: Any) -> str | None:
    """The operation of a Vercel AI SDK span: `ai.x.y`, without the function id that `operation.name` appends."""
    return value.split(" ", 1)[0] if type(value) is str and value.startswith("ai.") else None


def vercel_kind(value: Any) -> str | None:
    operation = vercel(value)
    return None if operation is None else VERCEL_KINDS.get(operation, "chain")


def before_dot(value: Any) -> str | None:
    return value.split(".", 1)[0] or None if type(value) is str else None


def level(value: Any) -> str | None:
    return LEVELS.get(value.upper()) if type(value) is str else None


def flag(value: Any) -> bool | None:
    if type(value) is bool:
        return value
    return {"true": True, "1": True, "false": False, "0": False}.get(str(value).lower()[:8])


def batch(value: Any) -> str | None:
    return "batch" if flag(value) else None


def texts(value: Any) -> list[str] | None:
    """A list of texts; a lone text is a list of one."""
    if type(value) is str:
        return [value] if value else None
    if type(value) is not list:
        return None
    return [item for item in map(text, value[:MAX_TAGS]) if item] or None


def tags(value: Any) -> list[str] | None:
    """Tags come as an array, as JSON text, or as a comma list."""
    if type(value) is str:
        parsed = json_value(value) if value.lstrip()[:1] == "[" else None
        value = parsed if isinstance(parsed, list) else value.split(",")
    if type(value) is not list:
        return None
    found = dict.fromkeys(item.strip() for item in map(text, value) if item)
    return [item for item in found if item][:MAX_TAGS] or None


def json_value(value: Any) -> Any:
    """A JSON value, given as such or as text; LiteLLM writes dictionaries as Python literals."""
    if type(value) is not str:
        return value if isinstance(value, dict | list) else None
    if len(value) > MAX_JSON:
        return None
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        pass
    if value[:1] != "{" or len(value) > _REPR_LIMIT:
        return None
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None


def json_object(value: Any) -> dict[str, Any] | None:
    found = json_value(value)
    return found if isinstance(found, dict) and found else None


def content(value: Any) -> str | None:
    """Content as text: text as it is, anything else as JSON."""
    if type(value) is str:
        return value or None
    return None if value is None or value == [] or value == {} else orjson.dumps(value).decode()


CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "text": text,
    "token": token,
    "money": money,
    "seconds": seconds,
    "millis": millis,
    "instant": instant,
    "kind": kind,
    "vercel": vercel,
    "vercel_kind": vercel_kind,
    "before_dot": before_dot,
    "level": level,
    "flag": flag,
    "batch": batch,
    "texts": texts,
    "tags": tags,
    "json": json_object,
    "content": content,
}
