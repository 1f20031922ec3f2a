"""Reading what a request says, from query parameters or a JSON body: the refusals that every endpoint shares."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from apps.common.errors import ApiError
from apps.common.parameters import unknown_name

T = TypeVar("T")
D = TypeVar("D")
EARLIEST, LATEST = 1970, 2999
_LOST_PLUS = re.compile(r" (\d\d:?\d\d)$")


class Problems:
    """Collects what is wrong with a request, so that one answer lists every bad field."""

    def __init__(self) -> None:
        self.found: list[ApiError] = []

    def take(self, read: Callable[[], T], default: D) -> T | D:
        """The value, or the default with the problem noted."""
        try:
            return read()
        except ApiError as error:
            self.found.append(error)
            return default

    def check(self) -> None:
        """Raise what was found: the problem itself, or one error that lists several."""
        if len(self.found) == 1:
            raise self.found[0]
        if self.found:
            details = [
                {"field": error.field, "message": error.message, "code": error.entry.code} for error in self.found
            ]
            fields = ", ".join(dict.fromkeys(error.field for error in self.found if error.field))
            code = self.found[0].entry.code
            raise ApiError(code, f"Several fields are not valid: {fields}.", field=self.found[0].field, details=details)


def bad(field: str, message: str, code: int = 1202, **details: Any) -> ApiError:
    return ApiError(code, message, field=field, details=details or None)


def choice(value: Any, known: Sequence[str], field: str) -> str:
    """One of a fixed list of words."""
    if isinstance(value, str) and value in known:
        return value
    if not isinstance(value, str):
        raise bad(field, f"{field} must be a text.", 1203)
    error = unknown_name(value, known, what=field)
    raise ApiError(1202, error.message, field=field, details=error.details)


def choices(value: str, known: Sequence[str], field: str) -> list[str]:
    """Some of a fixed list of words, separated by commas."""
    return [choice(word.strip(), known, field) for word in value.split(",")]


def moment(value: Any, field: str) -> datetime:
    """An ISO 8601 time with a zone, as UTC."""
    if not isinstance(value, str):
        raise bad(field, f"{field} must be an ISO 8601 time with a zone.", 1203)
    # An unescaped + in a query string arrives as a space.
    text = _LOST_PLUS.sub(r"+\1", value.strip())
    try:
        parsed = datetime.fromisoformat(text)
        if parsed.tzinfo is None:
            raise bad(field, f"{field} needs a time zone, such as a final Z.", 1203)
        utc = parsed.astimezone(UTC)
        # Room for offsets, zones and comparisons at both ends of the calendar.
        if not EARLIEST <= utc.year <= LATEST:
            raise bad(field, f"{field} must lie in the years {EARLIEST} to {LATEST}.", 1204)
        return utc
    except (ValueError, OverflowError):
        message = f"{field} must be an ISO 8601 time with a zone, such as 2026-11-05T00:00:00Z."
        raise bad(field, message, 1203) from None


def next_minute(now: datetime) -> datetime:
    """Now, rounded up to the next minute."""
    whole = now.replace(second=0, microsecond=0)
    return whole if whole == now else whole + timedelta(minutes=1)


def time_range(source: Mapping[str, Any], now: datetime, default: timedelta) -> tuple[datetime, datetime]:
    """The asked range with the contract's defaults."""
    given_end, given_start = source.get("end_time"), source.get("start_time")
    end = moment(given_end, "end_time") if given_end is not None else next_minute(now)
    return moment(given_start, "start_time") if given_start is not None else end - default, end


def zone(value: Any) -> str:
    """The name of a time zone."""
    if value is None:
        return "UTC"
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        raise bad("timezone", "timezone must be an IANA name such as Europe/Berlin.") from None
    return str(value)


def flag(value: Any, field: str) -> bool:
    """A truth value, as JSON or as text."""
    if value is None or isinstance(value, bool):
        return bool(value)
    if str(value).lower() in ("true", "1"):
        return True
    if str(value).lower() in ("false", "0"):
        return False
    raise bad(field, f"{field} must be true or false.", 1203)


def check_keys(source: Mapping[str, Any], known: Sequence[str], field: str) -> None:
    """Refuse keys of a JSON object that are not known."""
    for key in source:
        if key not in known:
            error = unknown_name(str(key), known, what="field")
            raise ApiError(1202, error.message, field=f"{field}.{key}" if field else str(key), details=error.details)


def number(value: Any, field: str) -> Decimal:
    """A finite number."""
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        text = str(value)
        try:  # Decimal knows other digits and 1_000 as well
            parsed = Decimal(text if text.isascii() and "_" not in text else "NaN")
        except InvalidOperation:
            parsed = Decimal("NaN")
        if parsed.is_finite() and abs(parsed.adjusted()) < 100:
            return parsed
    raise bad(field, f"{field} must be a number.", 1203)
