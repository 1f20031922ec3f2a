"""`/costs`: cost over time, and the totals that the buckets add up to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from apps.common.reads.snapshot import snapshot
from apps.costs.reports.figures import Figures
from apps.metrics.runner import Answer, answer_in, check_kept
from apps.metrics.spec import QuerySpec


@dataclass(frozen=True, slots=True)
class Report:
    """The blocks of a report, and the answers they were made from."""

    blocks: dict[str, Any]
    answers: tuple[Answer, ...]


def series(spec: QuerySpec) -> Report:
    """The rows of a question with an interval, and their sum.

    Formula: every figure is a sum over requests (docs/costs.md); the totals are the sums of the rows, term by term.
    NULL rule: a cost is null where there are requests and none of them is priced. Minimum sample: none.

    Raises:
        ApiError: as `apps.metrics.runner.answer`.
    """
    check_kept(spec)
    with snapshot() as cursor:
        made = answer_in(cursor, spec)
    found = [Figures.of(row) for row in made.rows]
    named = ("timestamp", *spec.group_by)
    rows = [
        {**{name: row[name] for name in named}, **figures.shown()}
        for row, figures in zip(made.rows, found, strict=True)
    ]
    return Report({"totals": Figures.total(found).shown(), "data": rows}, (made,))
