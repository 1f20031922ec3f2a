"""The tables of docs/metrics.md, made from the catalogue."""

from __future__ import annotations

from pathlib import Path

from apps.metrics.buckets import INTERVALS
from apps.metrics.catalog import CATALOGUE, DIMENSION_NAMES
from apps.metrics.rollups import ROLLUPS
from apps.metrics.spec import MAX_RANGE

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
BEGIN, END = "<!-- made from the catalogue: begin -->", "<!-- made from the catalogue: end -->"


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def tables() -> str:
    """Metrics, intervals, dimensions and cells."""
    metrics = [
        [
            f"`{entry.name}`",
            entry.unit,
            ", ".join(f"**{name}**" if name == entry.natural else name for name in entry.aggregations),
            entry.description,
        ]
        for entry in CATALOGUE.values()
    ]
    intervals = [[f"`{name}`", f"{MAX_RANGE[name].days} days"] for name in INTERVALS]
    cells = [
        [
            f"`{rollup.name}`",
            rollup.level,
            ", ".join((*rollup.dimensions, *rollup.ids)),
            f"`{rollup.retention.upper()}`",
        ]
        for rollup in ROLLUPS.values()
    ]
    return "\n\n".join(
        [
            "### Metrics",
            _table(["metric", "unit", "aggregations (the natural one in bold)", "meaning"], metrics),
            "### Intervals",
            _table(["interval", "longest range"], intervals),
            "### Dimensions",
            ", ".join(f"`{name}`" for name in DIMENSION_NAMES) + ".",
            "### Cells",
            _table(["rollup", "bucket", "dimensions", "kept for"], cells),
        ]
    )


def page(text: str) -> str:
    """The page with its tables made anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{after}"
