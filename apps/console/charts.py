"""What a chart shows, as the page's script draws it (static/console/charts.js)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from apps.console.figures import number_of, shown

KINDS: Final = ("line", "bars", "stacked")
MOST_SERIES: Final = 8  # colours that can be told apart


@dataclass(frozen=True)
class Series:
    """One line of a chart. `values` has one for each moment, None where there is none.

    `dashed` marks what stands for comparison; `link` is the page to open for this series alone.
    """

    label: str
    values: Sequence[Any]
    dashed: bool = False
    link: str = ""


@dataclass(frozen=True)
class Chart:
    """A chart over time.

    Args:
        title: what it shows, for its label.
        unit: of figures.UNITS; every series has it.
        times: the buckets' starts.
        kind: of KINDS; `stacked` sums.
        zone: IANA name of the zone of the axis.
        drill: the address of the page that lists what is behind a bucket, with `{start}` and `{end}`.
        zoom: this page's address for a dragged range, with `{start}` and `{end}`.
        interval: the API's name of the buckets' width.
        zeros: whether zeros alone are worth drawing, as for the share of a few verdicts.
    """

    title: str
    unit: str
    times: Sequence[datetime]
    series: Sequence[Series]
    kind: str = "line"
    zone: str = "UTC"
    drill: str = ""
    zoom: str = ""
    interval: str = ""
    marks: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    zeros: bool = False

    @property
    def empty(self) -> bool:
        found = [
            number for series in self.series for value in series.values if (number := number_of(value)) is not None
        ]
        return not (found if self.zeros else any(found))

    @property
    def summary(self) -> str:
        """The chart in a sentence, for who does not see it."""
        parts = []
        for series in self.series:
            numbers = [number for value in series.values if (number := number_of(value)) is not None]
            if numbers:
                low, high = shown(min(numbers), self.unit), shown(max(numbers), self.unit)
                parts.append(f"{series.label} from {low} to {high}")
        return f"{self.title}: {'; '.join(parts) or 'no data'}."

    def data(self) -> dict[str, Any]:
        """For the script; numbers as doubles, which are only drawn."""
        return {
            "unit": self.unit,
            "kind": self.kind,
            "zone": self.zone,
            "interval": self.interval,
            "drill": self.drill,
            "zoom": self.zoom,
            "times": [int(moment.timestamp()) for moment in self.times],
            "series": [
                {
                    "label": one.label,
                    "values": [None if (number := number_of(value)) is None else float(number) for value in one.values],
                    "dashed": one.dashed,
                    "link": one.link,
                }
                for one in self.series
            ],
        }


def moments(rows: Sequence[Mapping[str, Any]]) -> list[datetime]:
    """The distinct timestamps of an answer's rows, in order."""
    return sorted({datetime.fromisoformat(row["timestamp"]) for row in rows})


def column(rows: Sequence[Mapping[str, Any]], times: Sequence[datetime], name: str) -> list[Any]:
    """One figure of ungrouped rows, at these moments."""
    found = {datetime.fromisoformat(row["timestamp"]): row.get(name) for row in rows}
    return [found.get(moment) for moment in times]


def grouped(
    rows: Sequence[Mapping[str, Any]], times: Sequence[datetime], group: str, name: str, most: int = MOST_SERIES - 1
) -> list[Series]:
    """One series for each of the groups with the greatest sums, and one for all others."""
    sums: dict[Any, Any] = {}
    for row in rows:
        sums[row.get(group)] = sums.get(row.get(group), 0) + (row.get(name) or 0)
    order = sorted(sums, key=lambda key: (-sums[key], str(key)))
    chosen, rest = order[:most], set(order[most:])
    cells: dict[Any, dict[datetime, Any]] = {}
    for row in rows:
        key = row.get(group)
        cell = cells.setdefault("\0rest" if key in rest else key, {})
        moment = datetime.fromisoformat(row["timestamp"])
        cell[moment] = cell.get(moment, 0) + (row.get(name) or 0)
    made = [Series(str(key) if key is not None else "(none)", [cells[key].get(at) for at in times]) for key in chosen]
    if rest:
        made.append(Series(f"{len(rest)} others", [cells["\0rest"].get(at) for at in times]))
    return made
