"""What an export adds up to: counted in the database, counted while it is written, and both the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

MONEY = ("total_cost", "all_cost")


def shown_name(name: str) -> str:
    """What a figure is called where it is shown."""
    return f"{name}_usd" if name in MONEY else name


def with_numbers(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """A kept manifest as it is given out: what its sums have as exact text becomes a decimal, so a JSON number."""
    proof = manifest.get("proof") or {}
    sides = {name: _numbers(proof[name]) for name in ("written", "sql", "engine") if proof.get(name)}
    told: dict[str, Any] = {"proof": {**proof, **sides}} if sides else {}
    return {**manifest, **told, **({"sums": _numbers(manifest["sums"])} if manifest.get("sums") else {})}


def _numbers(sums: Mapping[str, Any]) -> dict[str, Any]:
    def number(value: Any) -> Any:
        if isinstance(value, Mapping):
            return _numbers(value)
        return Decimal(value) if isinstance(value, str) else value

    return {name: number(value) for name, value in sums.items()}


@dataclass(frozen=True, slots=True)
class Totals:
    """Rows and sums. Money in picodollars; what no row knows is None, never 0.

    Args:
        rows: None where this side cannot tell how many there are.
        requests: billable spans among the rows' spans; None where it is not about spans.
        total_cost, total_tokens: over billable spans alone.
        all_cost, all_tokens: over all rows, where a row is a span; else None.
        scores: where metrics of scores are exported, how many there are of them; else None.
        columns: by name, the other columns of the file that can be added up, money in dollars.
    """

    rows: int | None
    requests: int | None
    total_cost: int | None
    total_tokens: int | None
    all_cost: int | None = None
    all_tokens: int | None = None
    scores: int | None = None
    columns: Mapping[str, int | Decimal | None] = field(default_factory=dict, kw_only=True)

    def shown(self) -> dict[str, Any]:
        """As the manifest has it, money in dollars as exact text."""
        made = asdict(self)
        columns = made.pop("columns")
        for name in MONEY:
            picodollars = made.pop(name)
            made[shown_name(name)] = None if picodollars is None else f"{Decimal(picodollars).scaleb(-12):f}"
        exact = {name: f"{value:f}" if isinstance(value, Decimal) else value for name, value in columns.items()}
        return made | ({"columns": exact} if columns else {})
