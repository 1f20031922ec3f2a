"""How many spans came in, and how many were refused and why, by project and five minutes of arrival.

A process counts in memory and writes every few seconds (a command: at its end), so that a batch costs no more.
What a killed process has not written by then is lost: these are figures for the eye, the spans themselves are durable.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import connection
from django.db.models import DateTimeField, F, Func, Q, Sum, Value
from django.utils import timezone

from apps.ingest.models import IngestCount

WIDTH: Final = timedelta(minutes=5)
ACCEPTED: Final = ""  # in the place of a reason
# Projects and reasons that are held while the database is away; what is more is not counted.
MOST_HELD: Final = 20_000
_ADD: Final = f"""
INSERT INTO {IngestCount._meta.db_table} AS c (project_id, bucket, reason, spans)
SELECT p.id, n.bucket, n.reason, n.spans
FROM unnest(%s::integer[], %s::timestamptz[], %s::text[], %s::bigint[]) AS n (project_id, bucket, reason, spans)
JOIN orgs_project p ON p.id = n.project_id
ORDER BY 1, 2, 3
ON CONFLICT (project_id, bucket, reason) DO UPDATE SET spans = c.spans + excluded.spans
"""

Key = tuple[int, datetime, str]
_held: Counter[Key] = Counter()
_lock = threading.Lock()


def count(project_id: int, accepted: int, refused: Mapping[str, int]) -> None:
    """A batch has been answered."""
    bucket = bucket_of(timezone.now())
    with _lock:
        for reason, spans in ((ACCEPTED, accepted), *refused.items()):
            key = (project_id, bucket, reason)
            if spans and (key in _held or len(_held) < MOST_HELD):
                _held[key] += spans


def flush() -> int:
    """Write down what was counted since the last time; how many rows it touched.

    Raises:
        DatabaseError: it is held for the next time.
    """
    with _lock:
        taken = dict(_held)
        _held.clear()
    if not taken:
        return 0
    keys = sorted(taken)  # in one order, so that processes do not wait for each other in a ring
    columns: list[list[Any]] = [list(column) for column in zip(*keys, strict=True)]
    try:
        with connection.cursor() as cursor:
            cursor.execute(_ADD, [*columns, [taken[key] for key in keys]])
    except BaseException:
        with _lock:
            _held.update(taken)
        raise
    return len(keys)


def bucket_of(moment: datetime) -> datetime:
    """The five minutes that a moment falls in."""
    return moment - timedelta(minutes=moment.minute % 5, seconds=moment.second, microseconds=moment.microsecond)


def course(
    projects: Collection[int], start: datetime, end: datetime, width: timedelta
) -> list[tuple[datetime, bool, int]]:
    """Of these projects together: (start of a step of this width, whether accepted, spans), in order."""
    rows = IngestCount.objects.filter(project_id__in=projects, bucket__gte=bucket_of(start), bucket__lt=end)
    step = Func(Value(width), F("bucket"), Value(bucket_of(start)), function="date_bin", output_field=DateTimeField())
    grouped = rows.annotate(step=step, good=Q(reason=ACCEPTED)).values("step", "good")
    return list(grouped.annotate(n=Sum("spans")).order_by("step").values_list("step", "good", "n"))


def sums(projects: Collection[int], start: datetime, end: datetime) -> list[tuple[int, str, int]]:
    """By project and reason."""
    rows = IngestCount.objects.filter(project_id__in=projects, bucket__gte=bucket_of(start), bucket__lt=end)
    return list(rows.values("project_id", "reason").annotate(n=Sum("spans")).values_list("project_id", "reason", "n"))


def expire(before: datetime) -> int:
    """Delete what was counted before; how many rows went."""
    return IngestCount.objects.filter(bucket__lt=before).delete()[0]
