"""`/costs/breakdown` and `/costs/attribution`: who or what the money went to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import psycopg

from apps.common.reads.snapshot import snapshot
from apps.costs.reports.figures import Figures
from apps.costs.reports.series import Report
from apps.metrics.finish import Row
from apps.metrics.runner import Answer, answer_in, check_kept
from apps.metrics.spec import Filter, Having, QuerySpec, Sort
from apps.metrics.summary import share

# What an answer calls a dimension, and the column it is.
BREAKDOWN = {
    "model": "model",
    "provider": "provider",
    "user": "user_id",
    "environment": "environment",
    "project": "project",
    "session": "session_id",
    "tag": "tag",
}
ATTRIBUTION = {
    "user": "user_id",
    "team": "team",
    "tag": "tag",
    "provider": "provider",
    "model": "model",
    "environment": "environment",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """How the money is divided.

    Args:
        column: the dimension.
        min_cost: leave groups that cost less to `others`.
        key: for tags, only those of this key.
    """

    column: str
    limit: int
    min_cost: Decimal | None = None
    key: str | None = None


def breakdown(base: QuerySpec, asked: Asked) -> Report:
    """The dearest groups, what the others cost, and the whole.

    Formula: cost of a group by the total cost; others = total - shown. NULL is a group of its own. Minimum sample:
    none.

    Raises:
        ApiError: as `apps.metrics.runner.answer`.
    """
    check_kept(base)
    with snapshot() as cursor:
        listed = answer_in(cursor, _listing(base, asked, ()))
        whole = answer_in(cursor, _over(base, listed))
        answers = [listed, whole]
        tags = _all_tags(cursor, base, listed, (), answers) if asked.column == "tag" else None
    total = Figures.of(whole.rows[0])
    shown = _shown(listed.rows, asked, total)
    others = (total if tags is None else Figures.total(tags.values())) - Figures.total(f for _, f in shown)
    return Report(_blocks(shown, others, total, listed, tags), tuple(answers))


def attribution(base: QuerySpec, asked: Asked) -> Report:
    """The dearest values of a dimension, what nobody is to answer for, and the rest.

    Formula: as `breakdown`, with NULL as `unattributed` beside the list. For tags of one key: unattributed is what
    has no tag of that key = total - (every span with such a tag, once).

    Raises:
        ApiError: as `apps.metrics.runner.answer`.
    """
    check_kept(base)
    wanted: tuple[Filter, ...] = (Filter(asked.column, "ne", (None,)),)
    if asked.key is not None:
        wanted = (Filter("tag", "prefix", (f"{asked.key}:",)),)
    with snapshot() as cursor:
        listed = answer_in(cursor, _listing(base, asked, wanted))
        whole = answer_in(cursor, _over(base, listed))
        answers = [listed, whole]
        tags = None
        total = Figures.of(whole.rows[0])
        if asked.column == "tag":
            tags = _all_tags(cursor, base, listed, wanted, answers)
        if asked.key is not None and tags is not None:
            unattributed = total - tags.get(None, Figures.nothing())
        else:
            missing = replace(_over(base, listed), filters=(*base.filters, Filter(asked.column, "eq", (None,))))
            answers.append(answer_in(cursor, missing))
            unattributed = Figures.of(answers[-1].rows[0])
    shown = _shown(listed.rows, asked, total)
    rest = total - unattributed if tags is None else Figures.total(tags.values())
    blocks = _blocks(shown, rest - Figures.total(f for _, f in shown), total, listed, tags)
    if asked.key is not None and tags is not None:
        blocks["sums_may_exceed_total"] = "again" in tags
    blocks["unattributed"] = _figured(unattributed, total)
    return Report(blocks, tuple(answers))


def _listing(base: QuerySpec, asked: Asked, wanted: tuple[Filter, ...]) -> QuerySpec:
    having = () if asked.min_cost is None else (Having("total_cost_usd", "gte", asked.min_cost),)
    return replace(
        base,
        group_by=(asked.column,),
        filters=(*base.filters, *wanted),
        having=having,
        sort=(Sort("total_cost_usd", True), Sort("requests", True)),
        limit=asked.limit,
    )


def _over(base: QuerySpec, listed: Answer) -> QuerySpec:
    """The whole, over the range that the groups were answered for: old days may be kept in coarse cells alone."""
    return replace(base, start=listed.plan.start, end=listed.plan.end)


def _all_tags(
    cursor: psycopg.Cursor[Any],
    base: QuerySpec,
    listed: Answer,
    wanted: tuple[Filter, ...],
    answers: list[Answer],
) -> dict[str | None, Figures]:
    """The sum over all tags: under None the first of each key, under 'again' those of keys that a span repeats."""
    spec = replace(_over(base, listed), group_by=("tag_again",), filters=(*base.filters, *wanted))
    answers.append(answer_in(cursor, spec))
    return {row["tag_again"]: Figures.of(row) for row in answers[-1].rows}


def _shown(rows: Sequence[Row], asked: Asked, total: Figures) -> list[tuple[dict[str, Any], Figures]]:
    made = []
    for row in rows:
        value, figures = row[asked.column], Figures.of(row)
        head: dict[str, Any] = {"value": value}
        if asked.column == "tag":
            key, colon, rest = (value or "").partition(":")
            head |= {"key": key if colon else None, "tag_value": rest if colon else value}
        made.append(({**head, **_figured(figures, total)}, figures))
    return made


def _figured(figures: Figures, total: Figures) -> dict[str, Any]:
    return {**figures.shown(), "share": share(figures.cost, total.cost)}


def _blocks(
    shown: Sequence[tuple[dict[str, Any], Figures]],
    others: Figures,
    total: Figures,
    listed: Answer,
    tags: dict[str | None, Figures] | None,
) -> dict[str, Any]:
    return {
        "totals": total.shown(),
        "total_groups": listed.total_rows,
        "sums_may_exceed_total": tags is not None,
        "others": _figured(others, total),
        "data": [row for row, _ in shown],
    }
