"""The quality report: what went wrong, by model and over time, and how the work was judged.

Formulas, NULL rules and minimum samples are in docs/reports.md. The error figures are questions to the engine like any
other; the scores of the range are read in one pass, those of the range before in another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings

from apps.common.errors import ApiError
from apps.common.reads import reading
from apps.common.reads.reading import Problems
from apps.metrics import params
from apps.metrics.finish import Row, TooManyRows, change_pct, key, too_many
from apps.metrics.reports.base import (
    MIN_SAMPLE,
    RANGE_PARAMETERS,
    Asking,
    Report,
    base_spec,
    changes,
    limit_of,
    made,
    references,
)
from apps.metrics.scores import Profile, profiles
from apps.metrics.spec import MAX_ROWS, QuerySpec, Sort
from apps.metrics.summary import common_errors, errors_spec, share
from apps.orgs.scopes import Scope

PARAMETERS = (*RANGE_PARAMETERS, "timezone", "interval", "granularity", "limit", "compare_previous_period")
MOST_NAMES = 50
MOST_LABELS = 20
LEAST_RELIABLE = 5
# Field, metric, aggregation.
ERRORS: tuple[tuple[str, str, str], ...] = (
    ("requests", "request_count", "sum"),
    ("error_count", "error_count", "sum"),
    ("success_count", "success_count", "sum"),
    ("error_rate", "error_rate", "avg"),
    ("success_rate", "success_rate", "avg"),
)
CHANGES: dict[str, str] = {
    "requests_change_pct": "requests",
    "error_count_change_pct": "error_count",
    "error_rate_change_pct": "error_rate",
    "success_rate_change_pct": "success_rate",
}


def from_query(source: Mapping[str, str], scope: Scope, now: datetime) -> tuple[QuerySpec, bool]:
    """The question behind the parameters, and whether to compare."""
    problems = Problems()
    interval = problems.take(lambda: params.interval_of(source, "1hour"), "1hour")
    limit = problems.take(lambda: limit_of(source, 20), 20)
    wish = source.get("compare_previous_period", "true")
    compare = problems.take(lambda: reading.flag(wish, "compare_previous_period"), True)
    return base_spec(source, scope, now, problems, interval=interval, limit=limit), compare


def quality(base: QuerySpec, compare: bool = True, *, messages: bool = True) -> Report:
    """The report of a question's range, projects, filters, interval and limit (of models).

    messages: whether texts of errors are shown, which are content.

    Raises:
        ApiError: as `runner.answer`; 1204 where the range begins before scores are kept.
    """
    kept = datetime.now(UTC) - timedelta(days=settings.HUB.score_retention_days)
    if base.start < kept:
        since = kept.strftime("%Y-%m-%dT%H:%M:%SZ")
        raise ApiError(1204, f"Scores are kept since {since}.", field="start_time", details={"kept_since": since})
    span = base.end - base.start
    whole = replace(base, metrics=references(ERRORS), interval=None, limit=None)
    series = replace(base, metrics=references(ERRORS), limit=None)
    models = replace(whole, group_by=("provider", "model"), sort=(Sort("requests", True),))

    def make(asking: Asking) -> dict[str, Any]:
        now = asking.rows(whole)[0]
        before = asking.rows(replace(whole, compare_to=span).shifted())[0] if compare else None
        errors = asking.rows(errors_spec(whole))
        rows = asking.rows(models)
        found = profiles(asking.cursor, base, detailed=True)
        earlier = profiles(asking.cursor, replace(whole, compare_to=span).shifted(), detailed=False) if compare else []
        names = _by_name(found)
        return {
            "current_period": _period(base.start, base.end, now),
            "previous_period": before and _period(base.start - span, base.start, before),
            "changes": before and changes(now, before, CHANGES),
            "most_common_errors": common_errors(errors, now["error_count"], messages),
            "models": rows[: base.limit],
            "least_reliable": _least_reliable(rows),
            "scores": [_score(base, name, found, _of_name(earlier, name), compare) for name, found in names],
            "series": asking.rows(series),
        }

    def checked(asking: Asking) -> dict[str, Any]:
        try:
            blocks = make(asking)
        except TooManyRows:
            raise too_many(base, MAX_ROWS) from None
        points = sum(len(score["series"]) for score in blocks["scores"])
        if points > MAX_ROWS:
            raise too_many(base, len(blocks["scores"]))
        return blocks

    return made(base, checked)


def _period(start: datetime, end: datetime, row: Row) -> dict[str, Any]:
    return {"start_time": start, "end_time": end, **{field: row[field] for field, _, _ in ERRORS}}


def _least_reliable(rows: Sequence[Row]) -> list[Row]:
    """The models with the greatest error rate, of those with at least MIN_SAMPLE requests and an error."""
    known = [row for row in rows if row["requests"] >= MIN_SAMPLE and row["error_count"]]
    known.sort(key=lambda row: (-row["error_rate"], str(row["provider"]), str(row["model"])))
    return known[:LEAST_RELIABLE]


# -- scores -------------------------------------------------------------------------------------------------------


def _by_name(found: Sequence[Profile]) -> list[tuple[str, list[Profile]]]:
    """The figures of each name, those with the most scores first, at most MOST_NAMES."""
    names: dict[str, list[Profile]] = {}
    for one in found:
        names.setdefault(one.name, []).append(one)
    ordered = sorted(names.items(), key=lambda item: (-_count(item[1]), item[0]))
    return ordered[:MOST_NAMES]


def _of_name(found: Sequence[Profile], name: str) -> list[Profile]:
    return [one for one in found if one.name == name]


def _count(found: Sequence[Profile]) -> int:
    return sum(one.size for one in found if one.part == "all")


def _whole(found: Sequence[Profile], data_type: str) -> Profile | None:
    return next((one for one in found if one.part == "all" and one.data_type == data_type), None)


def _score(spec: QuerySpec, name: str, found: list[Profile], earlier: list[Profile], compare: bool) -> dict[str, Any]:
    """One name: of each type what means something for it, null where the name has no score of the type."""
    count, before = _count(found), _count(earlier) if compare else None
    return {
        "name": name,
        "count": count,
        "previous_count": before,
        "count_change_pct": change_pct(count, before),
        "small_sample": count < MIN_SAMPLE,
        "numeric": _numeric(_whole(found, "numeric"), _whole(earlier, "numeric")),
        "boolean": _boolean(_whole(found, "boolean"), _whole(earlier, "boolean")),
        "categorical": _categorical(found),
        "series": _series(spec, found),
    }


def _numeric(now: Profile | None, before: Profile | None) -> dict[str, Any] | None:
    if now is None:
        return None
    previous = _rounded(before.avg) if before else None
    return {
        "count": now.size,
        "avg": _rounded(now.avg),
        "stddev": _rounded(now.stddev),
        "min": now.min,
        "max": now.max,
        "previous_avg": previous,
        "avg_change_pct": change_pct(_rounded(now.avg), previous),
    }


def _boolean(now: Profile | None, before: Profile | None) -> dict[str, Any] | None:
    if now is None:
        return None
    truth, previous = _rounded(now.avg), _rounded(before.avg) if before else None
    return {
        "count": now.size,
        "true_count": round((now.avg or 0) * now.size),
        "true_share": truth,
        "previous_true_share": previous,
        "true_share_change_pct": change_pct(truth, previous),
    }


def _categorical(found: Sequence[Profile]) -> dict[str, Any] | None:
    now = _whole(found, "categorical")
    if now is None:
        return None
    labels = [one for one in found if one.part == "label" and one.data_type == "categorical"]
    labels.sort(key=lambda one: (-one.size, str(one.label)))
    return {
        "count": now.size,
        "labels": len(labels),
        "distribution": [
            {"label": one.label, "count": one.size, "share": share(one.size, now.size)} for one in labels[:MOST_LABELS]
        ],
    }


def _series(spec: QuerySpec, found: Sequence[Profile]) -> list[dict[str, Any]]:
    """A row a bucket that has a score of the name: how many, their average, and the share of true ones."""
    if spec.buckets is None:
        return []
    rows: dict[int, dict[str, Any]] = {}
    for one in found:
        if one.part != "bucket":
            continue
        index = key(spec, (one.bucket,))[0]
        blank = {"timestamp": spec.buckets.edges[index], "count": 0, "avg": None, "true_share": None}
        row = rows.setdefault(index, blank)
        row["count"] += one.size
        if one.data_type == "numeric":
            row["avg"] = _rounded(one.avg)
        elif one.data_type == "boolean":
            row["true_share"] = _rounded(one.avg)
    return [rows[index] for index in sorted(rows)]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 12)
