"""The bar above every page: a range of time, a zone, filters, compare. All of it is in the page's address.

    /costs?range=7d&tz=Europe/Berlin&model=gpt-4o&compare=1

`range` is one of `RANGES` or `custom` with `start_time` and `end_time` (ISO 8601; without a zone they are the bar's).
The filters have the API's names and take its values: one, or several with commas.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import unquote, urlencode
from zoneinfo import ZoneInfo

from django.http import HttpRequest

from apps.common.errors import ApiError
from apps.common.parameters import check_parameters
from apps.common.reads import reading

DEFAULT: Final = "24h"
CUSTOM: Final = "custom"
ROLLING: Final = {
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
    "90d": timedelta(days=90),
}
RANGES: Final = {
    "1h": "Last hour",
    "6h": "Last 6 hours",
    "24h": "Last 24 hours",
    "today": "Today",
    "yesterday": "Yesterday",
    "7d": "Last 7 days",
    "30d": "Last 30 days",
    "this_month": "This month",
    "last_month": "Last month",
    "90d": "Last 90 days",
    CUSTOM: "Chosen range",
}
FILTERS: Final = ("project", "provider", "model", "environment", "user_id")
NAMES: Final = ("range", "start_time", "end_time", "tz", "compare", *FILTERS)
ZONE_COOKIE: Final = "hub_tz"  # written by the page's script: the browser's zone
MOST_TEXT: Final = 6_000  # ten models with their providers fit
# The finest interval whose buckets a chart of a range of this length has room for.
_INTERVALS: Final = (
    (timedelta(hours=2), "1min"),
    (timedelta(hours=8), "5min"),
    (timedelta(days=15), "1hour"),
    (timedelta(days=62), "6hour"),
    (timedelta(days=800), "1day"),
)


@dataclass(frozen=True)
class Bar:
    """What the bar says.

    Args:
        range: a name of RANGES.
        start, end: the half-open range in UTC.
        zone: IANA name.
        compare: whether the period before is shown beside this one.
        filters: those that are set, by the API's names.
        own: further parameters of the page, which its links keep.
        named: whether links name a zone that is UTC too: the address did, or the browser has told its own.
    """

    range: str
    start: datetime
    end: datetime
    zone: str
    compare: bool
    filters: Mapping[str, str]
    own: Mapping[str, str]
    named: bool = False

    @property
    def length(self) -> timedelta:
        return self.end - self.start

    @property
    def label(self) -> str:
        return RANGES[self.range]

    @property
    def interval(self) -> str:
        """The API's interval that suits a chart of this range."""
        return next((name for longest, name in _INTERVALS if self.length <= longest), "1week")

    def period(self) -> dict[str, str]:
        """`start_time` and `end_time` for the API."""
        return {"start_time": text_of(self.start), "end_time": text_of(self.end)}

    def question(self, **more: Any) -> dict[str, Any]:
        """Range, zone and filters for a report of the API that takes `timezone`, with further parameters."""
        zone = {} if self.zone == "UTC" else {"timezone": self.zone}
        return {**self.period(), **zone, **self.filters, **more}

    def listing(self, **more: Any) -> dict[str, Any]:
        """Range and filters for a list or report of the API that knows no zone, with further parameters."""
        return {**self.period(), **self.filters, **more}

    def before(self) -> Bar:
        """The period of equal length before this one."""
        return replace(self, range=CUSTOM, start=self.start - self.length, end=self.start)

    def query(self, **changes: Any) -> str:
        """The page's address behind the `?`, with changes; None takes a parameter away.

        The times stay relative where they are, so that a link that is kept shows what is new.
        """
        said: dict[str, Any] = {} if self.range == DEFAULT else {"range": self.range}
        if self.range == CUSTOM:
            said |= self.period()
        if self.zone != "UTC" or self.named:
            said["tz"] = self.zone
        if self.compare:
            said["compare"] = "1"
        said |= {**self.filters, **self.own, **changes}
        return urlencode({name: value for name, value in said.items() if value not in (None, "")})

    def elsewhere(self, **changes: Any) -> str:
        """As `query`, for a link to another page: without this page's own parameters."""
        return replace(self, own={}).query(**changes)

    def at(self, start: datetime, end: datetime, **changes: Any) -> str:
        """The address behind the `?` of another page with another range."""
        return replace(self, range=CUSTOM, start=start, end=end, own={}).query(**changes)

    def between(self, path: str = "", **changes: Any) -> str:
        """An address for charts, with the places `{start}` and `{end}` of a range: of another page, or of this one."""
        kept = replace(self, own={}) if path else self
        query = kept.query(range=CUSTOM, start_time=None, end_time=None, **changes)
        return f"{path}?{query}&start_time={{start}}&end_time={{end}}"


