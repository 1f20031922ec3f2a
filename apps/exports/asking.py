"""From a JSON body to an ExportSpec: what every kind shares here, the rest by the kind's own reader."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from apps.common.errors import ApiError
from apps.common.reads.reading import Problems, bad, check_keys, choice, flag, time_range
from apps.exports.formats import missing
from apps.exports.spec import COMPRESSIONS, CONTENT, FORMATS, MAX_RANGE, MAX_ROWS, Column, ExportSpec, Kind
from apps.orgs.access import Principal, require_permission
from apps.orgs.scopes import Scope, scope_of

SHARED = (*("format", "compression", "start_time", "end_time", "project", "fields", "limit", "cut_long_cells"),)
DEFAULT_RANGE = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a kind's reader makes of its own part of a body."""

    columns: tuple[Column, ...]  # all that may be named in `fields`
    defaults: tuple[str, ...]  # the fields where none are named
    question: Mapping[str, Any]
    content: bool = False  # the question itself asks about texts


@dataclass(frozen=True, slots=True)
class Reader:
    """How one kind reads bodies.

    Args:
        keys: the names that its bodies may have beside `SHARED`.
        read: (body, scope, (start, end), problems) -> Asked. Raises or notes what is wrong.
    """

    keys: tuple[str, ...]
    read: Callable[[Mapping[str, Any], Scope, tuple[datetime, datetime], Problems], Asked]


READERS: dict[Kind, Reader] = {}


def spec_of(kind: Kind, body: Any, principal: Principal, now: datetime) -> ExportSpec:
    """Check a body and make the spec of it.

    Raises:
        ApiError: all that is wrong with it; 1100 where a permission is missing that the caller needs for this kind,
            or `traces:content` where texts are exported or asked about.
    """
    if not isinstance(body, Mapping):
        raise ApiError(1200, "The body must be a JSON object.")
    reader = READERS[kind]
    problems = Problems()
    problems.take(lambda: check_keys(body, (*SHARED, *reader.keys), ""), None)
    chosen = problems.take(lambda: choice(body.get("format", "csv"), FORMATS, "format"), "csv")
    problems.take(lambda: _installed(chosen), None)
    compression = problems.take(lambda: choice(body.get("compression", "none"), COMPRESSIONS, "compression"), "none")
    bounds = problems.take(lambda: _range(body, now), (now - DEFAULT_RANGE, now))
    limit = problems.take(lambda: _limit(body.get("limit")), None)
    cut = problems.take(lambda: flag(body.get("cut_long_cells"), "cut_long_cells"), False)
    scope = scope_of(principal, problems.take(lambda: _slugs(body.get("project")), None))
    asked = reader.read(body, scope, bounds, problems)
    fields = problems.take(lambda: _fields(body.get("fields"), asked), asked.defaults)
    problems.check()
    by_name = {column.name: column for column in asked.columns}
    content = asked.content or any(by_name[name].content for name in fields)
    if content:
        require_permission(principal, CONTENT)
    return ExportSpec(
        kind=kind,
        organization_id=scope.organization_id,
        projects=tuple(sorted((number, slug) for slug, number in scope.projects.items())),
        start=bounds[0],
        end=bounds[1],
        format=chosen,  # type: ignore[arg-type]
        compression=compression,  # type: ignore[arg-type]
        fields=fields,
        content=content,
        limit=limit,
        cut_long_cells=cut,
        question=asked.question,
    )


def _installed(chosen: str) -> None:
    lacking = missing(chosen)  # type: ignore[arg-type]
    if lacking is not None:
        raise bad("format", f"This hub cannot write {chosen}: {lacking} is not installed.")


def _range(body: Mapping[str, Any], now: datetime) -> tuple[datetime, datetime]:
    start, end = time_range(body, now, DEFAULT_RANGE)
    if start >= end:
        raise bad("start_time", "start_time must be before end_time.", 1204)
    if end - start > MAX_RANGE:
        raise bad("start_time", f"The range may be at most {MAX_RANGE.days} days long.", 1204)
    return start, end


def _limit(value: Any) -> int | None:
    if value is None:
        return None
    if type(value) is not int:
        raise bad("limit", "limit must be a whole number.", 1203)
    if not 1 <= value <= MAX_ROWS:
        raise bad("limit", f"limit must be 1 to {MAX_ROWS}.", 1205)
    return value


def _slugs(value: Any) -> str | None:
    """`project` as a text with commas or a list of slugs."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return ",".join(value)
    raise bad("project", "project must be a slug or a list of slugs.", 1203)


def _fields(value: Any, asked: Asked) -> tuple[str, ...]:
    if value is None:
        return asked.defaults
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list) or not names:
        raise bad("fields", "fields must be a list of names.", 1203)
    known = [column.name for column in asked.columns]
    chosen = tuple(choice(name, known, "fields") for name in names)
    if len(set(chosen)) < len(chosen):
        raise bad("fields", "fields names one twice.")
    return chosen
