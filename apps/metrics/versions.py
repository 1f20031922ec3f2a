"""The version of the data that a question is answered from: what ETags are made of.

Each project and UTC day has a counter (`data_version`). A write leaves a mark in its own transaction; while the mark
lies there it counts as one for every day it covers, and folding it adds the same to the counters. So the sum over a
question's projects and days never falls, grows with every write that touches them and stays as it is when a refresh
folds: two equal sums mean that nothing was written between. It is read before the answer, which is therefore never
older than its version.

Only ordinary tables are read, the same on every storage tier.

Not seen by the counters, and put beside them:

- Spans that leave by retention. In front of the retention's edge every point can be answered from raw spans, whatever
  cells are kept, so no edge matters to a question that begins there. A question that begins behind it is answered from
  cells as they are, with edges that move by the minute: such an answer has a new ETag each minute.
- A project's own raw retention and the edge that retention once reached: they are what that edge is made from.
- What the refresh may change without a write: percentiles, which are exact from spans and within the stated relative
  error from histograms. Both answer the same question about the same data; the ETag is a weak one.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings

from apps.common.reads.reading import next_minute
from apps.metrics.rollups import ROLLUPS
from apps.metrics.spec import QuerySpec
from apps.traces.storage import kept_from
from apps.traces.versions import ALWAYS, counted, days_of


def version_of(spec: QuerySpec, *, summary: bool = False, before: timedelta | None = None) -> tuple[Any, ...]:
    """The version of a question's data.

    Args:
        summary: it counts users and sessions, which spans may take over from their traces on any day.
        before: how far back a range of equal length is asked for as well; the question's own `compare_to` if not given.
    """
    back = before or spec.compare_to
    ranges = [(spec.start, spec.end)]
    if back is not None:
        ranges.append((spec.start - back, spec.end - back))
    everything = summary or spec.involves_attribution or spec.scored
    days = [ALWAYS] if everything else [days_of(start, end) for start, end in ranges]
    counters, kept_days, floor = counted(spec.project_ids, days)
    return (*counters, _edge(min(start for start, _ in ranges), kept_days, floor))


def _edge(earliest: datetime, kept_days: int | None, floor: datetime | None) -> tuple[Any, ...]:
    """What retention has to do with the answer: nothing in front of its edge, else the minute and the settings.

    Behind the edge all borders are whole days before now; cells begin at whole minutes, so borders in the same minute
    divide them alike.
    """
    now = datetime.now(UTC)
    everyones = kept_from("span", now)
    if floor is not None:
        everyones = max(everyones, floor)
    edge = everyones if kept_days is None else max(everyones, now - timedelta(days=kept_days))
    if earliest >= edge:
        return ()
    kept = sorted((rollup.name, getattr(settings.HUB, rollup.retention)) for rollup in ROLLUPS.values())
    return next_minute(now), everyones, kept_days, kept
