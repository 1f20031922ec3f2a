"""`/costs/change`: why one period cost more or less than another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from apps.common.reads.snapshot import snapshot
from apps.costs.reports.decompose import FACTORS, Side, effects, rounded
from apps.costs.reports.figures import Figures
from apps.costs.reports.series import Report
from apps.metrics.finish import change_pct
from apps.metrics.runner import Answer, answer_in, check_kept
from apps.metrics.spec import QuerySpec

# The dearest so many models are looked at one by one, the others as one.
MODELS = 300
Name = tuple[str | None, str | None]
_PICO = Decimal("1e-12")


@dataclass(frozen=True, slots=True)
class Change:
    """One model in both periods, and its effects in picodollars."""

    before: Side
    after: Side
    effects: tuple[int, ...]

    @property
    def difference(self) -> int:
        return self.after.cost - self.before.cost


def change(base: QuerySpec, compared: tuple[datetime, datetime], limit: int) -> Report:
    """The difference between the range and the one compared with, as effects that add up to it exactly.

    Formula, NULL rule and rounding: `apps.costs.reports.decompose`; what is unpriced costs nothing and shows as the
    effect of the priced share. Minimum sample: none.

    Args:
        compared: the earlier period; it may have another length.
        limit: how many models are listed.

    Raises:
        ApiError: as `apps.metrics.runner.answer`.
    """
    spec = replace(base, group_by=("provider", "model"))
    earlier = replace(spec, start=compared[0], end=compared[1])
    check_kept(earlier)
    check_kept(spec)
    with snapshot() as cursor:
        answers = (answer_in(cursor, spec), answer_in(cursor, earlier))
    after, before = (_sides(made) for made in answers)
    listed, rest = decomposed(before, after)
    shown, others = listed[:limit], [*(item for _, item in listed[limit:]), *([rest] if rest else [])]
    everything = [*(item for _, item in listed), *([rest] if rest else [])]
    blocks = {
        "current_period": _period(answers[0]),
        "previous_period": _period(answers[1]),
        "change": _changed(everything),
        "data": [{"provider": name[0], "model": name[1], **_row(item)} for name, item in shown],
        "others": {"models": len(set(before) | set(after)) - len(shown), **_changed(others)},
    }
    return Report(blocks, answers)


def decomposed(
    before: Mapping[Name, Side], after: Mapping[Name, Side]
) -> tuple[list[tuple[Name, Change]], Change | None]:
    """Each of the dearest models by the size of its change, and all others as one, where there are others."""
    sums = [sum(side.requests for side in period.values()) for period in (before, after)]
    nothing = Side()
    pairs = {name: (before.get(name, nothing), after.get(name, nothing)) for name in {**before, **after}}
    dearest = sorted(pairs, key=lambda name: (-max(side.cost for side in pairs[name]), str(name)))

    def one(low: Side, high: Side) -> Change:
        return Change(low, high, rounded(effects(low, high, *sums)))

    made = [(name, one(*pairs[name])) for name in dearest[:MODELS]]
    made.sort(key=lambda item: -abs(item[1].difference))
    if len(dearest) <= MODELS:
        return made, None
    pooled = [pairs[name] for name in dearest[MODELS:]]
    return made, one(sum((low for low, _ in pooled), nothing), sum((high for _, high in pooled), nothing))


def _sides(made: Answer) -> dict[Name, Side]:
    found = {}
    for row in made.rows:
        figures = Figures.of(row)
        cost = int(figures.cost.scaleb(12))
        found[row["provider"], row["model"]] = Side(figures.requests, figures.priced, int(figures.sums[3]), cost)
    return found


def _period(made: Answer) -> dict[str, Any]:
    total = Figures.total(Figures.of(row) for row in made.rows)
    return {"start_time": made.plan.start, "end_time": made.plan.end, **total.shown()}


def _usd(picodollars: int) -> Decimal:
    return picodollars * _PICO


def _changed(items: list[Change]) -> dict[str, Any]:
    before, after = sum(item.before.cost for item in items), sum(item.after.cost for item in items)
    sums = [sum(item.effects[at] for item in items) for at in range(len(FACTORS))]
    return {
        "change_usd": _usd(after - before),
        "change_pct": change_pct(after, before),
        "effects": {f"{name}_usd": _usd(value) for name, value in zip(FACTORS, sums, strict=True)},
    }


def _row(item: Change) -> dict[str, Any]:
    status = "both" if item.before.requests and item.after.requests else "new" if item.after.requests else "gone"
    return {
        "status": status,
        "current_cost_usd": _usd(item.after.cost) if item.after.priced or not item.after.requests else None,
        "previous_cost_usd": _usd(item.before.cost) if item.before.priced or not item.before.requests else None,
        **_changed([item]),
    }
