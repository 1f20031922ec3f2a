"""Charts of reports whose series have a row only for the buckets in which something happened."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from apps.console.bar import CUSTOM, Bar
from apps.console.charts import Chart, Series, column, moments

Rows = Sequence[Mapping[str, Any]]


def spaced(times: Sequence[datetime]) -> list[datetime]:
    """The moments, and one in each gap between them, so that no line is drawn over buckets that hold nothing."""
    steps = [after - before for before, after in itertools.pairwise(times)]
    if not steps:
        return list(times)
    step = min(steps)
    made = [times[0]]
    for moment in times[1:]:
        if moment - made[-1] > step * 1.5:
            made.append(made[-1] + step)
        made.append(moment)
    return made


def beside(rows: Rows, times: Sequence[datetime], name: str, later: timedelta) -> list[Any]:
    """A figure of an earlier period at the moments of this one, `later` after its own; None where it has none."""
    values: list[Any] = [None] * len(times)
    widest = min((after - before for before, after in itertools.pairwise(times)), default=later)
    for row in rows:
        moment = datetime.fromisoformat(row["timestamp"]) + later
        place = bisect_right(times, moment) - 1
        if place >= 0 and moment - times[place] < widest:
            values[place] = row.get(name)
    return values


def over_time(
    bar: Bar,
    title: str,
    unit: str,
    rows: Rows,
    names: Mapping[str, str],
    *,
    earlier: Rows = (),
    kind: str = "line",
    drill: str = "/traces",
    zeros: bool = False,
    **more: Any,
) -> Chart:
    """A chart of some figures of a report's series.

    Args:
        names: figure to label; the first is drawn for the period before too.
        earlier: the series of the period before.
        drill: the page that a click on a bucket opens, with `more` in its address.
    """
    times = spaced(moments(rows))
    lines = [Series(label, column(rows, times, name)) for name, label in names.items()]
    for name, label in list(names.items())[:1] if earlier else ():
        lines.append(Series(f"{label}, period before", beside(earlier, times, name, bar.length), dashed=True))
    return Chart(title, unit, times, lines, kind, bar.zone, *links(bar, drill, **more), bar.interval, zeros=zeros)


def links(bar: Bar, drill: str = "/traces", **more: Any) -> tuple[str, str]:
    """Where a click on a bucket leads, and where a dragged range does: addresses with places for start and end."""
    behind = bar.elsewhere(range=CUSTOM, start_time=None, end_time=None, **more)
    here = bar.query(range=CUSTOM, start_time=None, end_time=None, cursor=None)
    return (_between(f"{drill}?{behind}") if drill else "", _between(f"?{here}"))


def _between(address: str) -> str:
    return f"{address}&start_time={{start}}&end_time={{end}}"
