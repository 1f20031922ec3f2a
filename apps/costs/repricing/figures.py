"""What a repricing comes to, by model: counts and sums in picodollars, small enough to be kept with the job."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from apps.costs.repricing.outcome import Costs

MAX_MODELS = 500
OTHERS = "(other models)"
COUNTS = ("spans", "changed", "newly_priced", "newly_unpriced", "client_costs_kept", "unpriced_after")
SUMS = ("cost_before", "cost_after")
_PICO = Decimal(10) ** -12
Kept = dict[str, Any]


class Figures:
    """Adds spans up. What is kept of it is JSON, so that another process can go on."""

    def __init__(self, kept: Kept | None = None) -> None:
        self._models: dict[tuple[str | None, str | None], dict[str, int]] = {}
        for provider, model, counts in (kept or {}).get("models", ()):
            self._models[(provider, model)] = dict(counts)

    def add(self, provider: str | None, model: str | None, old: Costs, new: Costs, changed: bool) -> None:
        """Count a span with its costs before and after."""
        row = self._row(provider, model)
        row["spans"] += 1
        row["changed"] += changed
        row["newly_priced"] += old.total_cost is None and new.total_cost is not None
        row["newly_unpriced"] += old.total_cost is not None and new.total_cost is None
        row["client_costs_kept"] += new.cost_source == "client"
        row["unpriced_after"] += new.total_cost is None
        row["cost_before"] += old.total_cost or 0
        row["cost_after"] += new.total_cost or 0

    def _row(self, provider: str | None, model: str | None) -> dict[str, int]:
        key = (provider, model)
        row = self._models.get(key)
        if row is None:
            if len(self._models) >= MAX_MODELS:
                key = (None, OTHERS)
            row = self._models.setdefault(key, dict.fromkeys((*COUNTS, *SUMS), 0))
        return row

    def kept(self) -> Kept:
        """As JSON."""
        return {"models": [[provider, model, counts] for (provider, model), counts in self._models.items()]}

    def shown(self) -> dict[str, Any]:
        """As an answer: the whole, and by model, the greatest change first."""
        rows = [{"provider": key[0], "model": key[1], **_dollars(counts)} for key, counts in self._models.items()]
        rows.sort(key=lambda row: (-abs(row["change_usd"]), -row["spans"], str(row["model"]), str(row["provider"])))
        whole = {name: sum(counts[name] for counts in self._models.values()) for name in (*COUNTS, *SUMS)}
        return {**_dollars(whole), "by_model": rows}


def _dollars(counts: dict[str, int]) -> dict[str, Any]:
    before, after = (Decimal(counts[name]) * _PICO for name in SUMS)
    costs = {"cost_before_usd": before, "cost_after_usd": after, "change_usd": after - before}
    return {**{name: counts[name] for name in COUNTS}, **costs}