def text_of(moment: datetime) -> str:
    """As the API reads it."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def read_bar(request: HttpRequest, own: Collection[str] = (), default: str = DEFAULT) -> Bar:
    """The bar of a page's address.

    Args:
        own: the page's further parameters.
        default: the range of an address without one.

    Raises:
        ApiError: 1202-1204 for what no bar can say, an unknown parameter among it.
    """
    check_parameters(request, (*NAMES, *own))
    given = {name: ",".join(values).strip() for name, values in request.GET.lists()}
    for name, value in given.items():
        if len(value) > MOST_TEXT or "\x00" in value:
            raise reading.bad(name, f"{name} must be at most {MOST_TEXT} characters, none of them null.")
    zone = _zone(request, given.get("tz", ""))
    name = given.get("range") or (CUSTOM if given.get("start_time") else default)
    name = reading.choice(name, tuple(RANGES), "range")
    start, end = _bounds(name, given, zone)
    return Bar(
        range=name,
        start=start,
        end=end,
        zone=zone,
        compare=given.get("compare", "") in ("1", "true", "on", "previous_period"),
        filters={field: given[field] for field in FILTERS if given.get(field)},
        own={field: given[field] for field in own if given.get(field)},
        named=bool(given.get("tz")) or ZONE_COOKIE in request.COOKIES,
    )


def _zone(request: HttpRequest, asked: str) -> str:
    return reading.zone(asked) if asked else browser_zone(request)


def browser_zone(request: HttpRequest) -> str:
    """The zone that the page's script has found in the browser; UTC before it has."""
    try:
        return reading.zone(unquote(request.COOKIES.get(ZONE_COOKIE, "")) or None)
    except ApiError:
        return "UTC"  # a cookie of another time, or somebody else's


def _bounds(name: str, given: Mapping[str, str], zone: str) -> tuple[datetime, datetime]:
    if name == CUSTOM:
        start, end = (_moment(given.get(field, ""), field, zone) for field in ("start_time", "end_time"))
        if start >= end:
            raise reading.bad("start_time", "The range must begin before it ends.", 1204)
        return start, end
    end = reading.next_minute(datetime.now(UTC))
    if name in ROLLING:
        return end - ROLLING[name], end
    return _calendar(name, end, ZoneInfo(zone))


def _calendar(name: str, end: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Days and months by the zone's clock."""
    today = (end - timedelta(microseconds=1)).astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    first = today.replace(day=1)
    edges = {
        "today": (today, end),
        "yesterday": ((today - timedelta(days=1)), today),
        "this_month": (first, end),
        "last_month": ((first - timedelta(days=1)).replace(day=1), first),
    }
    start, stop = edges[name]
    return start.astimezone(UTC), stop.astimezone(UTC)


def _moment(text: str, field: str, zone: str) -> datetime:
    if not text:
        raise reading.bad(field, f"A chosen range needs {field}.", 1201)
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return reading.moment(text, field)
    if parsed.tzinfo is None and 1970 <= parsed.year <= 2999:
        return parsed.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    return reading.moment(text, field)
